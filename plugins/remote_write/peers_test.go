package main

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/magpie-monitoring/magpie/plugins/internal/peer"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

func TestARealPrometheusReceivesAcrossItsDeath(t *testing.T) {
	t.Parallel()
	p := peer.Prometheus(t, "", "--web.enable-remote-write-receiver")
	c := openTest(t, p.URL+"/api/v1/write", plugintest.Config{"max_samples": 200})
	b := c.Batch()
	var refs []sdk.Ref
	const series, rounds = 1000, 30
	for i := range series {
		refs = append(refs, b.Define(named("real_total", "i", fmt.Sprint(i))))
	}
	from := time.Now().Add(-rounds * time.Second).Truncate(time.Second)
	stored := uint64(0)
	for round := range rounds {
		for _, ref := range refs {
			b.PutAt(ref, float64(round), from.Add(time.Duration(round)*time.Second))
		}
		died := make(chan struct{})
		if round == 10 { // in the middle of a write, or before it
			go func() { p.Kill(); p.Start(); close(died) }()
		} else {
			close(died)
		}
		ack := c.Write()
		<-died
		stored += ack.Stored
		if len(ack.Dropped) != 0 && round != 10 {
			t.Errorf("round %d: %v", round, ack)
		}
	}
	got := p.Query(fmt.Sprintf("sum(count_over_time(real_total[%ds]))", rounds+60))
	if len(got) != 1 || got[0].Value != fmt.Sprint(series*rounds) {
		t.Errorf("Prometheus has %v samples of %d; %d were acknowledged as stored", got, series*rounds, stored)
	}
	if last := fmt.Sprint(p.Query(`real_total{i="7"}`)); last != fmt.Sprintf(`[{real_total{i="7", instance="a:1", job="x"} %d}]`, rounds-1) {
		t.Errorf("the last value is %s", last)
	}
	for _, ref := range refs {
		b.PutAt(ref, sdk.StaleNaN, from.Add(rounds*time.Second))
	}
	c.Write()
	p.Eventually("the series are stale", func() bool { return len(p.Query("real_total")) == 0 })
}

// newestReceiver is the receiver of the Prometheus that go.mod names, over its TSDB.
func newestReceiver(t testing.TB) (*httptest.Server, *tsdb.DB) {
	t.Helper()
	options := tsdb.DefaultOptions()
	db, err := tsdb.Open(t.TempDir(), slog.New(slog.DiscardHandler), nil, options, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	accepted := remoteapi.MessageTypes{remoteapi.WriteV1MessageType, remoteapi.WriteV2MessageType}
	server := httptest.NewServer(remote.NewWriteHandler(slog.New(slog.DiscardHandler), client.NewRegistry(), db, accepted, false, false, false))
	t.Cleanup(server.Close)
	return server, db
}

func countOf(t testing.TB, db *tsdb.DB, name string) (series, samples int) {
	t.Helper()
	q, err := db.Querier(0, 1<<62)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	set := q.Select(t.Context(), false, nil, labels.MustNewMatcher(labels.MatchEqual, "__name__", name))
	for set.Next() {
		series++
		for it := set.At().Iterator(nil); it.Next() != chunkenc.ValNone; samples++ {
		}
	}
	if set.Err() != nil {
		t.Fatal(set.Err())
	}
	return series, samples
}

var _ storage.Appendable = (*tsdb.DB)(nil)

func TestTheNewestPrometheusReceivesProtocol2(t *testing.T) {
	t.Parallel()
	server, db := newestReceiver(t)
	c := openTest(t, server.URL, nil)
	b := c.Batch()
	var refs []sdk.Ref
	for i := range 500 {
		refs = append(refs, b.Define(named("newest_total", "i", fmt.Sprint(i))))
	}
	now := time.Now().Truncate(time.Second)
	for round := range 4 {
		for _, ref := range refs {
			b.PutAt(ref, float64(round), now.Add(time.Duration(round)*time.Second))
		}
		if ack := c.Write(); ack.Stored != 500 {
			t.Fatal(ack)
		}
	}
	for i, ref := range refs { // half of them are late: the receiver takes the rest
		b.PutAt(ref, 9, now.Add(time.Duration(10*(i%2)-1)*time.Second))
	}
	if ack := c.Write(); ack.Stored != 250 || ack.Dropped["rejected"] != 250 {
		t.Errorf("%v", ack)
	}
	if series, samples := countOf(t, db, "newest_total"); series != 500 || samples != 2250 {
		t.Errorf("it has %d series and %d samples", series, samples)
	}
	if h := c.Health(); h.Text == "" || h.Status != 0 && len(h.Errors) == 0 {
		t.Errorf("health: %v", h)
	}
}

func TestTheNewestPrometheusReceivesHistogramsAndExemplars(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"1.0", "2.0"} {
		server, db := newestReceiver(t)
		c := openTest(t, server.URL, plugintest.Config{"protocol": protocol})
		b := c.Batch()
		now := time.Now().Truncate(time.Second)
		for i, h := range []*sdk.Histogram{
			{Schema: 3, ZeroThreshold: 0.5, ZeroCount: 2, Count: 10, Sum: 7, PositiveSpans: []sdk.Span{{Offset: -4, Length: 2}, {Offset: 1, Length: 1}}, Positive: []float64{5, 1, 2}},
			{Schema: sdk.CustomBuckets, Count: 4.5, Sum: 2, PositiveSpans: []sdk.Span{{Offset: 1, Length: 2}}, Positive: []float64{1.5, 3}, Custom: []float64{1, 2, 3}, Float: true},
			{Sum: sdk.StaleNaN},
		} {
			ref := b.Define(named("native_seconds", "i", fmt.Sprint(i)))
			b.PutHistogramAt(ref, h, now)
			b.PutExemplar(ref, sdk.Exemplar{Labels: sdk.NewLabels("trace_id", "abc"), Value: 1, Time: now})
		}
		if ack := c.Write(); ack.Stored != 3 || len(ack.Dropped) != 0 {
			t.Errorf("%s: %v, %v", protocol, ack, c.Health().LastError)
		}
		if series, samples := countOf(t, db, "native_seconds"); series != 3 || samples != 3 {
			t.Errorf("%s: it has %d series and %d histograms", protocol, series, samples)
		}
	}
}
