// The source "file" follows files of logs, and the sink "file" writes samples and lines of logs to a file, a line each.
//
// # Following
//
// Each line that ends becomes a record of the series log{filename="PATH"}, with its level and, in JSON, its attributes. With
// starts, lines that do not match it belong to the record before them, which is complete when nothing follows for a second.
//
// A file that is renamed is read to its end under its old name, and the file that takes its name is read from its beginning:
// nothing is left out at a rotation, as long as what was renamed is not removed before it was read. Paths may match the names
// that files are renamed to, such as app.log*: a file is known by its inode and its beginning, and read once. They should, so that
// a file is found that came and was renamed while nobody looked. A file that shrinks is
// read from its beginning (copytruncate). Where each file was read to is made durable together with what was read, so that
// after a restart, or a kill, every line comes once. Files that were renamed meanwhile are found again by their inode, in the
// same directory. Files are looked at four times a second, and new ones looked for every 5 seconds; at most 1,000 are
// followed. A record has at most 128 KiB; a longer line becomes several.
//
// # Writing
//
// The sink begins a new file when one has grown too large or too old.
//
// # Formats
//
// json: what the store would get, without loss.
//
//	{"name":"up","labels":{"job":"node","instance":"a:9100"},"type":"gauge","value":1,"timestamp":1767225600000}
//
// The timestamp is in Unix milliseconds. A value that JSON does not have is a string: "NaN", "+Inf", "-Inf". A staleness
// marker, which says that the series ended, is "value":null,"stale":true. A native histogram has "histogram" in place of the value: its
// schema, zero bucket, count, sum, spans ([offset, length]), and the counts of the buckets. Exemplars are not written.
// A line of a log has "text", "level", "attributes" and "time" in place of the value, and an event its name as "event".
//
// openmetrics: as on a page of metrics, with times.
//
//	# TYPE up gauge
//	up{instance="a:9100",job="node"} 1 1767225600.000
//
// A staleness marker is NaN, like any other NaN. Native histograms and lines of logs cannot be written so; they are counted as
// dropped ("histograms", "logs"). A file that is complete ends in "# EOF": promtool tsdb create-blocks-from openmetrics takes it.
//
// # Rotation
//
// Before a batch that would make the file larger than max_size, or when it is older than max_age, the file is renamed to
// PATH.TIME, and a new one begun; then it is compressed, to PATH.TIME.gz. Of those files the newest ones are kept (keep).
//
// # What is lost
//
// Nothing that was acknowledged: a batch is acknowledged when it is in the file and the file on the disk (fsync). Where the disk is
// full or fails, what was written of the batch is cut off and the batch written again later, for as long as the queue of the
// sink holds what comes meanwhile. After a crash, the file is cut behind its last whole line; what is cut was not
// acknowledged. Samples that were written, and not acknowledged before a crash, come again and are in the file twice.
//
// One component writes a file: a second one that is given the same path is refused.
//
// # How it is tested
//
// What follows is killed and started again while a log is written and rotated, and every line looked for once.
// A process that writes is killed again and again and every acknowledged sample looked for; a file system of 1 MiB is filled and
// emptied; errors of write, fsync and truncate are injected; Prometheus' promtool makes blocks of the text.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Config is the block of the sink.
type Config struct {
	Path     string        `hcl:"path" change:"exclusive" doc:"The file, from the root of the file system (/). Its directory must be there."`
	Format   string        `hcl:"format,optional" default:"json" check:"oneof=json openmetrics" change:"exclusive" doc:"How samples are written."`
	MaxSize  sdk.Bytes     `hcl:"max_size,optional" default:"100MiB" check:"min=4KiB" change:"exclusive" doc:"Size from which a new file is begun."`
	MaxAge   time.Duration `hcl:"max_age,optional" check:"min=0s" change:"exclusive" doc:"Age from which a new file is begun, with the next batch. Default: any."`
	Keep     int           `hcl:"keep,optional" default:"10" check:"min=0" change:"exclusive" doc:"Files kept beside the one that is written. 0: all."`
	Compress bool          `hcl:"compress,optional" default:"true" change:"exclusive" doc:"Compress files with gzip that are written no more."`
}

// Validate checks the path.
func (c *Config) Validate(d *sdk.Diags) {
	switch {
	case c.Path == "-" || c.Path == "/dev/stdout" || c.Path == "/dev/stderr":
		d.Errorf(&c.Path, "a plugin's standard output belongs to the daemon: give the path of a file")
	case !filepath.IsAbs(c.Path):
		d.Errorf(&c.Path, "%q does not begin at the root: the plugin's working directory is not yours", c.Path)
	}
}

