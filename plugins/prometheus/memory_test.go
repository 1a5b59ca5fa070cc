package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/magpie-monitoring/magpie/sdk"
)

// follower reads successive pages of one target as a scrape does, and decodes what the batch says by labels.
type follower struct {
	memory    memory
	workspace workspace
	shaping   shaping
	batch     *sdk.Batch
	labels    map[sdk.Ref]string
	track     bool
}

func newFollower() *follower {
	return &follower{batch: sdk.NewScope(sdk.SourceSettings{}, "", true).Batch(), labels: map[sdk.Ref]string{}}
}

// outcome is what a page gave.
type outcome struct {
	failed  bool
	samples []string // labels value time, in order
	stale   []string // labels, sorted
	retired []string
	defined int
}

var scrapeTime = time.UnixMilli(1_700_000_000_000)

func (f *follower) read(page []byte, format format) (o outcome, err error) {
	w := &f.workspace
	w.open(page, format, true)
	f.batch.Time = scrapeTime
	if err = f.memory.read(w, &f.shaping); err != nil {
		o.failed = true
		f.memory.rollback(w)
		f.memory.absent(f.batch)
	} else {
		f.memory.commit(w, f.batch, f.track)
	}
	f.batch.Seal(func(c *sdk.Columns) {
		o.defined = len(c.Define)
		for _, d := range c.Define {
			f.labels[d.Ref] = d.Series.Labels.String()
		}
		for i, ref := range c.Run.Refs {
			o.samples = append(o.samples, fmt.Sprintf("%s %x %d", f.labels[ref], math.Float64bits(c.Run.Values[i]), c.Run.Time(i)))
		}
		for _, ref := range c.Stale {
			o.stale = append(o.stale, f.labels[ref])
		}
		for _, ref := range c.Retire {
			o.retired = append(o.retired, f.labels[ref])
			delete(f.labels, ref)
		}
	})
	slices.Sort(o.stale)
	slices.Sort(o.retired)
	return o, err
}

// reference does the same by Prometheus' parser and maps of labels.
type reference struct{ tracked map[string]bool }

func (r *reference) read(page []byte, format format) (o outcome) {
	samples, err := textparseAll(page, format)
	tracked, seen := map[string]bool{}, map[string]bool{}
	for _, s := range samples {
		if !tidy(&s.labels) {
			err = errNoName
			break
		}
		if len(s.labels) == 0 {
			continue // as dropped by relabelling
		}
		labels := s.labels.String()
		first := !seen[labels]
		seen[labels] = true
		if !first && !s.timed {
			continue
		}
		if !s.timed {
			s.t = scrapeTime.UnixMilli()
			tracked[labels] = true
		}
		if s.t <= scrapeTime.UnixMilli()+maxAhead {
			o.samples = append(o.samples, fmt.Sprintf("%s %x %d", labels, s.bits, s.t))
		}
	}
	if o.failed = err != nil; o.failed {
		o.samples, tracked = nil, map[string]bool{}
	}
	for labels := range r.tracked {
		if !tracked[labels] {
			o.stale = append(o.stale, labels)
		}
	}
	slices.Sort(o.stale)
	r.tracked = tracked
	return o
}

// tidy makes a series of the labels of a page; false where Prometheus refuses the page.
func tidy(ls *sdk.Labels) bool {
	for i, l := range *ls {
		if i > 0 && (*ls)[i-1].Name == l.Name || !utf8.ValidString(l.Name) || !utf8.ValidString(l.Value) {
			return false
		}
	}
	*ls = slices.DeleteFunc(*ls, func(l sdk.Label) bool { return l.Value == "" })
	return len(*ls) == 0 || ls.Get(sdk.NameLabel) != ""
}

// compareWithReference reads pages one after another and compares each with what Prometheus would make of it.
func compareWithReference(t *testing.T, format format, pages ...[]byte) {
	t.Helper()
	f, r := newFollower(), &reference{}
	for i, page := range pages {
		got, err := f.read(page, format)
		want := r.read(page, format)
		if got.failed != want.failed || !slices.Equal(got.samples, want.samples) || !slices.Equal(got.stale, want.stale) {
			t.Fatalf("page %d of %q (%v):\ngot\n%+v\nwant\n%+v", i, pages, err, got, want)
		}
	}
}

