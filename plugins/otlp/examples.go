package main

import (
	"encoding/hex"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/magpie-monitoring/magpie/sdk"
)

// examplesOf finds the exemplars of a batch, by the number of the sample that each goes with: the first of its series that is
// not older than it, or else the last.
func examplesOf(in *sdk.Batch) map[int][]sdk.Exemplar {
	var waiting map[*track][]sdk.Exemplar
	for r := range in.Runs() {
		run := &in.Runs()[r]
		for i := range run.Exemplars {
			e := &run.Exemplars[i]
			if waiting == nil {
				waiting = map[*track][]sdk.Exemplar{}
			}
			t := originOf(run.Origin).trackOf(run.Origin, e.Ref)
			waiting[t] = append(waiting[t], e.Exemplar)
		}
	}
	if waiting == nil {
		return nil // as a rule
	}
	found, last := map[int][]sdk.Exemplar{}, map[*track]int{}
	i := -1
	for r := range in.Runs() {
		run := &in.Runs()[r]
		for k, ref := range run.Refs {
			i++
			t := originOf(run.Origin).tracks.Get(ref)
			if t == nil || len(waiting[*t]) == 0 {
				continue
			}
			last[*t] = i
			later := waiting[*t][:0]
			for _, e := range waiting[*t] {
				if e.Time.UnixMilli() <= run.Time(k) {
					found[i] = append(found[i], e)
				} else {
					later = append(later, e)
				}
			}
			waiting[*t] = later
		}
	}
	for t, later := range waiting {
		if i, ok := last[t]; ok && len(later) > 0 {
			found[i] = append(found[i], later...)
		}
	}
	return found
}

// appendExemplars writes exemplars as a field of a data point.
func appendExemplars(b []byte, field byte, list []sdk.Exemplar) []byte {
	for _, e := range list {
		inner := appendFixed64(nil, 2, uint64(max(e.Time.UnixNano(), 0)))
		inner = appendFixed64(inner, 3, math.Float64bits(e.Value))
		for _, l := range e.Labels {
			switch id, err := hex.DecodeString(l.Value); {
			case l.Name == "span_id" && err == nil && len(id) == 8:
				inner = protowire.AppendBytes(append(inner, 4<<3|byte(asBytes)), id)
			case l.Name == "trace_id" && err == nil && len(id) == 16:
				inner = protowire.AppendBytes(append(inner, 5<<3|byte(asBytes)), id)
			default:
				inner = appendAttribute(inner, 7, l.Name, l.Value)
			}
		}
		b = protowire.AppendBytes(append(b, field<<3|byte(asBytes)), inner)
	}
	return b
}
