package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/util/features"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

func TestWhatCannotBeRightIsSaidOffline(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cfg     plugintest.Config
		path    string // "": fine
		text    string
		warning bool
	}{
		{nil, "", "", false},
		{plugintest.Config{"path": "/data", "retention": 2 * time.Hour, "retention_size": 1 << 30, "out_of_order": 0}, "", "", false},
		{plugintest.Config{"path": "data"}, "path", "not an absolute path", false},
		{plugintest.Config{"retention": time.Minute}, "retention", "the shortest block is 2h0m0s", false},
		{plugintest.Config{"retention": 0}, "retention", "until the disk is full", true},
		{plugintest.Config{"retention": 0, "retention_size": 1 << 40}, "", "", false},
	} {
		diags := plugintest.Validate(t, sdk.Store(open), c.cfg)
		switch {
		case c.path == "" && len(diags) == 0:
		case len(diags) != 1 || diags[0].Path.String() != c.path || diags[0].Warning != c.warning || !strings.Contains(diags[0].Text, c.text):
			t.Errorf("%v: %+v", c.cfg, diags)
		}
	}
}

// The path's change needs a gap, since both databases would hold the directory; everything that can change in place does.
func TestWhatAChangeCosts(t *testing.T) {
	t.Parallel()
	schema := sdk.Store(open).Type.Config
	costs := map[string]sdk.Change{"path": sdk.Exclusive, "wal_compression": sdk.Exclusive}
	for _, a := range append(schema.Attributes, schema.Blocks[0].Body.Attributes...) {
		want := sdk.Live
		if c, ok := costs[a.Name]; ok {
			want = c
		}
		if a.Change != want {
			t.Errorf("%s: %s, want %s", a.Name, a.Change, want)
		}
	}
	if _, err := (&Config{}).limits(); err != nil {
		t.Error(err)
	}
}

func TestTheConfigurationReachesTheDatabase(t *testing.T) {
	t.Parallel()
	hours := func(n int64) int64 { return n * time.Hour.Milliseconds() }
	for _, c := range []struct {
		cfg     Config
		longest int64 // block
	}{
		{Config{Retention: 30 * 24 * time.Hour, RetentionSize: 1 << 30, OutOfOrder: time.Hour, WALCompression: "zstd"}, hours(72)},
		{Config{Retention: 3 * time.Hour, WALCompression: "none"}, hours(2)},
		{Config{Retention: 3650 * 24 * time.Hour}, hours(31 * 24)},
		{Config{}, hours(31 * 24)},
	} {
		o := options(&c.cfg, features.NewRegistry())
		if o.RetentionDuration != c.cfg.Retention.Milliseconds() || o.MaxBytes != int64(c.cfg.RetentionSize) || o.MaxBlockDuration != c.longest ||
			o.OutOfOrderTimeWindow != c.cfg.OutOfOrder.Milliseconds() || o.WALCompression != c.cfg.WALCompression {
			t.Errorf("%+v gives %+v", c.cfg, o)
		}
	}
}

func TestRetentionAndTheWindowChangeInPlace(t *testing.T) {
	t.Parallel()
	o := openStore(t, plugintest.Config{"retention": 30 * 24 * time.Hour, "out_of_order": 0})
	db := o.front.Load().db
	if got := db.count("prometheus_tsdb_retention_limit_seconds"); got != 30*24*3600 {
		t.Errorf("retention is %v s", got)
	}
	now := time.Now().Truncate(time.Second)
	b := o.Batch()
	m := b.Define(series("m"))
	b.PutAt(m, 1, now)
	o.written(1, map[string]uint64{})
	b.PutAt(m, 1, now.Add(-time.Minute))
	o.written(0, map[string]uint64{"out_of_order": 1})
	change := func(json string) {
		t.Helper()
		if err := o.Component.Reconfigure(t.Context(), o.Number, []byte(json)); err != nil {
			t.Fatal(err)
		}
	}
	change(`{"retention": 86400000000000, "retention_size": 1073741824, "out_of_order": 600000000000}`)
	if time, size := db.count("prometheus_tsdb_retention_limit_seconds"), db.count("prometheus_tsdb_retention_limit_bytes"); time != 24*3600 || size != 1<<30 {
		t.Errorf("retention is %v s and %v B", time, size)
	}
	b.PutAt(m, 1, now.Add(-time.Minute))
	o.written(1, map[string]uint64{})
	b.PutAt(m, 1, now.Add(-time.Hour))
	o.written(0, map[string]uint64{"too_old": 1})
	if got := o.ask(`count_over_time(m[2m])`, now); got != " 2" {
		t.Errorf("%q", got)
	}
	if _, text := o.get("/api/v1/status/runtimeinfo"); !strings.Contains(text, `"storageRetention":"1d"`) {
		t.Error(text)
	}
	if err := o.Component.Reconfigure(t.Context(), o.Number, []byte(`{"retention": 1}`)); err == nil {
		t.Error("a retention of a nanosecond was accepted")
	}
	change(`{"out_of_order": 0}`)
	b.PutAt(m, 1, now.Add(-30*time.Second))
	o.written(0, map[string]uint64{"out_of_order": 1})
}

// Blocks beyond the retention go whenever the database reads its blocks again: behind a compaction, and once a minute.
func TestOldBlocksAreDeleted(t *testing.T) {
	t.Parallel()
	for name, limited := range map[string]Config{
		"time": {Retention: 4 * time.Hour, WALCompression: "none"},
		"size": {RetentionSize: 1, WALCompression: "none"},
	} {
		s := openDirectly(t, &Config{WALCompression: "none"})
		db := s.front.Load().db
		o := sdk.NewOrigin("source.test.main", func(sdk.Ref) (sdk.Series, bool) { return series("m"), true })
		fill := func(from, to time.Time) {
			for at := from; at.Before(to); at = at.Add(10 * time.Minute) {
				b := sdk.ReadBatch(1, []sdk.Run{{Origin: o, Refs: []sdk.Ref{0}, Values: []float64{1}, Base: at.UnixMilli()}})
				if err := s.Write(t.Context(), b); err != nil {
					t.Fatal(err)
				}
			}
			if err := db.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		now := time.Now()
		fill(now.Add(-24*time.Hour), now.Add(-6*time.Hour))
		before := db.Blocks()[0].MinTime()
		if err := s.Reconfigure(t.Context(), &limited); err != nil {
			t.Fatal(err)
		}
		fill(now.Add(-6*time.Hour), now)
		for _, b := range db.Blocks() {
			if age := now.Sub(time.UnixMilli(b.MinTime())); b.MinTime() == before || name == "time" && age > 12*time.Hour {
				t.Errorf("%s: a block that begins %s ago is still there", name, age)
			}
		}
	}
}

func TestAProbeAsksForADirectoryAndRoom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct {
		cfg         plugintest.Config
		found, want string
	}{
		{plugintest.Config{}, "below the daemon's data_dir", ""},
		{plugintest.Config{"path": filepath.Join(dir, "new", "one")}, " are free on the disk", ""},
		{plugintest.Config{"path": dir, "min_free": int64(1) << 60}, "", "samples would be refused"},
		{plugintest.Config{"path": "/proc/none"}, "", "cannot be written to"},
	} {
		found, err := plugintest.Probe(t, capability(open), c.cfg)
		p := sdk.AsProblem(err)
		if !strings.Contains(strings.Join(found, "\n"), c.found) || (c.want == "") != (p == nil) || p != nil && (p.Path.String() != "path" || !strings.Contains(p.Error(), c.want)) {
			t.Errorf("%v: found %q, %v", c.cfg, found, err)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Errorf("left: %v", entries)
	}
}
