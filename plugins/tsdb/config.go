package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Config is the block store "tsdb".
type Config struct {
	Path           string        `hcl:"path,optional" change:"exclusive" doc:"Directory of the data, an absolute path. Default: one of the component's own below the daemon's data_dir. The data directory of a Prometheus that does not run any more can be taken over."`
	Retention      time.Duration `hcl:"retention,optional" default:"30d" check:"min=0s" change:"live" doc:"How long to keep samples; 0: for ever. Whole blocks are deleted, each up to a tenth of this long."`
	RetentionSize  sdk.Bytes     `hcl:"retention_size,optional" default:"0B" check:"min=0B" change:"live" doc:"How large the data may grow before the oldest blocks are deleted; 0: no limit. Leave a tenth of the disk free beside it."`
	OutOfOrder     time.Duration `hcl:"out_of_order,optional" default:"2h" check:"min=0s" change:"live" doc:"How much older than the newest sample of the store a sample may be that comes behind newer ones of its series; 0: none may. It costs nothing until such samples come. The default lets through what was buffered during an outage of up to two hours while other samples kept coming."`
	WALCompression string        `hcl:"wal_compression,optional" default:"snappy" check:"oneof=none snappy zstd" change:"exclusive" doc:"Compression of the write-ahead log."`
	MinFree        sdk.Bytes     `hcl:"min_free,optional" default:"128MiB" check:"min=0B" change:"live" doc:"With less free space on the disk than this, samples are refused until there is more; the daemon keeps them and tries again. The rest is for what is in memory and has to be put on disk."`
	MaxExemplars   int           `hcl:"max_exemplars,optional" default:"10000" check:"min=0,max=1000000" change:"live" doc:"Exemplars that are kept, the newest ones of all series together: about 150 bytes of memory each, of which 70 are taken at the start. 0: none."`
	Query          *QueryLimits  `hcl:"query,block" doc:"Limits of queries."`
}

// QueryLimits is the block query in a store "tsdb". The defaults are Prometheus', but for max_series.
type QueryLimits struct {
	Timeout       time.Duration `hcl:"timeout,optional" default:"2m" check:"min=1ms" change:"live" doc:"How long a query may take, waiting for its turn included."`
	MaxConcurrent int           `hcl:"max_concurrent,optional" default:"20" check:"min=1" change:"live" doc:"Queries that are evaluated at the same time; more wait. As many requests for lists of series and labels run beside them."`
	MaxSamples    int           `hcl:"max_samples,optional" default:"50000000" check:"min=1" change:"live" doc:"Samples that one query may hold in memory, 16 bytes each; one that needs more fails."`
	MaxSeries     int           `hcl:"max_series,optional" default:"100000" check:"min=1" change:"live" doc:"Entries in one list of series, label names or label values; the rest is cut off with a warning."`
	Lookback      time.Duration `hcl:"lookback,optional" default:"5m" check:"min=1ms" change:"live" doc:"How old the last sample of a series may be to be its value now, where no staleness marker says earlier that it is gone."`
}

// Validate checks what no tag can say.
func (c *Config) Validate(d *sdk.Diags) {
	if c.Path != "" && !filepath.IsAbs(c.Path) {
		d.Errorf(&c.Path, "%q is not an absolute path: a plugin has no working directory that you know", c.Path)
	}
	if c.Retention != 0 && c.Retention < blockDuration {
		d.Errorf(&c.Retention, "retention is %s, and the shortest block is %s: keep at least that, or 0 for ever", c.Retention, blockDuration)
	}
	if c.Retention == 0 && c.RetentionSize == 0 {
		d.Warnf(&c.Retention, "neither retention nor retention_size limits the store: it grows until the disk is full")
	}
}

// limits are the query block, or its defaults where it is not written.
func (c *Config) limits() (QueryLimits, error) {
	if c.Query != nil {
		return *c.Query, nil
	}
	var q QueryLimits
	if err := sdk.Fill(&q, nil); err != nil {
		return q, fmt.Errorf("defaults of the query block: %w", err)
	}
	return q, nil
}

// Probe asks whether the directory can be written to, and whether there is room.
func (c *Config) Probe(ctx context.Context) error {
	if c.Path == "" {
		sdk.Progress(ctx, "it is kept below the daemon's data_dir")
		return nil
	}
	if err := sdk.ProbeDir(c.Path); err != nil {
		return sdk.At(&c.Path, err)
	}
	dir := c.Path
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return sdk.At(&c.Path, err)
	}
	free := sdk.Bytes(disk.Bavail) * sdk.Bytes(disk.Bsize)
	if free < c.MinFree {
		return sdk.At(&c.Path, fmt.Errorf("the disk of %s has %s free, and min_free is %s: samples would be refused", dir, rounded(free), c.MinFree))
	}
	sdk.Progress(ctx, rounded(free).String()+" are free on the disk")
	return nil
}

// rounded is a size as people compare it.
func rounded(b sdk.Bytes) sdk.Bytes {
	if b >= 10<<30 {
		return b >> 30 << 30
	}
	return b >> 20 << 20
}

var _ sdk.Prober = (*Config)(nil)
