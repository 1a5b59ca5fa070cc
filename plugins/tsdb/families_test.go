package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/scrape"

	"github.com/magpie-monitoring/magpie/sdk"
)

// listed are the metadata of all pseudo-targets, as web/api/v1 collects them.
func (f *families) listed() (all []scrape.MetricMetadata) {
	for _, t := range f.targets()[""] {
		all = append(all, t.ListMetadata()...)
	}
	return all
}

func TestEachDistinctFamilyIsListedOnce(t *testing.T) {
	t.Parallel()
	var f families
	for range 3 {
		f.add(&sdk.Family{Name: "a_total", Type: sdk.CounterType, Help: "A."})
		f.add(&sdk.Family{Name: "a_total", Type: sdk.CounterType, Help: "Another A."})
		f.add(&sdk.Family{Name: "b_seconds", Type: sdk.HistogramType, Unit: "seconds"})
		f.add(&sdk.Family{})
		f.add(nil)
	}
	want := map[scrape.MetricMetadata]bool{
		{MetricFamily: "a_total", Type: model.MetricTypeCounter, Help: "A."}:          true,
		{MetricFamily: "a_total", Type: model.MetricTypeCounter, Help: "Another A."}:  true,
		{MetricFamily: "b_seconds", Type: model.MetricTypeHistogram, Unit: "seconds"}: true,
	}
	listed := f.listed()
	for _, m := range listed {
		if !want[m] {
			t.Errorf("%+v is listed", m)
		}
	}
	if len(listed) != len(want) {
		t.Errorf("%d entries, want %d: %v", len(listed), len(want), listed)
	}
	found := 0
	for _, target := range f.targets()[""] {
		if _, ok := target.GetMetadata("a_total"); ok {
			found++
		}
		if _, ok := target.GetMetadata("c"); ok {
			t.Error("an unknown family was found")
		}
	}
	if found != 2 {
		t.Errorf("a_total was found %d times", found)
	}
}

func TestEveryTypeHasPrometheusName(t *testing.T) {
	t.Parallel()
	known := []model.MetricType{
		model.MetricTypeUnknown, model.MetricTypeGauge, model.MetricTypeCounter, model.MetricTypeHistogram, model.MetricTypeSummary,
		model.MetricTypeInfo, model.MetricTypeStateset, model.MetricTypeGaugeHistogram,
	}
	for i, want := range known {
		var f families
		f.add(&sdk.Family{Name: "m", Type: sdk.MetricType(i)})
		if got := f.listed()[0].Type; got != want {
			t.Errorf("type %d is %q, want %q", i, got, want)
		}
	}
}

func TestFamiliesHaveABound(t *testing.T) {
	t.Parallel()
	var f families
	var done sync.WaitGroup
	for range 2 {
		done.Go(func() {
			for i := range maxFamilies + 1000 {
				f.add(&sdk.Family{Name: fmt.Sprint("m", i)})
			}
		})
	}
	done.Wait()
	if n := len(f.listed()); n != maxFamilies {
		t.Errorf("%d entries", n)
	}
	var g families
	for i := range 100 {
		g.add(&sdk.Family{Name: "m", Help: fmt.Sprint(i)})
	}
	g.add(&sdk.Family{Name: strings.Repeat("n", maxName+1)})
	g.add(&sdk.Family{Name: "long", Help: strings.Repeat("喜", maxHelp), Unit: strings.Repeat("u", 10*maxName)})
	if n := len(g.listed()); n != maxVariants+1 {
		t.Errorf("%d entries", n)
	}
	for _, m := range g.listed() {
		if len(m.Help) > maxHelp || len(m.Unit) > maxName || !utf8.ValidString(m.Help) {
			t.Errorf("%+v", m)
		}
	}
}
