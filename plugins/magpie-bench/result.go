package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// result is what was measured, as -json has it.
type result struct {
	Workload string     `json:"workload"`
	Load     string     `json:"load,omitempty"`
	Clients  int        `json:"clients"`
	Rate     int        `json:"rate,omitempty"`
	Seconds  float64    `json:"seconds"`
	Requests []requests `json:"requests"`
	Disks    []diskTime `json:"disks"`
	Verdicts []verdict  `json:"verdicts,omitempty"`
	Note     string     `json:"note,omitempty"`
	Passed   bool       `json:"passed"` // true where there is no verdict to fail
}

// requests are those of one kind. Latencies are in seconds.
type requests struct {
	Kind      string           `json:"kind"`
	Count     int64            `json:"count"`
	Errors    int64            `json:"errors"`
	Causes    map[string]int64 `json:"causes,omitempty"`
	PerSecond float64          `json:"per_second"`
	Fastest   float64          `json:"fastest"`
	Mean      float64          `json:"mean"`
	Deviation float64          `json:"standard_deviation"`
	P50       float64          `json:"p50"`
	P90       float64          `json:"p90"`
	P99       float64          `json:"p99"`
	P999      float64          `json:"p999"`
	Slowest   float64          `json:"slowest"`
	Histogram []bar            `json:"histogram"`
}

// bar is how many took up to a time, and longer than the bar before.
type bar struct {
	UpTo  float64 `json:"up_to"`
	Count int64   `json:"count"`
}

// diskTime is the 99th percentile of a disk operation during the run, at the member where it was longest.
type diskTime struct {
	What    string  `json:"what"`
	Member  string  `json:"member"`
	Seconds float64 `json:"p99_up_to"`
	Limit   float64 `json:"limit"`
	Events  float64 `json:"events"`
}

// verdict is one line of what etcdctl check perf says.
type verdict struct {
	Passed bool   `json:"passed"`
	Text   string `json:"text"`
}

func newResult(s *settings, m *measured, took time.Duration, disks []diskTime) *result {
	r := &result{Workload: s.workload, Load: s.load, Clients: s.clients, Rate: s.rate, Seconds: took.Seconds(), Disks: disks, Passed: true}
	for _, name := range m.names {
		k := m.kinds[name]
		q := requests{Kind: name, Count: k.count, Errors: k.errors, Causes: k.causes, PerSecond: float64(k.count) / took.Seconds(), Slowest: k.most}
		if k.count > 0 {
			q.Fastest, q.Mean, q.Deviation = k.fastest, k.mean(), k.deviation()
			q.P50, q.P90, q.P99, q.P999 = k.percentile(0.5), k.percentile(0.9), k.percentile(0.99), k.percentile(0.999)
			q.Histogram = k.histogram()
		}
		r.Requests = append(r.Requests, q)
	}
	if s.load != "" {
		r.judge(s)
	}
	return r
}

// judge applies the limits of etcdctl check perf.
func (r *result) judge(s *settings) {
	q := requests{}
	if len(r.Requests) > 0 {
		q = r.Requests[0]
	}
	say := func(passed bool, text string, args ...any) {
		r.Verdicts = append(r.Verdicts, verdict{passed, fmt.Sprintf(text, args...)})
		r.Passed = r.Passed && passed
	}
	if q.Errors > 0 {
		say(false, "%d requests failed", q.Errors)
	}
	say(q.PerSecond/float64(s.rate) > 0.9, "throughput is %.0f writes/s of %d", q.PerSecond, s.rate)
	say(q.Slowest <= 0.5, "the slowest request took %s, and 500 ms is the limit", milliseconds(q.Slowest))
	say(q.Deviation <= 0.1, "the standard deviation is %s, and 100 ms is the limit", milliseconds(q.Deviation))
}

// histogram has steps of 1, 2 and 5 in each power of ten, from the fastest to the slowest.
func (k *kind) histogram() (bars []bar) {
	at := 0
	for decade := least; decade < 1e4 && at < buckets; decade *= 10 {
		for _, step := range []float64{2, 5, 10} {
			b := bar{UpTo: decade * step}
			for ; at < buckets && upTo(at) <= b.UpTo*1.0001; at++ {
				b.Count += k.buckets[at]
			}
			if len(bars) > 0 || b.Count > 0 {
				bars = append(bars, b)
			}
		}
	}
	for len(bars) > 0 && bars[len(bars)-1].Count == 0 {
		bars = bars[:len(bars)-1]
	}
	return bars
}

func (r *result) json(w io.Writer) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		_, err = fmt.Fprintf(w, "%s\n", b)
	}
	return err
}

func (r *result) text(w io.Writer) {
	rate := "as fast as they can"
	if r.Rate > 0 {
		rate = fmt.Sprintf("%d requests/s", r.Rate)
	}
	name := r.Workload
	if r.Load != "" {
		name += ", load " + r.Load
	}
	fmt.Fprintf(w, "%s: %d clients, %s, %.1f s\n", name, r.Clients, rate, r.Seconds)
	for _, q := range r.Requests {
		fmt.Fprintf(w, "\n%s: %d, %.1f/s, %d failed\n", q.Kind, q.Count, q.PerSecond, q.Errors)
		for _, cause := range slices.Sorted(maps.Keys(q.Causes)) {
			fmt.Fprintf(w, "  %6d × %s\n", q.Causes[cause], cause)
		}
		if q.Count == 0 {
			continue
		}
		fmt.Fprintf(w, "  fastest %s  mean %s  p50 %s  p90 %s  p99 %s  p99.9 %s  slowest %s  deviation %s\n", milliseconds(q.Fastest), milliseconds(q.Mean),
			milliseconds(q.P50), milliseconds(q.P90), milliseconds(q.P99), milliseconds(q.P999), milliseconds(q.Slowest), milliseconds(q.Deviation))
		most := int64(1)
		for _, b := range q.Histogram {
			most = max(most, b.Count)
		}
		for _, b := range q.Histogram {
			line := strings.Repeat("█", int(math.Ceil(40*float64(b.Count)/float64(most))))
			fmt.Fprintf(w, "  ≤ %8s  %8d  %s\n", milliseconds(b.UpTo), b.Count, line)
		}
	}
	if len(r.Disks) > 0 {
		fmt.Fprintf(w, "\ndisks, the slowest member's 99th percentile:\n")
	}
	for _, d := range r.Disks {
		fmt.Fprintf(w, "  %s  %s took up to %s at %s, and %s is what etcd wants\n", passed(d.Seconds <= d.Limit), d.What, milliseconds(d.Seconds), d.Member, milliseconds(d.Limit))
	}
	if len(r.Verdicts) > 0 {
		fmt.Fprintf(w, "\nas etcdctl check perf judges:\n")
		for _, v := range r.Verdicts {
			fmt.Fprintf(w, "  %s  %s\n", passed(v.Passed), v.Text)
		}
		fmt.Fprintf(w, "%s\n", passed(r.Passed))
	}
	if r.Note != "" {
		fmt.Fprintf(w, "\n%s\n", r.Note)
	}
}

func passed(yes bool) string {
	if yes {
		return "PASS"
	}
	return "FAIL"
}

func milliseconds(s float64) string {
	switch ms := 1000 * s; {
	case ms >= 1000:
		return fmt.Sprintf("%.2f s", s)
	case ms >= 10:
		return fmt.Sprintf("%.0f ms", ms)
	case ms >= 0.1:
		return fmt.Sprintf("%.2g ms", ms)
	default:
		return fmt.Sprintf("%.0f µs", 1000*ms)
	}
}
