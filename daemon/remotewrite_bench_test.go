package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

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

func BenchmarkRemoteWriteBesidePrometheusAgent(b *testing.B) {
	for _, protocol := range []string{"1.0", "2.0"} {
		for _, s := range []scenario{largeTargets, fewTargets} {
			b.Run("protocol="+protocol+"/"+s.String(), func(b *testing.B) { besideAgents(b, s, protocol) })
		}
	}
}

// besideAgents gives each side a receiver of its own. The newest Prometheus speaks the same protocol, the machine's only 1.0.
func besideAgents(b *testing.B, s scenario, protocol string) {
	targets := s.pages(b)
	mine := newCounter(b)
	m := start(b, s.source(targets)+fmt.Sprintf("sink \"remote_write\" \"out\" {\n  url = \"%s\"\n  protocol = \"%s\"\n}\n", mine.URL, protocol))
	sides := []*side{mine.side("magpie", m.processes)}
	for i, p := range peers(b) {
		theirs := newCounter(b)
		config := fmt.Sprintf("remote_write: [{url: '%s'}]\n", theirs.URL)
		if i > 0 && protocol == "2.0" {
			config = fmt.Sprintf("remote_write: [{url: '%s', protobuf_message: io.prometheus.write.v2.Request}]\n", theirs.URL)
		}
		pid, _ := p.start(b, s.scraping(targets)+config, "--storage.agent.path", p.agent)
		sides = append(sides, theirs.side(p.version, only(pid)))
	}
	s.race(b, sides)
}

// side is who sends to the counter.
func (c *counter) side(name string, pids func() map[string]int) *side {
	return &side{name: name, pids: pids,
		samples: func() float64 { return float64(c.samples.Load()) }, sent: func() float64 { return float64(c.bytes.Load()) }}
}
