package main

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// dictionary knows the refs of the series that senders send. Memory: about 200 B and the labels of each series that was
// sent within forgetAfter.
type dictionary struct {
	batch    *sdk.Batch
	own      map[string]string // labels of the block
	known    map[string]*entry // by the labels as key writes them
	families map[string]*sdk.Family
	key      []byte
	swept    time.Time
}

type entry struct {
	ref  sdk.Ref
	name string
	seen int64 // Unix seconds
}

const (
	forgetAfter = 15 * time.Minute
	sweepEvery  = time.Minute
	maxFamilies = 100_000 // of protocol 1.0, whose metadata come apart from series
)

// counts are what became of a request's parts, as protocol 2.0 counts them.
type counts struct {
	samples, histograms, exemplars int
	refused                        int    // samples and histograms
	wrong                          string // of the first one
}

// refuse counts samples that are not taken; the daemon counts them by reason, "" if it has done so already.
func (d *dictionary) refuse(c *counts, reason string, n int, format string, args ...any) {
	if reason != "" {
		d.batch.Reject(reason, n)
	}
	if c.refused += n; c.wrong == "" {
		c.wrong = fmt.Sprintf(format, args...)
	}
}

// maxAhead is how far in the future a sample may be; the daemon takes none that are later, and a store neither.
const maxAhead = 9 * time.Minute

// put puts a request into the batch.
func (d *dictionary) put(q *request, now time.Time) (c counts) {
	d.learn(q.families)
	latest := now.Add(maxAhead).UnixMilli()
	for i := range q.series {
		s := &q.series[i]
		n := s.points.to - s.points.from + s.histograms.to - s.histograms.from
		if s.wrong != "" {
			d.refuse(&c, "invalid_labels", n, "%s: %s", textOf(q.labels[s.labels.from:s.labels.to]), s.wrong)
			continue
		}
		if n == 0 && s.exemplars.from == s.exemplars.to {
			continue
		}
		ref, wrong := d.ref(q, s, now)
		if wrong != "" {
			d.refuse(&c, "", n, "%s: %s", textOf(q.labels[s.labels.from:s.labels.to]), wrong)
		}
		d.putSamples(q, s, ref, wrong == "", latest, &c)
	}
	if now.Sub(d.swept) >= sweepEvery {
		d.sweep(now)
	}
	return c
}

// putSamples puts a series' samples into the batch; the batch counts those of a series that it does not take.
func (d *dictionary) putSamples(q *request, s *received, ref sdk.Ref, taken bool, latest int64, c *counts) {
	for _, p := range q.points[s.points.from:s.points.to] {
		if taken && p.t > latest {
			d.refuse(c, "future", 1, "%s: a sample of %s is too far in the future", textOf(q.labels[s.labels.from:s.labels.to]), time.UnixMilli(p.t).UTC().Format(time.RFC3339))
			continue
		}
		d.batch.PutAt(ref, p.v, time.UnixMilli(p.t))
		c.samples++
	}
	for _, h := range q.histograms[s.histograms.from:s.histograms.to] {
		if err := h.Validate(); taken && (err != nil || h.t > latest) {
			reason := "invalid_histogram"
			if err == nil {
				reason, err = "future", fmt.Errorf("%s is too far in the future", time.UnixMilli(h.t).UTC().Format(time.RFC3339))
			}
			d.refuse(c, reason, 1, "%s: a histogram: %v", textOf(q.labels[s.labels.from:s.labels.to]), err)
			continue
		}
		d.batch.PutHistogramAt(ref, h.Histogram, time.UnixMilli(h.t))
		c.histograms++
	}
	if !taken {
		c.samples -= s.points.to - s.points.from
		c.histograms -= s.histograms.to - s.histograms.from
		return
	}
	for _, e := range q.exemplars[s.exemplars.from:s.exemplars.to] {
		d.batch.PutExemplar(ref, sdk.Exemplar{Labels: labelsOf(q.examples[e.labels.from:e.labels.to]), Value: e.v, Time: time.UnixMilli(e.t)})
		c.exemplars++
	}
}

