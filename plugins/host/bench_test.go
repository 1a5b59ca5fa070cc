package main

import (
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// BenchmarkCollect is one collect of this machine by the default collectors, up to the columns that the codec takes.
// ns/op is wall-clock time; cpu-ns/op is what the process spent, in the kernel too.
func BenchmarkCollect(b *testing.B) { benchmarkCollect(b, defaults()) }

// BenchmarkCollectOf is that of each collector alone.
func BenchmarkCollectOf(b *testing.B) {
	for _, c := range collectors {
		b.Run(c.name, func(b *testing.B) {
			cfg := defaults()
			cfg.Collect = []string{c.name}
			benchmarkCollect(b, cfg)
		})
	}
}

func benchmarkCollect(b *testing.B, cfg *Config) {
	h, err := openOn(realSystem(), cfg, &testHost{})
	if err != nil {
		b.Fatal(err)
	}
	batch := sdk.NewScope(sdk.SourceSettings{Job: "node"}, "bench", false).Batch()
	batch.Whole = true
	samples := 0
	collect := func() {
		batch.Time = time.Now()
		h.Collect(b.Context(), batch)
		batch.Seal(func(c *sdk.Columns) { samples = len(c.Run.Refs) })
	}
	collect()
	b.ReportAllocs()
	before := cpuTime()
	for b.Loop() {
		collect()
	}
	b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(samples), "samples")
}
