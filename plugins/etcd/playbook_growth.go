package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Of the past in the store: a trend is of six hours, and three hours at least must be known; what is further away than three days is
// none that anybody acts upon.
const (
	trendOf      = 6 * time.Hour
	trendAtLeast = 3 * time.Hour
	trendHorizon = 72 * time.Hour
)

// trend is how fast something of a member grew, as the store knows it.
type trend struct {
	member *seen
	what   string // that grew
	rate   float64
	left   time.Duration // until the quota
}

// forecast says when the quota is reached: by the store's history of what the source etcd collected, or, where there is none, by the
// two readings. The file as a whole counts for the quota; what is in use grows into free pages first, and then so does the file.
func (x *exam) forecast(ctx context.Context) {
	if len(x.answering()) == 0 {
		return
	}
	var trends []trend
	for _, size := range []struct{ metric, what string }{{"etcd_mvcc_db_total_size_in_bytes", "the database file"}, {"etcd_mvcc_db_total_size_in_use_in_bytes", "what is stored"}} {
		rates, err := x.rates(ctx, size.metric)
		if err != nil {
			x.report.Checked("growth in the store", "", err)
			x.shortForecast()
			return
		}
		for _, m := range x.answering() {
			rate, known := rates[m.instance]
			filled := float64(m.last().DbSize)
			if size.what == "what is stored" {
				filled = float64(m.last().DbSizeInUse)
			}
			if left := (m.quotaOf() - filled) / rate; known && rate > 0 && left >= 0 && left < trendHorizon.Seconds() {
				trends = append(trends, trend{m, size.what, rate, time.Duration(left * float64(time.Second))})
			}
		}
		if len(rates) == 0 {
			x.report.Checked("growth in the store", fmt.Sprintf("it does not know %s of these members yet", span(trendAtLeast)), nil)
			x.shortForecast()
			return
		}
	}
	x.report.Checked("growth in the store", "of "+span(trendOf), nil)
	if len(trends) > 0 {
		x.fills(slices.MinFunc(trends, func(a, b trend) int { return int(a.left/time.Second - b.left/time.Second) }))
	}
}

// fills is the finding of a trend.
func (x *exam) fills(t trend) {
	f := sdk.Finding{
		Severity: sdk.Info, Title: fmt.Sprintf("the database reaches its quota within %s if %s grows as in the last %s", span(t.left), t.what, span(trendOf)),
		Text: "At the quota the alarm NOSPACE is raised and no more writes are taken, on all members.",
		Evidence: []sdk.Evidence{
			{Where: t.member.instance, What: t.what + " grows by", Value: size(t.rate*3600) + " an hour"},
			{Time: t.member.at, Where: t.member.instance, What: "database size", Value: fmt.Sprintf("%s of %s; %s of it in use", size(float64(t.member.last().DbSize)), size(t.member.quotaOf()), size(float64(t.member.last().DbSizeInUse)))},
		},
		Next: []sdk.NextStep{look("See which keys are written most", x.etcdctl([]string{t.member.url}, "watch", "--prefix", "", "-w", "fields"))},
	}
	if t.left < 24*time.Hour {
		f.Severity = sdk.Warning
	}
	x.report.Find(f)
}

// rates asks the store how fast a metric of the members grew, in bytes a second; those whose past is too short are left out.
func (x *exam) rates(ctx context.Context, metric string) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, x.MemberTimeout)
	defer cancel()
	result, err := x.ask(ctx, sdk.Query{Expr: growthOf(metric, x.answering()), Start: time.Now()})
	if err != nil {
		return nil, err
	}
	rates := map[string]float64{}
	for _, s := range result.Series {
		if len(s.Points) > 0 {
			rates[s.Labels.Get("instance")] = s.Points[0].Value
		}
	}
	return rates, nil
}

func growthOf(metric string, members []*seen) string {
	var instances []string
	for _, m := range members {
		instances = append(instances, regexp.QuoteMeta(m.instance))
	}
	selector := fmt.Sprintf(`%s{instance=~%q}`, metric, strings.Join(instances, "|"))
	hours := func(d time.Duration) string { return fmt.Sprintf("%.0fh", d.Hours()) }
	return fmt.Sprintf("max by (instance) (deriv(%s[%s])) and on (instance) count_over_time(%s[1h] offset %s) > 0", selector, hours(trendOf), selector, hours(trendAtLeast))
}

// shortForecast says when the quota is reached if it goes on as between the two readings.
func (x *exam) shortForecast() {
	for _, m := range x.answering() {
		bytes, ok := grew(m.page, m.after, "etcd_debugging_mvcc_total_put_size_in_bytes")
		took := m.after
		if !ok || took == nil || took.at.Sub(m.page.at) < time.Second {
			continue // of less time a single write makes a trend
		}
		room, rate := m.quotaOf()-float64(m.last().DbSizeInUse), bytes/took.at.Sub(m.page.at).Seconds()
		if rate <= 0 || room <= 0 || room/rate > 4*3600 {
			continue
		}
		left := time.Duration(room / rate * float64(time.Second))
		x.report.Find(sdk.Finding{
			Severity: sdk.Warning, Title: fmt.Sprintf("the database reaches its quota within %s if writes go on like now", span(left)),
			Text:     "Unless a compaction makes room meanwhile: the values written count, and overwritten ones are freed by it.",
			Evidence: []sdk.Evidence{{Time: took.at, Where: m.instance, What: "bytes written", Value: fmt.Sprintf("%s/s over %s", size(rate), span(took.at.Sub(m.page.at)))}, {Time: m.at, Where: m.instance, What: "room below the quota", Value: size(room)}},
			Next:     []sdk.NextStep{look("See which keys are written most", x.etcdctl([]string{m.url}, "watch", "--prefix", "", "-w", "fields"))},
		})
		return
	}
}
