package wire

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// maxExemplar bounds the labels of an exemplar, leastExemplar is one without labels, its length included.
const (
	maxExemplar   = 4 << 10
	leastExemplar = 10
)

// appendExemplar writes the bytes of an entry of EXEMPLARS; its time stands beside it.
func appendExemplar(b []byte, e *sdk.Exemplar) []byte {
	b = binary.AppendUvarint(le.AppendUint64(b, math.Float64bits(e.Value)), uint64(len(e.Labels)))
	for _, l := range e.Labels {
		b = appendText(appendText(b, l.Name), l.Value)
	}
	return b
}

func readExemplar(entry []byte) (e sdk.Exemplar, err error) {
	c := cursor{b: entry}
	e.Value = c.f64()
	e.Labels = c.sortedLabels(c.uvarint(maxLabels), maxExemplar)
	if c.err != nil {
		return e, c.err
	}
	if c.pos != len(entry) || len(entry) > 2*maxExemplar {
		c.fail("an exemplar has %d bytes, and %d are read", len(entry), c.pos)
	}
	return e, c.err
}

// exemplars reads an EXEMPLARS frame as a run without samples.
func (o *origin) exemplars(f *Frame) (sdk.Run, error) {
	run := sdk.Run{Origin: o.Origin, Base: f.Base}
	err := f.eachEntry(func(ref sdk.Ref, at int64, entry []byte) error {
		e, err := readExemplar(entry)
		if err != nil || o.series.Get(ref) == nil {
			return err
		}
		e.Time = time.UnixMilli(at)
		run.Exemplars = append(run.Exemplars, sdk.RefExemplar{Ref: ref, Exemplar: e})
		return nil
	})
	return run, err
}

// signals packs a batch's histograms, exemplars and records.
func (e *Encoder) signals(p *Packer, s *sdk.Signals) {
	run := &s.Run
	e.entries(p, Histograms, len(run.Refs), func(i int) (sdk.Ref, int64) { return run.Refs[i], run.Times[i] },
		func(b []byte, i int) []byte { return appendHistogram(b, run.Histograms[i]) })
	e.entries(p, Exemplars, len(s.Exemplars), func(i int) (sdk.Ref, int64) { return s.Exemplars[i].Ref, s.Exemplars[i].Time.UnixMilli() },
		func(b []byte, i int) []byte { return appendExemplar(b, &s.Exemplars[i].Exemplar) })
	e.entries(p, Records, len(s.Records), func(i int) (sdk.Ref, int64) { return s.Records[i].Ref, s.Records[i].Time.UnixMilli() },
		func(b []byte, i int) []byte { return appendRecord(b, &s.Records[i].Record) })
}

// entries writes n entries as frames: a new one where one grows large or its times are too far apart.
func (e *Encoder) entries(p *Packer, kind FrameKind, n int, at func(int) (sdk.Ref, int64), write func([]byte, int) []byte) {
	for from := 0; from < n; {
		_, lo := at(from)
		hi, body, to := lo, e.body[:0], from
		for ; to < n && to-from < maxRun && len(body) < maxFrame; to++ {
			_, t := at(to)
			if _, fits := spanOf(min(lo, t), max(hi, t)); !fits {
				break
			}
			lo, hi = min(lo, t), max(hi, t)
			e.entry = write(e.entry[:0], to)
			body = append(binary.AppendUvarint(body, uint64(len(e.entry))), e.entry...)
		}
		h := Header{Kind: kind, Stream: e.stream, N: uint32(to - from), Base: lo}
		h.Span, _ = spanOf(lo, hi)
		columns := 1
		if h.Span > 0 {
			h.Flags, columns = FlagTimes, 2
		}
		half := pad8(4 * (to - from))
		head := make([]byte, columns*half)
		for i := from; i < to; i++ {
			ref, t := at(i)
			le.PutUint32(head[4*(i-from):], uint32(ref))
			if h.Span > 0 {
				le.PutUint32(head[half+4*(i-from):], uint32(t-lo))
			}
		}
		samples := 0
		if kind != Exemplars {
			samples = to - from
		}
		e.buf, e.body = appendFrame(e.buf[:0], h, head, body), body
		p.add(e.buf, samples)
		from = to
	}
}
