package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/alecthomas/units"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/features"

	"github.com/magpie-monitoring/magpie/sdk"
)

// database is an open TSDB with what belongs to it alone.
type database struct {
	*tsdb.DB
	metrics  *prometheus.Registry // the TSDB's own, prometheus_tsdb_…
	features features.Collector
	replay   *tsdb.WALReplayStatus
	repaired bool    // the log was damaged, and was cut at the damage
	lateLost float64 // failed writes to the log of out-of-order samples; guarded by the store's commits
	opened   time.Time

	closing     context.Context // ends when queries are to end
	stopQueries context.CancelFunc
	release     func() // the directory
}

// openDatabase opens a directory, replays its log, and says how far it is.
func openDatabase(ctx context.Context, dir string, cfg *Config, log *slog.Logger) (*database, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, sdk.At(&cfg.Path, err)
	}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, sdk.At(&cfg.Path, err)
	}
	release, err := lock(dir, cfg, log)
	if err != nil {
		return nil, err
	}
	if err := undoRepairs(dir, log); err != nil {
		release()
		return nil, sdk.At(&cfg.Path, err)
	}
	stats := tsdb.NewDBStats()
	db := &database{metrics: prometheus.NewRegistry(), features: features.NewRegistry(), replay: stats.Head.WALReplayStatus, opened: time.Now(), release: release}
	db.closing, db.stopQueries = context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		var err error
		if db.DB, err = tsdb.Open(dir, quietly(log), db.metrics, options(cfg, db.features), stats); err != nil {
			release()
		}
		done <- err
	}()
	switch err = await(ctx, done, db.progress); {
	case err == nil:
		if took := time.Since(db.opened); took > longReplay {
			log.Info("the log was replayed", "took", took.Round(time.Second).String(), "dir", dir)
		}
		if db.repaired = db.count("prometheus_tsdb_wal_corruptions_total") > 0; db.repaired {
			log.Warn("the log was damaged and was cut at the damage: samples behind it are lost, up to three hours of them", "dir", dir)
		}
		return db, nil
	case ctx.Err() != nil: // tsdb.Open does not heed a context: what nobody waits for is closed when it is open
		go func() {
			if <-done == nil {
				db.close()
			}
		}()
	}
	return nil, sdk.At(&cfg.Path, fmt.Errorf("open the database in %s: %w", dir, err))
}

const (
	longReplay    = 5 * time.Second // is worth a line in the log
	progressEvery = 5 * time.Second
	progressUntil = 10 * time.Minute // without a change: then it hangs, and the daemon's deadline may end it
)

// await waits for an opening and reports its progress.
func await(ctx context.Context, done <-chan error, progress func() string) error {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	last, since := "", time.Now()
	for {
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			text := progress()
			if text != last {
				last, since = text, time.Now()
			}
			if time.Since(since) < progressUntil {
				sdk.Progress(ctx, text)
			}
		}
	}
}

func (db *database) progress() string {
	r := db.replay.GetWALReplayStatus()
	if r.Max == 0 {
		return "reading blocks and chunks"
	}
	return fmt.Sprintf("replaying the log: segment %d of %d to %d", r.Current, r.Min, r.Max)
}

// options are those of Prometheus' own server (cmd/prometheus): blocks grow to a tenth of the retention, at most 31 days.
func options(cfg *Config, registry features.Collector) *tsdb.Options {
	o := tsdb.DefaultOptions()
	o.RetentionDuration = cfg.Retention.Milliseconds()
	o.MaxBytes = int64(cfg.RetentionSize)
	o.MaxBlockDuration = (31 * 24 * time.Hour).Milliseconds()
	if cfg.Retention > 0 {
		o.MaxBlockDuration = max(o.MinBlockDuration, min(o.MaxBlockDuration, o.RetentionDuration/10))
	}
	o.OutOfOrderTimeWindow = cfg.OutOfOrder.Milliseconds()
	o.WALCompression = cfg.WALCompression
	o.EnableExemplarStorage, o.MaxExemplars = true, int64(cfg.MaxExemplars)
	o.NoLockfile = true // the directory is locked already
	o.FeatureRegistry = registry
	return o
}

// apply changes what can be changed in place. The lengths of blocks stay as they were at the opening.
func (db *database) apply(cfg *Config) error {
	return db.ApplyConfig(&promconfig.Config{StorageConfig: promconfig.StorageConfig{
		TSDBConfig: &promconfig.TSDBConfig{
			OutOfOrderTimeWindow: cfg.OutOfOrder.Milliseconds(),
			Retention: &promconfig.TSDBRetentionConfig{
				Time: model.Duration(cfg.Retention), Size: units.Base2Bytes(cfg.RetentionSize),
			},
		},
		ExemplarsConfig: &promconfig.ExemplarsConfig{MaxExemplars: int64(cfg.MaxExemplars)},
	}})
}

// count is the value of one of the TSDB's own counters or gauges.
func (db *database) count(name string) float64 {
	families, err := db.metrics.Gather()
	if err != nil {
		return 0
	}
	for _, f := range families {
		if f.GetName() == name && len(f.Metric) == 1 {
			return f.Metric[0].GetCounter().GetValue() + f.Metric[0].GetGauge().GetValue()
		}
	}
	return 0
}

// lateLogged reports whether the out-of-order samples of the last commit are in their log: the TSDB only counts when they
// are not.
func (db *database) lateLogged() error {
	before := db.lateLost
	if db.lateLost = db.count("prometheus_tsdb_out_of_order_wbl_writes_failed_total"); db.lateLost > before {
		return errors.New("the log of out-of-order samples could not be written")
	}
	return nil
}

// describe says in a line what the database holds.
func (db *database) describe() string {
	blocks := db.Blocks()
	size := int64(0)
	for _, b := range blocks {
		size += b.Size()
	}
	text := fmt.Sprintf("%d series in memory", db.Head().NumSeries())
	if len(blocks) > 0 {
		text += fmt.Sprintf(", %.1f MiB on disk in blocks: %d", float64(size)/(1<<20), len(blocks))
	}
	if db.repaired {
		text += "; the log was damaged when the store was opened, and samples behind the damage were lost"
	}
	return text
}

// close ends the database; nothing may use it any more.
func (db *database) close() error {
	defer db.release()
	db.stopQueries()
	return db.DB.Close()
}
