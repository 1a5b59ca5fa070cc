package main

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/magpie-monitoring/magpie/sdk"
)

const (
	benchOrigins = 100
	benchSeries  = 1000
)

// fleet is a number of origins that all send one value of each of their series at a time.
type fleet struct {
	runs []sdk.Run
	at   int64
}

func newFleet(origins, series int) *fleet {
	f := &fleet{at: time.Now().Add(-time.Hour).UnixMilli()}
	for o := range origins {
		lookup := func(ref sdk.Ref) (sdk.Series, bool) {
			return sdk.Series{Labels: sdk.NewLabels("__name__", fmt.Sprintf("bench_metric_%d_total", ref%100), "cluster", "main",
				"code", fmt.Sprint(ref), "instance", fmt.Sprintf("host-%d:9100", o), "job", "bench", "path", "/api/v1/things")}, ref < sdk.Ref(series)
		}
		run := sdk.Run{Origin: sdk.NewOrigin(fmt.Sprintf("source.bench.o%d", o), lookup)}
		for ref := range sdk.Ref(series) {
			run.Refs, run.Values = append(run.Refs, ref), append(run.Values, 0)
		}
		f.runs = append(f.runs, run)
	}
	return f
}

// next moves all samples to the next second; the values are a counter's.
func (f *fleet) next() {
	f.at += 1000
	for r := range f.runs {
		f.runs[r].Base = f.at
		for i := range f.runs[r].Values {
			f.runs[r].Values[i] += float64(i % 7)
		}
	}
}

// BenchmarkWrite writes 100 origins of 1,000 series, and the same in a bare loop over the TSDB with every ref at hand. A
// Write takes the samples of five origins, the size at which the daemon coalesces.
func BenchmarkWrite(b *testing.B) {
	const perWrite = 5
	b.Run("store", func(b *testing.B) {
		s := openDirectly(b, &Config{OutOfOrder: 2 * time.Hour, WALCompression: "snappy"})
		f := newFleet(benchOrigins, benchSeries)
		cycle := func() {
			f.next()
			for from := 0; from < len(f.runs); from += perWrite {
				if err := s.Write(b.Context(), sdk.ReadBatch(1, f.runs[from:from+perWrite])); err != nil {
					b.Fatal(err)
				}
			}
		}
		measure(b, cycle)
	})
	b.Run("bare", func(b *testing.B) {
		s := openDirectly(b, &Config{OutOfOrder: 2 * time.Hour, WALCompression: "snappy"})
		f := newFleet(benchOrigins, benchSeries)
		refs := make([][]storage.SeriesRef, benchOrigins)
		for r := range refs {
			refs[r] = make([]storage.SeriesRef, benchSeries)
		}
		db := s.front.Load().db
		cycle := func() {
			f.next()
			for from := 0; from < len(f.runs); from += perWrite {
				app := db.AppenderV2(context.Background())
				for r := from; r < from+perWrite; r++ {
					run := &f.runs[r]
					for i, ref := range run.Refs {
						ls := labels.EmptyLabels()
						if refs[r][i] == 0 {
							series, _ := run.Origin.Series(ref)
							ls, _ = nativeLabels(series.Labels)
						}
						var err error
						if refs[r][i], err = app.Append(refs[r][i], ls, 0, run.Base, run.Values[i], nil, nil, storage.AppendV2Options{}); err != nil {
							b.Fatal(err)
						}
					}
				}
				if err := app.Commit(); err != nil {
					b.Fatal(err)
				}
			}
		}
		measure(b, cycle)
	})
}

func measure(b *testing.B, cycle func()) {
	for range 3 {
		cycle() // series are made, chunks and buffers are there
	}
	b.ReportAllocs()
	b.ResetTimer()
	used := cpu(b)
	for b.Loop() {
		cycle()
	}
	b.ReportMetric(float64(cpu(b)-used)/float64(b.N)/(benchOrigins*benchSeries), "cpu-ns/sample")
}

// cpu is the CPU time of this process so far: the machine's other work does not count.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
