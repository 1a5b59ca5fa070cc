package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/magpie-monitoring/magpie/sdk"
)

var (
	textfileError = sdk.Gauge("node_textfile_scrape_error", "1 if there was an error opening or reading a file, 0 otherwise")
	textfileTime  = sdk.Gauge("node_textfile_mtime_seconds", "Unixtime mtime of textfiles successfully read.", "file")
)

// textFiles are the files that the collector textfile has read. One is read anew when its time or size changes.
type textFiles struct {
	files map[string]*textFile // by path
	said  string               // the last error that was logged
}

// textFile is a file and what it holds.
type textFile struct {
	modified time.Time
	size     int64
	samples  []textSample
	err      error
}

type textSample struct {
	series sdk.Series
	key    string
	value  float64
}

// textfile is the collector of that name. A file that is not as it should be is left out as a whole, and makes
// node_textfile_scrape_error 1.
func (h *host) textfile(_ context.Context, out *sdk.Batch) error {
	paths, errs := listTextfiles(h.cfg.TextfileDirs)
	kept := make(map[string]*textFile, len(paths))
	seen := map[string]string{}
	total := int64(0)
	for _, path := range paths {
		f, err := h.readTextfile(path, &total)
		if err == nil {
			kept[path] = f
			err = f.err
		}
		if err == nil {
			err = f.clash(path, seen)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
			continue
		}
		for _, s := range f.samples {
			out.Put(out.Series(s.series), s.value)
		}
		out.Set(textfileTime, float64(f.modified.Unix()), path)
	}
	h.text.files = kept
	out.Set(textfileError, truth(len(errs) > 0))
	h.sayTextfiles(errors.Join(errs...))
	return nil
}

// sayTextfiles logs the errors when they change.
func (h *host) sayTextfiles(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != h.text.said && text != "" {
		h.log.Warn("files of textfile_dirs are left out", "error", text)
	}
	h.text.said = text
}

// listTextfiles lists the files *.prom of directories or patterns of them, in order.
func listTextfiles(patterns []string) (paths []string, errs []error) {
	for _, p := range patterns {
		dirs, _ := filepath.Glob(p) // its only error is a bad pattern: then it is a name, as for node_exporter
		if len(dirs) == 0 {
			dirs = []string{p}
		}
		for _, dir := range dirs {
			all, err := os.ReadDir(dir)
			if err != nil {
				errs = append(errs, err)
			}
			for _, e := range all {
				if strings.HasSuffix(e.Name(), ".prom") {
					paths = append(paths, filepath.Join(dir, e.Name()))
				}
			}
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths), errs
}

// readTextfile returns a file as it is now. total is the size of those that were read before it.
func (h *host) readTextfile(path string, total *int64) (*textFile, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	if *total += info.Size(); *total > maxFile {
		return nil, fmt.Errorf("the files are larger than %d bytes together", maxFile)
	}
	f := h.text.files[path]
	if f != nil && f.modified.Equal(info.ModTime()) && f.size == info.Size() {
		return f, nil
	}
	f = &textFile{modified: info.ModTime(), size: info.Size()}
	page, err := h.read(path)
	if err != nil {
		return nil, err
	}
	f.samples, f.err = parseTextfile(page, path)
	return f, nil
}

// clash finds a series that another file has too.
func (f *textFile) clash(path string, seen map[string]string) error {
	for _, s := range f.samples {
		if other, again := seen[s.key]; again {
			return fmt.Errorf("%s is in %s too", s.series.Labels, other)
		}
	}
	for _, s := range f.samples {
		seen[s.key] = path
	}
	return nil
}

// parseTextfile reads metrics in the Prometheus text format.
func parseTextfile(page []byte, path string) (samples []textSample, err error) {
	var families map[string]*dto.MetricFamily
	err = sdk.Recover("the text parser", func() error { // {} without a name makes it panic (prometheus/common 0.71)
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err = parser.TextToMetricFamilies(bytes.NewReader(page))
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(families)) {
		if taken(name) {
			return nil, fmt.Errorf("%s is a metric that Magpie sets itself: rename it", name)
		}
		if samples, err = appendFamily(samples, families[name], path); err != nil {
			return nil, err
		}
	}
	seen := map[string]bool{}
	for i := range samples {
		s := &samples[i]
		s.key = s.series.Labels.String()
		if seen[s.key] {
			return nil, fmt.Errorf("%s is there twice", s.key)
		}
		seen[s.key] = true
	}
	return samples, nil
}

// taken says that a metric's name is one of the plugin's or of those that every source has.
func taken(name string) bool {
	if name == "up" || strings.HasPrefix(name, "scrape_") {
		return true
	}
	return slices.ContainsFunc(sdk.Declared(), func(m *sdk.Metric) bool { return m.Name == name })
}

var textfileTypes = map[dto.MetricType]sdk.MetricType{
	dto.MetricType_COUNTER: sdk.CounterType, dto.MetricType_GAUGE: sdk.GaugeType, dto.MetricType_UNTYPED: sdk.Unknown,
	dto.MetricType_SUMMARY: sdk.SummaryType, dto.MetricType_HISTOGRAM: sdk.HistogramType,
}

func appendFamily(samples []textSample, f *dto.MetricFamily, path string) ([]textSample, error) {
	family := &sdk.Family{Name: f.GetName(), Type: textfileTypes[f.GetType()], Help: f.GetHelp()}
	if f.Help == nil {
		family.Help = "Metric read from " + path
	}
	for _, m := range f.Metric {
		if m.TimestampMs != nil {
			return nil, fmt.Errorf("%s has a timestamp: write none, the time is that of the collect", family.Name)
		}
		add := func(suffix string, v float64, extra ...string) {
			labels := sdk.NewLabels(append(extra, sdk.NameLabel, family.Name+suffix)...)
			for _, l := range m.Label {
				labels = labels.Set(l.GetName(), l.GetValue())
			}
			samples = append(samples, textSample{series: sdk.Series{Labels: labels, Family: family}, value: v})
		}
		switch f.GetType() {
		case dto.MetricType_COUNTER:
			add("", m.GetCounter().GetValue())
		case dto.MetricType_GAUGE:
			add("", m.GetGauge().GetValue())
		case dto.MetricType_SUMMARY:
			for _, q := range m.GetSummary().GetQuantile() {
				add("", q.GetValue(), "quantile", bound(q.GetQuantile()))
			}
			add("_sum", m.GetSummary().GetSampleSum())
			add("_count", float64(m.GetSummary().GetSampleCount()))
		case dto.MetricType_HISTOGRAM:
			addHistogram(m.GetHistogram(), add)
		default:
			add("", m.GetUntyped().GetValue())
		}
	}
	return samples, nil
}

func addHistogram(h *dto.Histogram, add func(suffix string, v float64, extra ...string)) {
	infinite := false
	for _, b := range h.GetBucket() {
		infinite = infinite || math.IsInf(b.GetUpperBound(), 1)
		add("_bucket", float64(b.GetCumulativeCount()), "le", bound(b.GetUpperBound()))
	}
	if !infinite {
		add("_bucket", float64(h.GetSampleCount()), "le", "+Inf")
	}
	add("_sum", h.GetSampleSum())
	add("_count", float64(h.GetSampleCount()))
}

// bound writes the bound of a bucket or quantile as the text format does.
func bound(v float64) string {
	if math.IsInf(v, 1) {
		return "+Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