func TestSuccessivePagesReadAsPrometheusReadsThem(t *testing.T) {
	t.Parallel()
	for _, page := range pages {
		for _, other := range pages {
			a, b := []byte(page), []byte(other)
			if lenient.Match(a) || lenient.Match(b) {
				continue
			}
			compareWithReference(t, plainText, a, b, a, a)
			compareWithReference(t, openMetrics, a, b, a, a)
		}
	}
}

// shuffled makes a page of lines, and others from it by small changes.
func TestRandomChangesReadAsPrometheusReadsThem(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		lines := randomLines(random)
		var all [][]byte
		for range 6 {
			all = append(all, []byte(strings.Join(lines, "")))
			for range random.IntN(4) {
				lines = changed(random, lines)
			}
		}
		compareWithReference(t, plainText, all...)
	}
}

func randomLines(random *rand.Rand) (lines []string) {
	for i := range 1 + random.IntN(12) {
		name := fmt.Sprintf("m%d", i%5)
		if random.IntN(2) == 0 {
			lines = append(lines, fmt.Sprintf("# HELP %s Help %d.\n# TYPE %s %s\n", name, random.IntN(3), name, []string{"gauge", "histogram", "counter"}[random.IntN(3)]))
		}
		for range random.IntN(6) {
			lines = append(lines, randomSample(random, name))
		}
	}
	return lines
}

func randomSample(random *rand.Rand, name string) string {
	labels := []string{fmt.Sprintf("le=\"%d\"", random.IntN(4)), fmt.Sprintf("b=\"%d\"", random.IntN(3)), `c="\n"`, "c=\"x\ny\"", `d=""`}
	random.Shuffle(len(labels), func(i, j int) { labels[i], labels[j] = labels[j], labels[i] })
	if labels = labels[:random.IntN(3)]; len(labels) > 0 {
		name += "{" + strings.Join(labels, ",") + "}"
	}
	end := []string{"", "", "", " 5", " 1700000000000"}[random.IntN(5)]
	return fmt.Sprintf("%s%s%d%s\n", name, []string{" ", "  ", "\t"}[random.IntN(3)], random.IntN(5), end)
}

// changed inserts, removes, repeats, moves or replaces a line, or changes all values.
func changed(random *rand.Rand, lines []string) []string {
	lines = slices.Clone(lines)
	if len(lines) == 0 {
		return randomLines(random)
	}
	i, j := random.IntN(len(lines)), random.IntN(len(lines))
	switch random.IntN(7) {
	case 0:
		lines = slices.Insert(lines, i, randomSample(random, "m1"))
	case 1:
		lines = slices.Delete(lines, i, i+1)
	case 2:
		lines = slices.Insert(lines, i, lines[j])
	case 3:
		lines[i], lines[j] = lines[j], lines[i]
	case 4:
		lines[i] = randomSample(random, "m2")
	case 5:
		lines[i] = "broken\n"
	default:
		for k := range lines {
			lines[k] = strings.ReplaceAll(lines[k], "3\n", "4\n")
		}
	}
	return lines
}

func FuzzSuccessivePagesReadAsPrometheusReadsThem(f *testing.F) {
	for i, page := range pages {
		f.Add([]byte(page), []byte(pages[(i+1)%len(pages)]), false)
		f.Add([]byte(page+pages[(i+7)%len(pages)]), []byte(pages[(i+7)%len(pages)]), true)
	}
	f.Fuzz(func(t *testing.T, a, b []byte, open bool) {
		format := plainText
		if open {
			format = openMetrics
		}
		if lenient.Match(a) || lenient.Match(b) {
			f := newFollower()
			f.read(a, format)
			f.read(b, format)
			f.read(a, format)
			return
		}
		compareWithReference(t, format, a, b, a, a)
	})
}

