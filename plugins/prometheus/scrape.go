package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// target is an endpoint in its schedule, with what is remembered of it.
type target struct {
	*endpoint
	request *http.Request
	shaping shaping

	// Kept by the source's mutex.
	next    time.Time
	busy    bool  // a scrape runs
	removed bool  // it ends at its next turn
	err     error // of the last scrape

	// Used by the running scrape alone.
	batch   *sdk.Batch
	memory  memory
	reports [len(reports)]sdk.Ref
	size    int // of the last body
}

func (s *source) newTarget(e *endpoint) *target {
	t := &target{endpoint: e, request: s.request(e)}
	t.shaping = shaping{target: e.labels, honor: s.cfg.HonorLabels, rules: s.rules, limits: limits{
		samples: s.cfg.SampleLimit, labels: s.cfg.LabelLimit, nameLength: s.cfg.LabelNameLengthLimit, valueLength: s.cfg.LabelValueLengthLimit,
	}}
	for i := range t.reports {
		t.reports[i] = sdk.NoRef
	}
	return t
}

// reports are the series that every target has, whether it answers or not, in the order of report. Names and texts are
// Prometheus' (scrape.go: scrapeHealthMetric and those behind it).
var reports = [5]sdk.Family{
	{Name: "up", Type: sdk.GaugeType, Help: "Health of the scrape target. 1 means the target is healthy, 0 if the scrape failed."},
	{Name: "scrape_duration_seconds", Type: sdk.GaugeType, Unit: "seconds", Help: "Duration of the last scrape in seconds."},
	{Name: "scrape_samples_scraped", Type: sdk.GaugeType, Help: "Number of samples last scraped."},
	{Name: "scrape_samples_post_metric_relabeling", Type: sdk.GaugeType, Help: "Number of samples remaining after metric relabeling was applied."},
	{Name: "scrape_series_added", Type: sdk.GaugeType, Help: "Number of series that were new in the last scrape."},
}

// slots are the workspaces: pages are read by as many goroutines as there are processors, however many answers are waiting.
// Requests are not bounded by them: a target that hangs takes nothing from the others.
var slots = func() chan *workspace {
	n := runtime.GOMAXPROCS(0)
	c := make(chan *workspace, n)
	for range n {
		c <- &workspace{}
	}
	return c
}()

// counts are what a scrape reports.
type counts struct{ scraped, kept, added int }

// scrape takes a target's turn: request, read, emit.
func (s *source) scrape(ctx context.Context, out sdk.Emitter, t turn) {
	began := time.Now()
	if t.batch == nil {
		t.batch = out.Batch()
	}
	t.batch.Time = stampOf(t.scheduled, began, t.interval)
	t.defineReports() // before the page's series, which may fill limit_series
	var n counts
	err := t.refuse
	if err == nil {
		err = sdk.Recover("scrape", func() (err error) {
			n, err = s.once(ctx, t.target)
			return err
		})
	}
	if ctx.Err() == nil { // what a cancelled request says is not the target's state
		if err != nil {
			s.fail(t.target, err)
		}
		t.report(err, time.Since(began), n)
		out.Emit(ctx, t.batch)
	}
	s.done(ctx, t.target, err)
}

// once requests a page and reads it into the batch.
func (s *source) once(ctx context.Context, t *target) (n counts, err error) {
	page, err := s.fetch(ctx, t)
	if err != nil {
		return n, err
	}
	w := <-slots
	defer func() {
		page.free()
		slots <- w
	}()
	body, err := page.text(w, int(s.cfg.BodySizeLimit))
	if err != nil {
		return n, err
	}
	if len(body) == 0 { // no error, as in Prometheus
		t.memory.absent(t.batch)
		return n, nil
	}
	if page.format == fromProtobuf {
		if body, err = w.rewritten(body, s.cfg); err != nil {
			return n, err
		}
	}
	w.open(body, page.format, s.cfg.HonorTimestamps)
	err = t.memory.read(w, &t.shaping)
	n = counts{w.total, w.kept, w.added}
	if err != nil {
		t.memory.rollback(w)
		if t.memory.silent {
			n.added = 0 // counted when the first of these scrapes failed
		}
		if strings.HasPrefix(page.kind, "text/html") {
			err = fmt.Errorf("%w (it is a page of HTML: is the path right?)", err)
		}
		return n, err
	}
	t.memory.commit(w, t.batch, s.cfg.TrackTimestampsStaleness)
	return n, nil
}

