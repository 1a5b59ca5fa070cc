package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/magpie-monitoring/magpie/sdk"
)

// nodePage is a page of 1,000 samples as node_exporter writes them; values are those of a moment.
func nodePage(moment int) []byte {
	var b strings.Builder
	modes := []string{"idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"}
	b.WriteString("# HELP node_cpu_seconds_total Seconds the CPUs spent in each mode.\n# TYPE node_cpu_seconds_total counter\n")
	for cpu := range 64 {
		for m, mode := range modes {
			fmt.Fprintf(&b, "node_cpu_seconds_total{cpu=\"%d\",mode=\"%s\"} %.2f\n", cpu, mode, float64(1234567+cpu*1000+m*77+moment*15)/3)
		}
	}
	for _, name := range []string{"receive_bytes", "transmit_bytes", "receive_packets", "transmit_packets", "receive_drop", "transmit_drop"} {
		fmt.Fprintf(&b, "# HELP node_network_%s_total Network device statistic %s.\n# TYPE node_network_%s_total counter\n", name, name, name)
		for device := range 40 {
			fmt.Fprintf(&b, "node_network_%s_total{device=\"veth%07x\"} %g\n", name, device*7919, float64(98765432+device*4321+moment*1500))
		}
	}
	for i := range 248 {
		fmt.Fprintf(&b, "# HELP node_memory_Field%d_bytes Memory information field Field%d_bytes.\n# TYPE node_memory_Field%d_bytes gauge\nnode_memory_Field%d_bytes %g\n", i, i, i, i, float64(i*1048576+moment*4096))
	}
	return []byte(b.String())
}

const nodeSamples = 64*8 + 6*40 + 248

// cpu is the processor time of the process, which a busy machine does not stretch.
func cpu() int64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

func perSample(b *testing.B, samples int, run func(i int)) {
	b.ReportAllocs()
	start := cpu()
	i := 0
	for b.Loop() {
		run(i)
		i++
	}
	b.ReportMetric(float64(cpu()-start)/float64(i*samples), "cpu-ns/sample")
}

func moments(n int) (all [][]byte) {
	for i := range n {
		all = append(all, nodePage(i))
	}
	return all
}

func BenchmarkMatcher(b *testing.B) {
	pages := moments(8)
	m, w, s := &memory{}, &workspace{}, &shaping{}
	batch := sdk.NewScope(sdk.SourceSettings{}, "", true).Batch()
	perSample(b, nodeSamples, func(i int) {
		w.open(pages[i%8], plainText, true)
		if err := m.read(w, s); err != nil || len(w.ids) != nodeSamples {
			b.Fatal(err, len(w.ids))
		}
		if i == 0 {
			m.commit(w, batch, false)
			batch.Seal(func(*sdk.Columns) {})
		}
	})
}

// One line less, then one more, somewhere, on every page.
func BenchmarkMatcherOneLineChanges(b *testing.B) {
	pages := moments(8)
	for i := 1; i < 8; i += 2 {
		lines := strings.SplitAfter(string(pages[i]), "\n")
		k := i * 100
		pages[i] = []byte(strings.Join(append(lines[:k:k], lines[k+1:]...), ""))
	}
	m, w, s := &memory{}, &workspace{}, &shaping{}
	batch := sdk.NewScope(sdk.SourceSettings{}, "", true).Batch()
	perSample(b, nodeSamples, func(i int) {
		w.open(pages[i%8], plainText, true)
		if err := m.read(w, s); err != nil {
			b.Fatal(err)
		}
		m.commit(w, batch, false)
		batch.Seal(func(*sdk.Columns) {})
	})
}

func BenchmarkMatcherAndBatch(b *testing.B) {
	pages := moments(8)
	m, w, s := &memory{}, &workspace{}, &shaping{}
	batch := sdk.NewScope(sdk.SourceSettings{}, "", true).Batch()
	perSample(b, nodeSamples, func(i int) {
		w.open(pages[i%8], plainText, true)
		if err := m.read(w, s); err != nil {
			b.Fatal(err)
		}
		m.commit(w, batch, false)
		batch.Seal(func(*sdk.Columns) {})
	})
}

// The full parser without anything behind it, and with the labels built.
func BenchmarkFullParser(b *testing.B) {
	pages := moments(8)
	for _, build := range []bool{false, true} {
		b.Run(fmt.Sprintf("labels=%v", build), func(b *testing.B) {
			perSample(b, nodeSamples, func(i int) {
				p := parser{page: pages[i%8]}
				p.begin(noState)
				for {
					ok, err := p.head()
					if err != nil {
						b.Fatal(err)
					}
					if !ok {
						break
					}
					if build {
						p.rawLabels()
					}
					p.value()
				}
			})
		})
	}
}

