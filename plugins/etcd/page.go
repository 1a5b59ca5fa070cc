package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Bounds of a page. etcd's have about 200 KiB, 2,000 lines and 10 labels a series; the texts are what the stream carries.
const (
	maxPage   = 16 << 20
	maxLabels = 64
	maxName   = 1 << 10
	maxText   = 4 << 10
)

// page reads a member's metrics page, cycle after cycle. It keeps the ref of each line under the line's bytes before the
// value, so that a line that was there last time costs a lookup. Memory: the buffer, at most twice maxPage, and the lines
// of the last page.
type page struct {
	body     bytes.Buffer
	lines    map[string]*line
	families map[string]*family
	cycle    uint64
}

type line struct {
	ref   sdk.Ref
	cycle uint64 // when it was last read
}

type family struct {
	*sdk.Family // replaced, never changed: definitions hold it
	cycle       uint64
}

// collect fetches the page and puts its samples. After a failure everything goes stale and no ref is kept.
func (p *page) collect(ctx context.Context, client *http.Client, url string, t *sdk.Batch) error {
	if err := p.fetch(ctx, client, url+"/metrics"); err != nil {
		p.forget(t)
		return err
	}
	return p.read(t)
}

func (p *page) fetch(ctx context.Context, client *http.Client, url string) error {
	response, err := get(ctx, client, url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		err := sdk.Target(fmt.Errorf("%s answers %s", url, response.Status))
		if response.StatusCode == http.StatusNotFound {
			err = sdk.Fix(err, "If this etcd serves its metrics elsewhere, say where in metrics_endpoints.")
		}
		return err
	}
	if kind := response.Header.Get("Content-Type"); kind != "" {
		if media, _, _ := mime.ParseMediaType(kind); media != "text/plain" {
			return sdk.Target(fmt.Errorf("%s answers with %.80q, not with metrics in the text format", url, kind))
		}
	}
	p.body.Reset()
	n, err := p.body.ReadFrom(io.LimitReader(response.Body, maxPage+1))
	if err != nil {
		return unanswered(ctx, err)
	}
	if n > maxPage {
		return sdk.Target(fmt.Errorf("%s is larger than %s: this is not etcd's", url, sdk.Bytes(maxPage)))
	}
	return nil
}

// read puts the samples of the page in the body. Those before a mistake in the page are kept.
func (p *page) read(t *sdk.Batch) error {
	if p.lines == nil {
		p.lines, p.families = map[string]*line{}, map[string]*family{}
	}
	p.cycle++
	err := p.parse(t)
	for text, l := range p.lines {
		if l.cycle != p.cycle {
			t.Retire(l.ref)
			delete(p.lines, text)
		}
	}
	for name, f := range p.families {
		if f.cycle != p.cycle {
			delete(p.families, name)
		}
	}
	return err
}

// forget retires all refs: none may stay behind when the member leaves the list.
func (p *page) forget(t *sdk.Batch) {
	for _, l := range p.lines {
		t.Retire(l.ref)
	}
	clear(p.lines)
	clear(p.families)
}

func (p *page) parse(t *sdk.Batch) error {
	parser := textparse.NewPromParser(p.body.Bytes(), labels.NewSymbolTable(), false)
	current := &family{Family: &sdk.Family{}}
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return sdk.Target(fmt.Errorf("the metrics page is broken: %w", err))
		}
		switch entry {
		case textparse.EntryHelp:
			name, help := parser.Help()
			if len(help) > maxText {
				help = bytes.ToValidUTF8(help[:maxText], nil)
			}
			if current = p.family(name); current.Help != string(help) {
				changed := *current.Family
				changed.Help = string(help)
				current.Family = &changed
			}
		case textparse.EntryType:
			name, kind := parser.Type()
			if current = p.family(name); current.Type != typeOf(kind) {
				changed := *current.Family
				changed.Type = typeOf(kind)
				current.Family = &changed
			}
		case textparse.EntrySeries:
			text, _, v := parser.Series() // etcd sends no timestamps
			l := p.lines[string(text)]
			if l == nil {
				if l, err = p.define(t, parser, current.Family); err != nil {
					return err
				}
				if l.ref != sdk.NoRef { // else asked again next time: there may be room then
					p.lines[string(text)] = l
				}
			} else if l.cycle == p.cycle {
				continue // the line was there already
			}
			l.cycle = p.cycle
			t.Put(l.ref, v)
		}
	}
}

func (p *page) family(name []byte) *family {
	f := p.families[string(name)]
	if f == nil {
		f = &family{Family: &sdk.Family{Name: string(name[:min(len(name), maxName)])}}
		p.families[f.Name] = f
	}
	f.cycle = p.cycle
	return f
}

// define gives the parser's current series a ref.
func (p *page) define(t *sdk.Batch, parser textparse.Parser, f *sdk.Family) (*line, error) {
	var parsed labels.Labels
	parser.Labels(&parsed)
	if n := parsed.Len(); n > maxLabels {
		return nil, sdk.Target(fmt.Errorf("a series of the metrics page has %d labels, and may have %d", n, maxLabels))
	}
	own := make(sdk.Labels, 0, parsed.Len()+4)
	sound := true // the parser lets quoted names pass that are not UTF-8
	parsed.Range(func(l labels.Label) {
		sound = sound && len(l.Name) <= maxName && len(l.Value) <= maxText && utf8.ValidString(l.Name) && utf8.ValidString(l.Value)
		own = own.Set(l.Name, l.Value)
	})
	name := own.Get(sdk.NameLabel)
	if !sound || name == "" {
		return nil, sdk.Target(fmt.Errorf("the metrics page has a series without a name, with a text above %s, or not in UTF-8: %.200q", sdk.Bytes(maxText), own))
	}
	if !belongs(name, f.Name) {
		f = nil
	}
	return &line{ref: t.Define(sdk.Series{Labels: own, Family: f})}, nil
}

// belongs reports whether a series is of the family whose TYPE and HELP came last.
func belongs(series, family string) bool {
	suffix, ok := strings.CutPrefix(series, family)
	if !ok || family == "" {
		return false
	}
	switch suffix {
	case "", "_bucket", "_sum", "_count":
		return true
	}
	return false
}

func typeOf(t model.MetricType) sdk.MetricType {
	switch t {
	case model.MetricTypeCounter:
		return sdk.CounterType
	case model.MetricTypeGauge:
		return sdk.GaugeType
	case model.MetricTypeHistogram:
		return sdk.HistogramType
	case model.MetricTypeSummary:
		return sdk.SummaryType
	}
	return sdk.Unknown
}

// clip bounds a text that becomes a label.
func clip(text string) string {
	if len(text) > maxText {
		return strings.ToValidUTF8(text[:maxText], "")
	}
	return text
}
