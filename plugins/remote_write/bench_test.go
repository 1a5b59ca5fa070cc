package main

import (
	"fmt"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"

	"github.com/magpie-monitoring/magpie/sdk"
)

// nodes are the series of some machines, as node_exporter names them.
func nodes(n int) []sdk.Series {
	all := make([]sdk.Series, n)
	for i := range all {
		family := fmt.Sprintf("node_subsystem%d_metric_%d_total", i/8%23, i/8%125)
		all[i] = sdk.Series{
			Labels: sdk.NewLabels("__name__", family, "device", fmt.Sprintf("nvme%dn1", i/8%4), "instance", fmt.Sprintf("10.0.0.%d:9100", i/1000), "job", "node", "mode", fmt.Sprintf("mode%d", i%8)),
			Family: &sdk.Family{Name: family, Type: sdk.CounterType, Help: "Help text of the metric as its collector tells it."},
		}
	}
	return all
}

// BenchmarkEncode is the cost of a sample from the batch to the compressed message.
func BenchmarkEncode(b *testing.B) {
	const n = 10000
	all := nodes(n)
	o := sdk.NewOrigin("source.x.y", func(ref sdk.Ref) (sdk.Series, bool) { return all[ref], true })
	run := sdk.Run{Origin: o, Base: start.UnixMilli()}
	for i := range n {
		run.Refs, run.Values = append(run.Refs, sdk.Ref(i)), append(run.Values, float64(i)*1.37)
	}
	for protocol := 1; protocol <= 2; protocol++ {
		b.Run(fmt.Sprintf("protocol=%d.0", protocol), func(b *testing.B) {
			o.Data = nil
			w := bareWriter(b, "http://localhost/", fmt.Sprintf("%d.0", protocol))
			in := sdk.ReadBatch(1, []sdk.Run{run})
			var packed []byte
			b.ReportAllocs()
			for b.Loop() {
				j := w.takeJob(in)
				j.prepare(protocol)
				j.fill(j.shards[0])
				packed = snappy.Encode(packed[:cap(packed)], j.shards[0].finish())
				w.release(j)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/sample")
			b.ReportMetric(float64(len(packed))/n, "B/sample")
		})
	}
	b.Run("prometheus=1.0", func(b *testing.B) { // what its own sender does with a queue's samples
		var m prompb.WriteRequest
		for i, s := range all {
			one := prompb.TimeSeries{Samples: []prompb.Sample{{Value: float64(i) * 1.37, Timestamp: start.UnixMilli()}}}
			for _, l := range s.Labels {
				one.Labels = append(one.Labels, prompb.Label{Name: l.Name, Value: l.Value})
			}
			m.Timeseries = append(m.Timeseries, one)
		}
		var buf, packed []byte
		b.ReportAllocs()
		for b.Loop() {
			if size := m.Size(); cap(buf) < size {
				buf = make([]byte, size)
			}
			size, err := m.MarshalToSizedBuffer(buf[:m.Size()])
			if err != nil {
				b.Fatal(err)
			}
			packed = snappy.Encode(packed[:cap(packed)], buf[:size])
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/sample")
		b.ReportMetric(float64(len(packed))/n, "B/sample")
	})
}