// A target's first page: every line is new.
func BenchmarkFirstPage(b *testing.B) {
	pages := moments(8)
	w := &workspace{}
	perSample(b, nodeSamples, func(i int) {
		m, s := &memory{}, &shaping{}
		batch := sdk.NewScope(sdk.SourceSettings{}, "", true).Batch()
		w.open(pages[i%8], plainText, true)
		if err := m.read(w, s); err != nil {
			b.Fatal(err)
		}
		m.commit(w, batch, false)
		batch.Seal(func(*sdk.Columns) {})
	})
}

func BenchmarkTextparse(b *testing.B) {
	pages := moments(8)
	for _, build := range []bool{false, true} {
		b.Run(fmt.Sprintf("labels=%v", build), func(b *testing.B) {
			symbols := labels.NewSymbolTable()
			perSample(b, nodeSamples, func(i int) {
				p := textparse.NewPromParser(pages[i%8], symbols, false)
				var ls labels.Labels
				for {
					entry, err := p.Next()
					if err != nil {
						break
					}
					if entry == textparse.EntrySeries {
						p.Series()
						if build {
							p.Labels(&ls)
						}
					}
				}
			})
		})
	}
}

// From request to emission, with a page server that costs little: it writes prepared answers.
func BenchmarkScrape(b *testing.B) {
	for _, zipped := range []bool{false, true} {
		b.Run(fmt.Sprintf("gzip=%v", zipped), func(b *testing.B) {
			s := &source{cfg: &Config{BodySizeLimit: 64 << 20, HonorTimestamps: true, EnableCompression: &zipped}, host: quietHost{}}
			s.targeting = targeting{cfg: s.cfg, settings: sdk.SourceSettings{Interval: time.Second, Job: "node"}}
			e, err := s.targeting.endpoint(preparedPages(b, zipped)+"/metrics", nil)
			if err != nil {
				b.Fatal(err)
			}
			if s.client, err = s.cfg.Client(0, 1); err != nil {
				b.Fatal(err)
			}
			t, out := s.newTarget(e), &countingEmitter{scope: sdk.NewScope(sdk.SourceSettings{}, "", true)}
			perSample(b, nodeSamples, func(int) {
				s.scrape(b.Context(), out, turn{target: t, scheduled: time.Now()})
			})
			if t.err != nil || out.samples%(nodeSamples+len(reports)) != 0 {
				b.Fatal(t.err, out.samples)
			}
		})
	}
}

// preparedPages serves pages of a node, one after another, and returns the URL.
func preparedPages(b *testing.B, zipped bool) string {
	var answers [][]byte
	for _, page := range moments(8) {
		encoding := "identity"
		if zipped {
			page, encoding = zip(page), "gzip"
		}
		answers = append(answers, fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s", encoding, len(page), page))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				request := make([]byte, 4096) // one request is in one piece
				for i := 0; ; i++ {
					if _, err := conn.Read(request); err != nil {
						return
					}
					conn.Write(answers[i%len(answers)])
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// countingEmitter counts samples and throws them away.
type countingEmitter struct {
	scope   *sdk.Scope
	samples int
}

func (e *countingEmitter) Batch() *sdk.Batch { return e.scope.Batch() }

func (e *countingEmitter) Emit(_ context.Context, b *sdk.Batch) error {
	b.Seal(func(c *sdk.Columns) { e.samples += len(c.Run.Refs) })
	return nil
}

func (e *countingEmitter) Flush(context.Context) error { return nil }

// protoPages are nodePage in the protobuf format.
func protoPages(b *testing.B, n int) (all [][]byte) {
	for i := range n {
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(bytes.NewReader(nodePage(i)))
		if err != nil {
			b.Fatal(err)
		}
		list := slices.SortedFunc(maps.Values(families), func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
		all = append(all, delimited(b, list...))
	}
	return all
}

// The page of BenchmarkMatcherAndBatch in protobuf, and what Prometheus' parser takes for it.
func BenchmarkProtobufAndBatch(b *testing.B) {
	pages := protoPages(b, 8)
	m, w, s := &memory{}, &workspace{}, &shaping{}
	cfg := &Config{BodySizeLimit: 1 << 20, ScrapeNativeHistograms: true}
	batch := sdk.NewScope(sdk.SourceSettings{}, "", true).Batch()
	perSample(b, nodeSamples, func(i int) {
		text, err := w.rewritten(pages[i%8], cfg)
		if err != nil {
			b.Fatal(err)
		}
		w.open(text, fromProtobuf, true)
		if err := m.read(w, s); err != nil || len(w.ids) != nodeSamples {
			b.Fatal(err, len(w.ids))
		}
		m.commit(w, batch, false)
		batch.Seal(func(*sdk.Columns) {})
	})
}

func BenchmarkTextparseProtobuf(b *testing.B) {
	pages := protoPages(b, 8)
	symbols := labels.NewSymbolTable()
	perSample(b, nodeSamples, func(i int) {
		p := textparse.NewProtobufParser(pages[i%8], false, false, false, false, symbols)
		var ls labels.Labels
		for {
			e, err := p.Next()
			if err != nil {
				break
			}
			if e == textparse.EntrySeries {
				p.Series()
				p.Labels(&ls)
			}
		}
	})
}
