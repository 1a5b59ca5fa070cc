package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/notifications"
	v1 "github.com/prometheus/prometheus/web/api/v1"
)

// newAPI makes web/api/v1 over a database. What this process knows nothing of — scrape targets, rules,
// Alertmanagers, flags, a configuration file — is empty; the daemon answers for it.
func newAPI(f *front, cfg *Config, known *families, log *slog.Logger) *v1.API {
	const (
		frameSize  = 1 << 20 // bytes of a chunk of a remote read answer, Prometheus' default
		off        = false
		searchSize = 0
	)
	var nothing absent
	return v1.NewAPI(f.engine, f.db, nil, nil, f.db,
		func(context.Context) v1.ScrapePoolsRetriever { return nothing },
		func(ctx context.Context) v1.TargetRetriever { return targets{known: known, ctx: ctx} },
		func(context.Context) v1.AlertmanagerRetriever { return nothing },
		func() promconfig.Config { return promconfig.Config{} }, map[string]string{}, v1.GlobalURLOptions{},
		func(h http.HandlerFunc) http.HandlerFunc { return h },
		status{f.db}, f.db.Dir(), off, off, searchSize, log,
		func(context.Context) v1.RulesRetriever { return nothing },
		f.limits.MaxSamples, f.limits.MaxConcurrent, frameSize, off, noOrigin,
		func() (v1.RuntimeInfo, error) { return runtimeInfo(f.db, cfg) }, &v1.PrometheusVersion{Version: version, GoVersion: runtime.Version()},
		func() []notifications.Notification { return []notifications.Notification{} },
		func() (<-chan notifications.Notification, func(), bool) { return nil, nil, false },
		f.db.metrics, nil, v1.DefaultStatsRenderer,
		off, nil, off, off, off, off, f.limits.Lookback, off, off, nil, f.db.features, v1.OpenAPIOptions{}, promqlParser)
}

// noOrigin lets no other site's pages read answers: it matches nothing.
var noOrigin = regexp.MustCompile(`^\b$`)

// absent answers for what this process does not have.
type absent struct{}

func (absent) ScrapePools() []string                { return []string{} }
func (absent) Alertmanagers() []*url.URL            { return nil }
func (absent) DroppedAlertmanagers() []*url.URL     { return nil }
func (absent) RuleGroups() []*rules.Group           { return nil }
func (absent) AlertingRules() []*rules.AlertingRule { return nil }

// targets are the pseudo-targets of metadata, and no others.
type targets struct {
	known *families
	ctx   context.Context // of the request
}

// wantsFamilies is the key of a request's context for the routes of metadata.
type wantsFamilies struct{}

func (t targets) TargetsActive() map[string][]*scrape.Target {
	if t.ctx.Value(wantsFamilies{}) == nil {
		return nil
	}
	return t.known.targets()
}

func (targets) TargetsDropped() map[string][]*scrape.Target { return nil }
func (targets) TargetsDroppedCounts() map[string]int        { return nil }

func (targets) ScrapePoolConfig(pool string) (*promconfig.ScrapeConfig, error) {
	return nil, fmt.Errorf("there is no scrape pool %q: a store scrapes nothing", pool)
}

// status gives the state of the database as web/api/v1 wants it.
type status struct{ *database }

func (s status) Stats(label string, limit int) (*tsdb.Stats, error) {
	return s.Head().Stats(label, limit), nil
}

func (s status) WALReplayStatus() (tsdb.WALReplayStatus, error) {
	return s.replay.GetWALReplayStatus(), nil
}

func (s status) BlockMetas() ([]tsdb.BlockMeta, error) { return s.DB.BlockMetas(), nil }

func runtimeInfo(db *database, cfg *Config) (v1.RuntimeInfo, error) {
	name, err := os.Hostname()
	return v1.RuntimeInfo{
		StartTime: db.opened, ServerTime: time.Now(), Hostname: name, CWD: db.Dir(), ReloadConfigSuccess: true, LastConfigTime: db.opened,
		CorruptionCount: int64(db.count("prometheus_tsdb_wal_corruptions_total")), GoroutineCount: runtime.NumGoroutine(),
		GOMAXPROCS: runtime.GOMAXPROCS(0), GOMEMLIMIT: debug.SetMemoryLimit(-1), GOGC: os.Getenv("GOGC"), GODEBUG: os.Getenv("GODEBUG"),
		StorageRetention: model.Duration(cfg.Retention).String(),
	}, err
}
