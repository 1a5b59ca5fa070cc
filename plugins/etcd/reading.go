package main

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/magpie-monitoring/magpie/sdk"
)

// reading is a member's metrics page as a diagnosis looks at it: the values of a moment, by name. Its bound is that of the
// page (maxPage); of a larger one nothing is kept.
type reading struct {
	at     time.Time
	series map[string][]point
}

type point struct {
	labels labels.Labels
	value  float64
}

// readPage fetches a page and keeps etcd's own series, gRPC's and those of the process.
func readPage(ctx context.Context, client *http.Client, url string) (*reading, error) {
	var p page
	if err := p.fetch(ctx, client, url+"/metrics"); err != nil {
		return nil, err
	}
	return parseReading(p.body.Bytes())
}

func parseReading(body []byte) (*reading, error) {
	r := &reading{at: time.Now(), series: map[string][]point{}}
	parser := textparse.NewPromParser(body, labels.NewSymbolTable(), false)
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		if err != nil {
			return nil, sdk.Target(errors.New("the metrics page is broken: " + err.Error()))
		}
		if entry != textparse.EntrySeries {
			continue
		}
		text, _, value := parser.Series()
		if s := string(text[:min(len(text), 8)]); !strings.HasPrefix(s, "etcd_") && !strings.HasPrefix(s, "grpc_") && !strings.HasPrefix(s, "process_") {
			continue
		}
		var l labels.Labels
		parser.Labels(&l)
		name := l.Get(sdk.NameLabel)
		r.series[name] = append(r.series[name], point{l, value})
	}
}

// sum adds the series of a name whose labels have the given values; false if there is none.
func (r *reading) sum(name string, pairs ...string) (total float64, found bool) {
	if r == nil {
		return 0, false
	}
	for _, p := range r.series[name] {
		if has(p.labels, pairs) {
			total, found = total+p.value, true
		}
	}
	return total, found
}

func has(l labels.Labels, pairs []string) bool {
	for i := 0; i+1 < len(pairs); i += 2 {
		if l.Get(pairs[i]) != pairs[i+1] {
			return false
		}
	}
	return true
}

// each lists the values that a label has among the series of a name.
func (r *reading) each(name, label string) (values []string) {
	if r == nil {
		return nil
	}
	for _, p := range r.series[name] {
		if v := p.labels.Get(label); v != "" && !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	slices.Sort(values)
	return values
}

// grew is by how much a counter grew between two readings; false if one lacks it or the process was started between them.
func grew(before, after *reading, name string, pairs ...string) (float64, bool) {
	a, _ := before.sum(name, pairs...) // a counter with labels comes into being with its first event
	b, ok := after.sum(name, pairs...)
	return b - a, ok && before != nil && b >= a
}

// percentile99 is the 99th percentile of a histogram between two readings, and of how many events; before nil: of all since
// the process began. NaN where there were none.
func percentile99(before, after *reading, name string, pairs ...string) (seconds, events float64) {
	type bucket struct{ le, count float64 }
	var buckets []bucket
	for _, le := range after.each(name+"_bucket", "le") {
		bound, err := strconv.ParseFloat(le, 64)
		if err != nil {
			continue
		}
		all := append([]string{"le", le}, pairs...)
		n, _ := after.sum(name+"_bucket", all...)
		if before != nil {
			old, _ := before.sum(name+"_bucket", all...)
			n -= old
		}
		buckets = append(buckets, bucket{bound, n})
	}
	slices.SortFunc(buckets, func(a, b bucket) int {
		if a.le < b.le {
			return -1
		}
		return 1
	})
	if len(buckets) == 0 || buckets[len(buckets)-1].count <= 0 {
		return math.NaN(), 0
	}
	events = buckets[len(buckets)-1].count
	rank, low, below := 0.99*events, 0.0, 0.0
	for _, b := range buckets {
		if b.count >= rank {
			if math.IsInf(b.le, 1) {
				return low, events
			}
			return low + (b.le-low)*(rank-below)/max(b.count-below, 1), events
		}
		low, below = b.le, b.count
	}
	return low, events
}
