package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang/snappy"
)

// ---- Scraping and writing to a receiver elsewhere, beside Prometheus in agent mode on the same targets at the same time.

// counter is a receiver of remote write that only counts: its work is in the benchmark's process, and in nobody's figures.
type counter struct {
	*httptest.Server
	samples, bytes, requests atomic.Int64
}

func newCounter(b *testing.B) *counter {
	c := &counter{}
	c.Server = httptest.NewServer(c)
	b.Cleanup(c.Close)
	return c
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	packed, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	body, err := snappy.Decode(nil, packed)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n := timeSeries(body)
	c.samples.Add(int64(n))
	c.bytes.Add(int64(len(packed)))
	c.requests.Add(1)
	if r.Header.Get("X-Prometheus-Remote-Write-Version") == "2.0.0" {
		w.Header().Set("X-Prometheus-Remote-Write-Samples-Written", fmt.Sprint(n))
	}
	w.WriteHeader(http.StatusNoContent)
}

// timeSeries counts field 1 of protocol 1.0 and 5 of 2.0: both senders put one sample into each.
func timeSeries(body []byte) (n int) {
	for len(body) > 0 {
		key, k := binary.Uvarint(body)
		size, l := binary.Uvarint(body[k:])
		body = body[k+l+int(size):]
		if key>>3 == 1 || key>>3 == 5 {
			n++
		}
	}
	return n
}

// prometheusAgent starts the machine's Prometheus in agent mode on the same targets.
func prometheusAgent(b *testing.B, targets []string, url string) (pid int, version string) {
	pid, _, version = startPrometheus(b, scraping(targets)+fmt.Sprintf("remote_write: [{url: '%s'}]\n", url), "--storage.agent.path", "--enable-feature=agent")
	return pid, version
}

func BenchmarkRemoteWriteBesidePrometheusAgent(b *testing.B) {
	for _, protocol := range []string{"1.0", "2.0"} {
		b.Run("protocol="+protocol, func(b *testing.B) { besideAgent(b, protocol) })
	}
}

func besideAgent(b *testing.B, protocol string) {
	targets := pages(b)
	mine, peers := newCounter(b), newCounter(b)
	pid, version := prometheusAgent(b, targets, peers.URL)
	m := start(b, fmt.Sprintf("source \"prometheus\" \"bench\" {\n  targets = [\"%s\"]\n  interval = \"%s\"\n}\nsink \"remote_write\" \"out\" {\n  url = \"%s\"\n  protocol = \"%s\"\n}\n",
		strings.Join(targets, `", "`), benchInterval, mine.URL, protocol))
	m.eventually("both have collected everything", func() bool {
		return mine.samples.Load() >= benchTargets*benchSeries && peers.samples.Load() >= benchTargets*benchSeries
	})
	time.Sleep(2 * benchInterval)

	ours, theirs := m.processes(), map[string]int{"the peer": pid}
	at := [4]int64{mine.samples.Load(), mine.bytes.Load(), peers.samples.Load(), peers.bytes.Load()}
	asked, peerAsked := mine.requests.Load(), peers.requests.Load()
	before, peerBefore := spent(b, ours), spent(b, theirs)
	peak, peerPeak := peaks(b, ours, theirs)
	after, peerAfter := spent(b, ours), spent(b, theirs)
	samples, bytes := float64(mine.samples.Load()-at[0]), float64(mine.bytes.Load()-at[1])
	peerSamples, peerBytes := float64(peers.samples.Load()-at[2]), float64(peers.bytes.Load()-at[3])

	b.Logf("Prometheus %s, agent mode; %d targets × %d series every %s for %s; CPU of all processes; samples received: %.0f in %d requests from here, %.0f in %d from there",
		version, benchTargets, benchSeries, benchInterval, benchLength, samples, mine.requests.Load()-asked, peerSamples, peers.requests.Load()-peerAsked)
	if math.Abs(samples/peerSamples-1) > 0.05 {
		b.Errorf("the two did not do the same work")
	}
	here, there := perMillion(b, before, after, samples), perMillion(b, peerBefore, peerAfter, peerSamples)
	b.ReportMetric(here, "s-cpu/Msample")
	b.ReportMetric(there, "s-cpu-agent/Msample")
	b.ReportMetric(here/there, "cpu-ratio")
	b.ReportMetric(peak/(1<<20), "MiB-peak-pss")
	b.ReportMetric(peerPeak/(1<<20), "MiB-peak-pss-agent")
	b.ReportMetric(peak/peerPeak, "memory-ratio")
	b.ReportMetric(bytes/samples, "wire-B/sample")
	b.ReportMetric(peerBytes/peerSamples, "wire-B-agent/sample")
	b.ReportMetric(0, "ns/op")
}
