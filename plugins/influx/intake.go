package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/magpie-monitoring/magpie/plugins/internal/names"
	"github.com/magpie-monitoring/magpie/sdk"
)

// What the source says of itself; influx_exporter has these names for its own.
var (
	pointsTotal = sdk.Counter("influx_points_total", "Points received, those that were refused among them.")
	textsTotal  = sdk.Counter("influx_text_fields_total", "Fields that were not taken because they are texts.")
	faultsTotal = sdk.Counter("influx_refused_lines_total", "Lines refused, by reason.", "reason")
	udpTotal    = sdk.Counter("influx_udp_packets_total", "Datagrams received.")
	udpDrops    = sdk.Counter("influx_udp_packet_drops_total", "Datagrams that the kernel dropped because the receive buffer was full.")
)

// intake turns points into samples of one batch. Memory: the series that were written within idle_timeout, at most
// limit_series, each with its measurement, tags and field as they are written.
type intake struct {
	cfg   *Config
	limit int

	mu      sync.Mutex
	out     sdk.Emitter
	batch   *sdk.Batch
	own     *sdk.Batch         // of the source's own metrics
	heads   map[string]*head   // by database and head, as lines write them
	series  map[string]*series // by labels
	point   point
	key     []byte
	points  uint64
	texts   uint64
	faults  map[string]uint64
	last    string // what was wrong with the last line that was refused
	packets uint64
}

// head is a measurement with its tags.
type head struct {
	measurement string
	labels      sdk.Labels
	fields      []known
	used        time.Time
}

// known is a field's series.
type known struct {
	key string
	*series
}

// series is what was written under one set of labels, in whatever order its tags came.
type series struct {
	ref  sdk.Ref
	used time.Time
	gone bool // retired
}

// maxKnown bounds the fields of a head that are found without making their labels again.
const maxKnown = 256

// write is what one request asks for.
type write struct {
	database, retention string
	unit                int64 // of timestamps, in nanoseconds
	now                 time.Time
}

// refusal says which lines were not taken, and why.
type refusal struct {
	lines, refused int
	first          []string // of the refused
}

const maxTold = 20

func (r *refusal) Error() string {
	more := ""
	if n := r.refused - len(r.first); n > 0 {
		more = fmt.Sprintf("; and %d more", n)
	}
	return fmt.Sprintf("partial write: %d of %d lines refused: %s%s", r.refused, r.lines, strings.Join(r.first, "; "), more)
}

func newIntake(cfg *Config, settings sdk.SourceSettings) *intake {
	return &intake{cfg: cfg, limit: settings.LimitSeries, heads: map[string]*head{}, series: map[string]*series{}, faults: map[string]uint64{}}
}

func (in *intake) start(out sdk.Emitter) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.out, in.batch, in.own = out, out.Batch(), out.Batch()
	in.own.Whole = true
	clear(in.heads) // their refs are those of another batch
	clear(in.series)
}

// take emits the points of a text. An error that is a *refusal tells of the lines that were not taken; the others were.
// With sdk.ErrFull nothing was taken.
func (in *intake) take(ctx context.Context, w write, text []byte) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := in.out.Emit(sdk.WithoutWaiting(ctx), in.batch); err != nil { // nothing to send: asks whether there is room
		return err
	}
	in.batch.Time = w.now
	r := &refusal{}
	for line := 1; ; {
		rest, ends := skip(text)
		if line += ends; len(rest) == 0 {
			break
		}
		text = rest
		r.lines++
		in.points++
		rest, ends, fault := in.point.next(text)
		if fault == "" {
			fault = in.put(&w, &in.point)
		}
		if fault != "" {
			in.refuse(r, line, fault, text)
		}
		text = rest
		line += ends
	}
	if err := in.out.Emit(ctx, in.batch); err != nil {
		return err
	}
	if r.refused > 0 {
		return r
	}
	return nil
}

func (in *intake) refuse(r *refusal, line int, fault string, text []byte) {
	r.refused++
	reason, what, _ := strings.Cut(fault, ": ")
	in.faults[reason]++
	in.batch.Reject("bad_"+reason, 1)
	text, _, _ = bytes.Cut(text, []byte{'\n'})
	shown := strings.ToValidUTF8(string(text[:min(len(text), 100)]), "�")
	in.last = fmt.Sprintf("line %d: %s: %s: %q", line, reason, what, shown)
	if len(r.first) < maxTold {
		r.first = append(r.first, in.last)
	}
}

// put adds a point's numbers to the batch.
func (in *intake) put(w *write, p *point) (fault string) {
	h, fault := in.find(w, p.head)
	if fault != "" {
		return fault
	}
	at := w.now
	if p.timed {
		ms, ok := millis(p.stamp, w.unit)
		if !ok {
			return timeRange
		}
		at = time.UnixMilli(ms)
	}
	for i := range p.fields {
		if !p.fields[i].text && !utf8.Valid(p.fields[i].key) {
			return noText
		}
	}
	for i := range p.fields {
		f := &p.fields[i]
		if f.text {
			in.texts++
			in.batch.Reject("text_field", 1)
			continue
		}
		if ref := in.ref(h, i, f.key, w.now); p.timed {
			in.batch.PutAt(ref, f.value, at)
		} else {
			in.batch.Put(ref, f.value)
		}
	}
	return ""
}

