package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/magpie-monitoring/magpie/sdk"
)

// history answers from series in Prometheus' notation, at a time of them, with Prometheus' engine.
func history(t *testing.T, series string, at time.Duration) func(context.Context, sdk.Query) (*sdk.Result, error) {
	engine := promqltest.NewTestEngine(t, false, 5*time.Minute, 1_000_000)
	storage := promqltest.LoadedStorage(t, series)
	t.Cleanup(func() { storage.Close() })
	return func(ctx context.Context, q sdk.Query) (*sdk.Result, error) {
		query, err := engine.NewInstantQuery(ctx, storage, promql.NewPrometheusQueryOpts(false, 0), q.Expr, time.UnixMilli(0).Add(at))
		if err != nil {
			return nil, err
		}
		defer query.Close()
		vector, err := query.Exec(ctx).Vector()
		result := &sdk.Result{Type: sdk.Vector}
		for _, s := range vector {
			one := sdk.ResultSeries{Points: []sdk.Point{{Value: s.F}}}
			for name, value := range s.Metric.Map() {
				one.Labels = one.Labels.Set(name, value)
			}
			result.Series = append(result.Series, one)
		}
		return result, err
	}
}

func forecastOf(ask func(context.Context, sdk.Query) (*sdk.Result, error), size, inUse int64) *sdk.Diagnosis {
	m := &seen{member: &member{instance: "10.0.0.1:2379", url: "http://10.0.0.1:2379"}, status: &etcdserverpb.StatusResponse{DbSize: size, DbSizeInUse: inUse, DbSizeQuota: 2 << 30}}
	x := &exam{DiagnoserConfig: &DiagnoserConfig{MemberTimeout: 5 * time.Second}, report: sdk.NewReport("diagnoser.etcd.main", sdk.Question{}, nil), ask: ask, members: []*seen{m}}
	x.forecast(context.Background())
	return x.report.End(nil)
}

func TestTheStoreTellsWhenTheQuotaIsReached(t *testing.T) {
	t.Parallel()
	const grows = `load 5m
		etcd_mvcc_db_total_size_in_bytes{instance="10.0.0.1:2379", job="etcd"} 1e9x200
		etcd_mvcc_db_total_size_in_use_in_bytes{instance="10.0.0.1:2379", job="etcd"} 5e8+1e7x200
		etcd_mvcc_db_total_size_in_use_in_bytes{instance="10.0.0.10:2379", job="etcd"} 0+1e9x200`
	for name, story := range map[string]struct {
		at          time.Duration
		size, inUse int64
		severity    sdk.Severity
		says        string // "": nothing
	}{
		"soon":             {10 * time.Hour, 1e9, 1.7e9, sdk.Warning, "the database reaches its quota within 3 hours if what is stored grows as in the last 6 hours"},
		"in some days":     {10 * time.Hour, 1e9, -1e9, sdk.Info, "the database reaches its quota within 26 hours if what is stored grows"},
		"too short a past": {170 * time.Minute, 1e9, 1.7e9, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := forecastOf(history(t, grows, story.at), story.size, story.inUse)
			switch {
			case story.says == "" && len(r.Findings) > 0:
				t.Errorf("%+v", r.Findings)
			case story.says == "":
			case len(r.Findings) != 1 || !strings.HasPrefix(r.Findings[0].Title, story.says) || r.Findings[0].Severity != story.severity:
				t.Errorf("%+v", r.Findings)
			case r.Findings[0].Evidence[0].Value != "114.4 MiB an hour":
				t.Errorf("%+v", r.Findings[0].Evidence)
			}
		})
	}
}

func TestWithoutAStoreTheTwoReadingsTellHowItGrows(t *testing.T) {
	t.Parallel()
	r := forecastOf(func(context.Context, sdk.Query) (*sdk.Result, error) { return nil, errors.New("there is no store") }, 1e9, 1.7e9)
	if len(r.Findings) != 0 || len(r.Checks) != 1 || r.Checks[0].Trouble != "there is no store" {
		t.Errorf("%+v %+v", r.Findings, r.Checks)
	}
}
