// The store "tsdb" keeps metrics on the disk of this machine, in Prometheus' time series database, and answers PromQL and
// Prometheus' HTTP API. Its directory is one that Prometheus and promtool can read.
//
// Samples are written as soon as the daemon delivers them, and acknowledged once they are in the write-ahead log; a
// plugin that is killed loses nothing that it acknowledged. The log reaches the disk itself when its kernel writes it, as
// with Prometheus: a machine that loses power can lose its last seconds. The newest two to three hours are in memory, the
// rest is in blocks of two hours and more that are compacted and deleted in the background.
//
// # Samples that are dropped
//
// A sample that cannot be stored is dropped under the reason that Prometheus has for it, and the rest of its batch is
// stored:
//
//	duplicate          the series has another value at this time
//	out_of_order       the series has a newer sample, and out_of_order is 0
//	too_old            older than the newest sample of the store by more than out_of_order
//	out_of_bounds      older than the store takes at all, or more than ten minutes in the future
//	invalid_labels     a series without a name, or with a label twice
//	unknown_series     a series that the daemon never defined
//	invalid_histogram  a native histogram that Prometheus does not take
//	rejected           anything else that the database says of a single sample
//
// Native histograms, of whole and of fractional counts, with exponential and with custom buckets, are samples like others.
// Exemplars are not: the last max_exemplars of them are kept in memory and in the log, and one that is not kept — because a
// newer one of its series is there, say — is only counted in the store's status.
//
// What the daemon delivers twice, because an acknowledgement was lost, does no harm: the newest sample of a series is
// recognised as the same. Older ones are taken as out of order and stored a second time, until the next compaction
// removes the copy; no query sees them twice.
//
// # When the disk is full or fails
//
// A failed write makes the rest of the log doubtful: the database might read it only up to the torn record after the next
// start. So nothing is acknowledged behind such a place. The database is closed and opened again, which cuts the log at its
// last whole record, as soon as there is room on the disk again; until then it answers queries from what it has.
//
// # The HTTP API
//
// The HTTP API is Prometheus' own package web/api/v1 under /api/v1: queries, series, labels and the state of the
// database. Types, units and help texts of metrics are answered from the definitions of the series that were stored
// since the start. The daemon itself answers for targets, rules and alerts. Remote write, OTLP and the admin
// routes are off.
//
// # How it is tested
//
// With promtool, with Prometheus' own Go client, and by killing it: its directory is Prometheus' own format and code.
//
// # Files
//
// config.go holds the block, database.go the opening of the database, quiet.go its log, write.go, histograms.go and refs.go
// the way of samples in, query.go the daemon's queries, api.go and routes.go the HTTP API, families.go what is known of metrics.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/tsdb"

	"github.com/magpie-monitoring/magpie/sdk"
)

const version = "0.1.0"

// blockDuration is how long the shortest blocks are.
const blockDuration = time.Duration(tsdb.DefaultBlockDuration) * time.Millisecond

// store is an open component.
type store struct {
	host     sdk.Host
	dir      string
	families families

	// gate is held for reading while the database is used, and for writing while it is opened again or closed.
	gate       sync.RWMutex
	front      atomic.Pointer[front] // nil: not open
	cfg        atomic.Pointer[Config]
	closed     bool
	generation uint64 // of the database: native references are worth nothing in the next

	commits  sync.Mutex              // one at a time
	doubtful atomic.Bool             // a commit failed: open again before the next
	trouble  atomic.Pointer[trouble] // of the last Write

	refusedMu sync.Mutex
	refused   map[string]uint64 // exemplars, by reason
}

// trouble is why the last Write failed.
type trouble struct{ text string }

var (
	errClosed  = errors.New("the store is closed")
	errOpening = errors.New("the store is being opened again after a failed write: try again soon")
)

func open(ctx context.Context, cfg *Config, host sdk.Host) (*store, error) {
	s := &store{host: host, dir: cfg.Path}
	s.cfg.Store(cfg)
	if s.dir == "" {
		var err error
		if s.dir, err = host.Dir(); err != nil {
			return nil, err
		}
	}
	if err := s.openDatabase(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// openDatabase opens the database and what answers from it. Where others can see the store, the gate is held for writing.
func (s *store) openDatabase(ctx context.Context) error {
	cfg := s.cfg.Load()
	db, err := openDatabase(ctx, s.dir, cfg, s.host.Log())
	if err != nil {
		return err
	}
	f, err := newFront(db, cfg, &s.families, s.host.Log())
	if err != nil {
		return errors.Join(err, db.close())
	}
	s.generation++
	s.doubtful.Store(false)
	s.front.Store(f)
	return nil
}

// enter lets a query in; the caller unlocks the gate for reading when it is done.
func (s *store) enter() (*front, error) {
	if !s.gate.TryRLock() { // it is only held for writing for as long as an opening takes
		return nil, errOpening
	}
	f := s.front.Load()
	switch {
	case s.closed:
		s.gate.RUnlock()
		return nil, errClosed
	case f == nil || f.db.closing.Err() != nil:
		s.gate.RUnlock()
		return nil, errOpening
	}
	return f, nil
}

// shut ends running queries and takes the gate for writing.
func (s *store) shut(ctx context.Context) error {
	if f := s.front.Load(); f != nil {
		f.db.stopQueries()
	}
	for !s.gate.TryLock() { // Lock would not heed ctx
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("queries are still running: %w", ctx.Err())
		}
	}
	return nil
}

// Reconfigure applies retention, the out-of-order window and the limits. Queries that run keep theirs.
func (s *store) Reconfigure(_ context.Context, cfg *Config) error {
	if !s.gate.TryRLock() {
		return errOpening
	}
	defer s.gate.RUnlock()
	if s.closed {
		return errClosed
	}
	if f := s.front.Load(); f != nil { // otherwise the next opening uses it
		next, err := newFront(f.db, cfg, &s.families, s.host.Log())
		if err != nil {
			return err
		}
		if err := f.db.apply(cfg); err != nil {
			return err
		}
		s.front.Store(next)
	}
	s.cfg.Store(cfg)
	return nil
}

// Close ends running queries and closes the database, which flushes its log.
func (s *store) Close(ctx context.Context) error {
	if err := s.shut(ctx); err != nil {
		return err
	}
	defer s.gate.Unlock()
	f := s.front.Swap(nil)
	s.closed = true
	if f == nil {
		return nil
	}
	return f.db.close()
}

// Health answers from memory.
func (s *store) Health() (sdk.Status, string) {
	f, err := s.enter()
	if err != nil {
		return sdk.Degraded, err.Error()
	}
	defer s.gate.RUnlock()
	text := f.db.describe() + s.describeRefused()
	if t := s.trouble.Load(); t != nil {
		return sdk.Degraded, "cannot write: " + t.text + "; " + text
	}
	return sdk.OK, text
}

var (
	_ sdk.Storer               = (*store)(nil)
	_ sdk.Forgetter            = (*store)(nil)
	_ sdk.Reconfigurer[Config] = (*store)(nil)
	_ sdk.Closer               = (*store)(nil)
	_ sdk.Healther             = (*store)(nil)
	_ http.Handler             = (*store)(nil)
)