func TestOnlyLinesThatChangeAreParsedInFull(t *testing.T) {
	t.Parallel()
	page := func(lines []string) []byte { return []byte(strings.Join(lines, "")) }
	lines := strings.SplitAfter(strings.TrimSuffix(string(nodePage(0)), "\n"), "\n") // the last line without a newline
	lines[len(lines)-1] += "\n"
	for name, c := range map[string]struct {
		change func([]string) []string
		most   int
	}{
		"nothing":                      {func(l []string) []string { return l }, 0},
		"a line is inserted":           {func(l []string) []string { return slices.Insert(l, 400, "new 1\n") }, 1},
		"a line is removed":            {func(l []string) []string { return slices.Delete(l, 400, 401) }, 1},
		"the first line of a family":   {func(l []string) []string { return slices.Delete(l, 2, 3) }, 1},
		"a hundred lines are removed":  {func(l []string) []string { return slices.Delete(l, 300, 400) }, 1},
		"a family is moved":            {func(l []string) []string { return append(slices.Clone(l[514:]), l[:514]...) }, 2},
		"a help text changes":          {func(l []string) []string { l[0] = "# HELP node_cpu_seconds_total Other words.\n"; return l }, 513},
		"a comment at the top changes": {func(l []string) []string { return slices.Insert(l, 0, "# now\n") }, 1},
		"the last line is removed":     {func(l []string) []string { return l[:len(l)-1] }, 0},
	} {
		f := newFollower()
		f.read(page(lines), plainText)
		got, err := f.read(page(c.change(slices.Clone(lines))), plainText)
		if err != nil || f.workspace.parsed > c.most {
			t.Errorf("%s: %d lines were parsed in full, and at most %d should be (%v)", name, f.workspace.parsed, c.most, err)
		}
		if name != "a line is inserted" && got.defined != 0 {
			t.Errorf("%s: %d series were defined anew", name, got.defined)
		}
		again, _ := f.read(page(c.change(slices.Clone(lines))), plainText)
		if f.workspace.parsed != 0 || len(again.samples) != len(got.samples) {
			t.Errorf("%s: on the same page again %d lines were parsed in full", name, f.workspace.parsed)
		}
	}
}

func TestSeriesThatAreGoneAreRetired(t *testing.T) {
	t.Parallel()
	f := newFollower()
	f.read([]byte("a 1\nb 2\n"), plainText)
	got, _ := f.read([]byte("b 2\n"), plainText)
	if !slices.Equal(got.retired, []string{"a"}) || !slices.Equal(got.stale, []string{"a"}) {
		t.Errorf("%+v", got)
	}
	if len(f.memory.series) != 1 || string(f.memory.text) != "b " {
		t.Errorf("kept %d series and %q", len(f.memory.series), f.memory.text)
	}
	f.memory.end(f.batch)
	f.batch.Seal(func(c *sdk.Columns) {
		if len(c.Stale) != 1 || len(c.Retire) != 1 {
			t.Errorf("at the end: %v, %v", c.Stale, c.Retire)
		}
	})
}

func TestFamiliesFitTheirSeries(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		family string
		kind   sdk.MetricType
		metric string
		member bool
	}{
		{"a", sdk.GaugeType, "a", true}, {"a", sdk.GaugeType, "a_total", false}, {"a", sdk.GaugeType, "b", false},
		{"a", sdk.CounterType, "a_total", true}, {"a_total", sdk.CounterType, "a_total", true}, {"a_total", sdk.CounterType, "a_created", true},
		{"a", sdk.HistogramType, "a_bucket", true}, {"a", sdk.HistogramType, "a_sum", true}, {"a", sdk.HistogramType, "a_count", true}, {"a", sdk.HistogramType, "a_gsum", false},
		{"a", sdk.SummaryType, "a", true}, {"a", sdk.SummaryType, "a_sum", true}, {"a", sdk.SummaryType, "a_bucket", false},
		{"a", sdk.GaugeHistogramType, "a_gcount", true}, {"a", sdk.InfoType, "a_info", true}, {"a_info", sdk.InfoType, "a_info", true}, {"", sdk.GaugeType, "a", false},
	} {
		s := state{family: sdk.Family{Name: c.family, Type: c.kind}}
		if got := s.familyOf(c.metric) != nil; got != c.member {
			t.Errorf("%s in %s (%s): %v", c.metric, c.family, c.kind, got)
		}
	}
}

func TestMetadataIsCutToWhatTheStreamTakes(t *testing.T) {
	t.Parallel()
	p := parser{page: []byte("# HELP " + strings.Repeat("n", 2000) + " " + strings.Repeat("ü", 2000) + "\n# HELP \"\xff\" x\na 1\n")}
	p.begin(noState)
	if err := p.metadataLine(len("# HELP "), 'H'); err != nil {
		t.Fatal(err)
	}
	f := p.settle(nil).family
	if len(f.Name) != maxFamilyName || len(f.Help) != maxHelp || !utf8.ValidString(f.Help) {
		t.Errorf("%d and %d bytes", len(f.Name), len(f.Help))
	}
	if _, err := p.head(); err != nil {
		t.Fatal(err)
	}
	if f := p.settle(nil).family; !utf8.ValidString(f.Name) {
		t.Errorf("family %q", f.Name)
	}
}