// find finds a head; one that was seen before costs one look-up.
func (in *intake) find(w *write, text []byte) (*head, string) {
	in.key = append(append(append(append(append(in.key[:0], w.database...), 0), w.retention...), 0), text...)
	h := in.heads[string(in.key)]
	if h != nil {
		h.used = w.now
		return h, ""
	}
	measurement, tags, fault := parts(text)
	if fault != "" {
		return nil, fault
	}
	h = &head{measurement: measurement, used: w.now}
	for _, t := range tags {
		h.labels = h.labels.Set(names.Label(t.key), t.value)
	}
	if in.cfg.DatabaseLabel != "" {
		h.labels = h.labels.Set(in.cfg.DatabaseLabel, w.database)
	}
	if in.cfg.RetentionLabel != "" {
		h.labels = h.labels.Set(in.cfg.RetentionLabel, w.retention)
	}
	if !h.labels.Valid() {
		return nil, tooManyTags
	}
	if len(in.heads) < 2*max(in.limit, 1000) { // those beyond are taken apart every time
		in.heads[string(in.key)] = h
	}
	return h, ""
}

// ref is the series of a field; in most points field i is what it was the last time.
func (in *intake) ref(h *head, i int, key []byte, now time.Time) sdk.Ref {
	at := -1
	if i < len(h.fields) && h.fields[i].key == string(key) {
		at = i
	} else {
		at = slices.IndexFunc(h.fields, func(f known) bool { return f.key == string(key) })
	}
	if at >= 0 && !h.fields[at].gone {
		h.fields[at].used = now
		return h.fields[at].ref
	}
	s := in.define(h, key)
	if s == nil {
		return sdk.NoRef
	}
	s.used = now
	switch {
	case at >= 0:
		h.fields[at].series = s
	case len(h.fields) < maxKnown:
		h.fields = append(h.fields, known{string(key), s})
	}
	return s.ref
}

// define finds or makes the series of a field, nil where there is no room for it.
func (in *intake) define(h *head, key []byte) *series {
	labels := make(sdk.Labels, len(h.labels), len(h.labels)+6)
	copy(labels, h.labels)
	name := in.metricName(h.measurement, plain(key, ",= "))
	labels = labels.Set(sdk.NameLabel, name)
	by := labels.String()
	if s := in.series[by]; s != nil {
		return s
	}
	ref := in.batch.Define(sdk.Series{Labels: labels, Family: &sdk.Family{Name: name}})
	if ref == sdk.NoRef {
		return nil
	}
	s := &series{ref: ref}
	in.series[by] = s
	return s
}

// metricName is measurement_field as Telegraf's prometheus output and influx_exporter make it, the field value left out.
func (in *intake) metricName(measurement, field string) string {
	if field == "value" && in.cfg.DropValue {
		return names.Metric(measurement)
	}
	return names.Metric(measurement + in.cfg.Separator + field)
}

// sweep forgets what was not written for idle_timeout.
func (in *intake) sweep(ctx context.Context, now time.Time) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	for by, s := range in.series {
		if now.Sub(s.used) > in.cfg.IdleTimeout {
			s.gone = true
			delete(in.series, by)
			if s.ref < sdk.NoRef-1 {
				in.batch.Retire(s.ref)
			}
		}
	}
	maps.DeleteFunc(in.heads, func(_ string, h *head) bool { return now.Sub(h.used) > in.cfg.IdleTimeout })
	return in.out.Emit(ctx, in.batch)
}

// report writes the source's own metrics.
func (in *intake) report(ctx context.Context, drops func() (uint64, bool)) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	b := in.own
	b.Set(pointsTotal, float64(in.points))
	b.Set(textsTotal, float64(in.texts))
	for reason, n := range in.faults {
		b.Set(faultsTotal, float64(n), reason)
	}
	if in.cfg.UDPListen != "" {
		b.Set(udpTotal, float64(in.packets))
		if n, ok := drops(); ok {
			b.Set(udpDrops, float64(n))
		}
	}
	return in.out.Emit(sdk.WithoutWaiting(ctx), b)
}

// packet takes a datagram in. There is nobody to tell what is wrong with it, nor anybody who waits.
func (in *intake) packet(ctx context.Context, w write, text []byte) {
	in.mu.Lock()
	in.packets++
	in.mu.Unlock()
	err := in.take(ctx, w, text)
	for errors.Is(err, sdk.ErrFull) { // the socket's buffer holds what comes meanwhile
		select {
		case <-ctx.Done():
			return
		case <-time.After(10 * time.Millisecond):
		}
		err = in.take(ctx, w, text)
	}
}