// fail makes all of the target's series stale. (Prometheus leaves out those that stand on a broken page before the mistake,
// or on one with too many samples within the limit; nothing of such a page is stored there either.) After a panic, which
// may have left its memory in disorder, the target starts anew.
func (s *source) fail(t *target, err error) {
	panicked, ok := errors.AsType[*sdk.Panic](err)
	if !ok {
		t.memory.absent(t.batch)
		return
	}
	s.host.Log().Error(panicked.Error(), "target", t.String(), "stack", string(panicked.Stack))
	t.memory.end(t.batch)
}

// defineReports defines the series that report, those for which there was no room before among them.
func (t *target) defineReports() {
	for i := range reports {
		if t.reports[i] == sdk.NoRef {
			labels := append(sdk.Labels{}, t.labels...)
			t.reports[i] = t.batch.Define(sdk.Series{Labels: labels.Set(sdk.NameLabel, reports[i].Name), Family: &reports[i]})
		}
	}
}

func (t *target) report(err error, took time.Duration, n counts) {
	up := 1.0
	if err != nil {
		up = 0
	}
	for i, v := range [len(reports)]float64{up, took.Seconds(), float64(n.scraped), float64(n.kept), float64(n.added)} {
		t.batch.Put(t.reports[i], v)
	}
}

// end writes the last markers of a target that is no more, at the time of the scrape that it does not get.
func (s *source) end(ctx context.Context, out sdk.Emitter, t turn) {
	if t.batch == nil {
		return
	}
	t.batch.Time = t.scheduled.Round(0)
	t.memory.end(t.batch)
	for _, ref := range t.reports {
		if ref != sdk.NoRef {
			t.batch.Stale(ref)
			t.batch.Retire(ref)
		}
	}
	out.Emit(ctx, t.batch)
}

// done notes how a scrape ended, and logs it where that has changed.
func (s *source) done(ctx context.Context, t *target, err error) {
	s.mu.Lock()
	was := t.err
	t.busy = false
	if ctx.Err() != nil {
		err = was
	}
	t.err = err
	s.mu.Unlock()
	if err != nil && ctx.Err() == nil {
		s.host.Fail(fmt.Errorf("%s: %w", t, sdk.Target(err)))
	}
	switch {
	case err != nil && was == nil:
		s.host.Log().Warn("target is down", "target", t.String(), "error", err.Error())
	case err == nil && was != nil:
		s.host.Log().Info("target is up again", "target", t.String())
	}
}

// Probe scrapes the configured targets once, a few at a time, and says which do not answer with a page.
func (s *source) Probe(ctx context.Context) error {
	endpoints, problems := s.targeting.endpoints(nil)
	var mu sync.Mutex
	var running sync.WaitGroup
	few := make(chan struct{}, 16)
	for _, e := range endpoints {
		few <- struct{}{}
		running.Go(func() {
			defer func() { <-few }()
			t := s.newTarget(e)
			t.batch = sdk.NewScope(sdk.SourceSettings{}, "", true).Batch()
			_, err := s.once(ctx, t)
			if err == nil && e.url.Scheme == "https" && s.cfg.ProxyURL == "" {
				err = sdk.ProbeTLS(ctx, net.JoinHostPort(e.url.Hostname(), cmp.Or(e.url.Port(), "443")), s.cfg.TLS)
			}
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				problems = append(problems, fmt.Errorf("%s: %w", e, err))
			}
		})
	}
	running.Wait()
	if len(problems) == 0 && len(endpoints) > 0 {
		sdk.Progress(ctx, fmt.Sprintf("targets that answer: %d", len(endpoints)))
	}
	return sdk.Target(errors.Join(problems...))
}