// ref finds or defines a series.
func (d *dictionary) ref(q *request, s *received, now time.Time) (sdk.Ref, string) {
	pairs := q.labels[s.labels.from:s.labels.to]
	d.key = d.key[:0]
	for _, l := range pairs {
		d.key = append(binary.AppendUvarint(d.key, uint64(len(l.name))), l.name...)
		d.key = append(binary.AppendUvarint(d.key, uint64(len(l.value))), l.value...)
	}
	if e := d.known[string(d.key)]; e != nil {
		e.seen = now.Unix()
		return e.ref, ""
	}
	ls := d.withOwn(labelsOf(pairs))
	name := ls.Get(sdk.NameLabel)
	valid := ls.Valid()
	ref := d.batch.Define(sdk.Series{Labels: ls, Family: d.family(name, &s.about)})
	switch {
	case !valid:
		return ref, "a label is no UTF-8, or there are too many or too long ones"
	case ref == sdk.NoRef:
		return ref, "there are more series than limit_series lets in"
	}
	d.known[string(d.key)] = &entry{ref, name, now.Unix()}
	return ref, ""
}

// withOwn adds the labels of the block; what the sender has under the same name becomes exported_<name>.
func (d *dictionary) withOwn(ls sdk.Labels) sdk.Labels {
	for name, value := range d.own {
		if v := ls.Get(name); v != "" {
			exported := "exported_" + name
			for ls.Get(exported) != "" {
				exported = "exported_" + exported
			}
			ls = ls.Set(exported, v)
		}
		ls = ls.Set(name, value)
	}
	return ls
}

// family is what is known of a series' metric: what came with it, or before it.
func (d *dictionary) family(name string, a *about) *sdk.Family {
	if a.kind == sdk.Unknown && len(a.help)+len(a.unit) == 0 {
		if f := d.families[name]; f != nil {
			return f
		}
		return d.families[baseOf(name)]
	}
	switch a.kind {
	case sdk.HistogramType, sdk.GaugeHistogramType, sdk.SummaryType:
		name = baseOf(name)
	}
	return &sdk.Family{Name: name, Type: a.kind, Help: string(a.help), Unit: string(a.unit)}
}

// baseOf cuts what histograms and summaries append to their family's name.
func baseOf(name string) string {
	for _, suffix := range [...]string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, suffix); ok {
			return base
		}
	}
	return name
}

// learn takes metadata of protocol 1.0. The series that it is news of are defined anew when they come next.
func (d *dictionary) learn(families []sdk.Family) {
	news := map[string]bool{}
	for i := range families {
		f := families[i]
		old := d.families[f.Name]
		if old != nil && *old == f || old == nil && len(d.families) >= maxFamilies || !valid(&f) {
			continue
		}
		d.families[f.Name] = &f
		news[f.Name] = true
	}
	if len(news) > 0 {
		d.drop(func(e *entry) bool { return news[e.name] || news[baseOf(e.name)] })
	}
}

func valid(f *sdk.Family) bool {
	return sdk.NewLabels("n", f.Name, "h", f.Help, "u", f.Unit).Valid() // the same bounds
}

// sweep forgets series that were not sent for long. They do not go stale: that is for their sender to say.
func (d *dictionary) sweep(now time.Time) {
	d.swept = now
	before := now.Add(-forgetAfter).Unix()
	d.drop(func(e *entry) bool { return e.seen < before })
}

func (d *dictionary) drop(which func(*entry) bool) {
	for key, e := range d.known {
		if which(e) {
			d.batch.Retire(e.ref)
			delete(d.known, key)
		}
	}
}

func labelsOf(pairs []pair) sdk.Labels {
	ls := make(sdk.Labels, len(pairs))
	for i, p := range pairs {
		ls[i] = sdk.Label{Name: string(p.name), Value: string(p.value)}
	}
	return ls
}

// maxQuoted is how many bytes of labels an error shows.
const maxQuoted = 300

// textOf shows labels in an error, cut where they are long.
func textOf(pairs []pair) string {
	text := strings.ToValidUTF8(labelsOf(pairs).String(), "�")
	if len(text) > maxQuoted {
		return strings.ToValidUTF8(text[:maxQuoted], "") + " …"
	}
	return text
}