// Probe asks whether the directory is there and can be written to, and the file, if there is one.
func (c *Config) Probe(context.Context) error {
	dir := filepath.Dir(c.Path)
	if _, err := os.Stat(dir); err != nil {
		return sdk.At(&c.Path, err)
	}
	f, err := os.OpenFile(c.Path, os.O_WRONLY|os.O_APPEND, 0)
	if err == nil {
		err = f.Close()
	} else if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err == nil {
		err = sdk.ProbeDir(dir) // files are rotated there
	}
	return sdk.At(&c.Path, err)
}

// sink is an open component.
type sink struct {
	cfg  *Config
	host sdk.Host
	now  func() time.Time

	mu        sync.Mutex // several pipelines may lead here
	log       *logFile
	lines     lines
	trouble   error
	written   uint64
	rotations int

	tidying sync.WaitGroup
	tidy    chan struct{} // has an entry when rotated files are to be looked after
	stop    context.CancelFunc
}

func open(_ context.Context, cfg *Config, host sdk.Host) (*sink, error) {
	s := &sink{cfg: cfg, host: host, now: time.Now, tidy: make(chan struct{}, 1), lines: lines{openmetrics: cfg.Format == "openmetrics"}}
	log, cut, err := openLog(cfg.Path, s.lines.openmetrics, openFile)
	if err != nil {
		return nil, sdk.At(&cfg.Path, err)
	}
	if len(cut) > 0 {
		host.Log().Warn("the file ended in a line that was not whole: it was cut off", "path", cfg.Path, "bytes", len(cut), "text", string(cut[:min(len(cut), 200)]))
	}
	s.log = log
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.tidying.Go(func() { s.keepTidy(ctx) })
	return s, nil
}

// Write appends a batch and returns when it is on the disk.
func (s *sink) Write(_ context.Context, in *sdk.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.write(in)
	s.trouble = err
	if err != nil {
		return &sdk.Problem{Blame: sdk.BlameHost, Err: err}
	}
	return nil
}

func (s *sink) write(in *sdk.Batch) error {
	if s.log == nil {
		return os.ErrClosed
	}
	if err := s.log.mend(); err != nil {
		return err
	}
	text := s.lines.format(in, s.log.families)
	if s.due(len(text)) {
		if err := s.log.rotate(s.now()); err != nil {
			return err
		}
		s.rotations++
		select {
		case s.tidy <- struct{}{}:
		default:
		}
		if s.lines.openmetrics {
			text = s.lines.format(in, s.log.families) // a new file begins with all types
		}
	}
	if err := s.log.append(text); err != nil {
		return err
	}
	s.written += uint64(in.Len())
	return nil
}

// due says whether a new file is to be begun before so many bytes more.
func (s *sink) due(more int) bool {
	if s.log.size == 0 {
		return false
	}
	return s.log.size+int64(more) > int64(s.cfg.MaxSize) || s.cfg.MaxAge > 0 && s.now().Sub(s.log.born) >= s.cfg.MaxAge
}

// Forget frees the text of series that will not come again.
func (s *sink) Forget(o *sdk.Origin, refs []sdk.Ref) {
	if refs == nil {
		o.Data = nil
	}
	if known, ok := o.Data.(*sdk.Table[known]); ok {
		for _, ref := range refs {
			known.Delete(ref)
		}
	}
}

// Health tells how large the file is, and why nothing is written.
func (s *sink) Health() (sdk.Status, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.trouble != nil:
		return sdk.Failed, fmt.Sprintf("nothing is written: %v", s.trouble)
	case s.log == nil:
		return sdk.Failed, "closed"
	}
	return sdk.OK, fmt.Sprintf("%s: %.1f MiB; samples: %d, rotations: %d", s.cfg.Path, float64(s.log.size)/(1<<20), s.written, s.rotations)
}

// Close closes the file; all that is acknowledged is in it.
func (s *sink) Close(context.Context) error {
	s.stop()
	s.tidying.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.log == nil {
		return nil
	}
	err := s.log.close()
	s.log = nil
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

var (
	_ sdk.Writer    = (*sink)(nil)
	_ sdk.Forgetter = (*sink)(nil)
	_ sdk.Healther  = (*sink)(nil)
	_ sdk.Closer    = (*sink)(nil)
	_ sdk.Validator = (*Config)(nil)
	_ sdk.Prober    = (*Config)(nil)
)
