package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang/snappy"

	"github.com/magpie-monitoring/magpie/sdk"
)

// writer is an open sink, and the half of the store that writes.
type writer struct {
	cfg    *Sending
	url    string
	host   sdk.Host
	client *http.Client

	spoken    atomic.Int32 // the protocol that the receiver has shown to speak; 0: not known yet
	sentBytes atomic.Int64
	trouble   atomic.Pointer[string] // why the last Write failed, or what the receiver refused in it

	mu        sync.Mutex // of what follows; it is not held while something is sent
	catalogue catalogue
	jobs      map[*sdk.Batch]*job // that failed and come again
	idle      []*shard
	spare     []*series // a finished job's
	told      time.Time // when metadata were last sent
}

// gathered is how many samples one Write takes if they are waiting: so that a receiver far away does not have to answer for
// each of the daemon's packets.
const gathered = 40_000

// maxJobs bounds what is remembered of failed batches: one for each pipeline is enough.
const maxJobs = 16

func openSink(_ context.Context, cfg *SinkConfig, host sdk.Host) (*writer, error) {
	return newWriter(cfg.URL, &cfg.Sending, host)
}

func newWriter(url string, cfg *Sending, host sdk.Host) (*writer, error) {
	client, err := cfg.Client(cfg.RequestTimeout, cfg.Shards)
	if err != nil {
		return nil, err
	}
	return &writer{cfg: cfg, url: url, host: host, client: client}, nil
}

// Write sends a batch and returns when the receiver has all of it, or has refused it for good.
func (w *writer) Write(ctx context.Context, in *sdk.Batch) error {
	j := w.takeJob(in)
	w.trouble.Store(nil)
	err := errOtherProtocol
	for errors.Is(err, errOtherProtocol) {
		j.prepare(w.protocol())
		err = j.send(ctx)
	}
	if err != nil && ctx.Err() == nil {
		text := err.Error()
		w.trouble.Store(&text)
		j.attempt++
		w.keepJob(j)
		return err
	}
	j.settle()
	w.release(j)
	if err == nil && j.protocol == 1 {
		w.tellMetadata(ctx)
	}
	return err
}

// protocol is the version to speak now.
func (w *writer) protocol() int {
	if w.cfg.Protocol == "1.0" || w.cfg.Protocol == "auto" && w.spoken.Load() == 1 {
		return 1
	}
	return 2
}

// takeJob goes on with a batch that failed, or begins one.
func (w *writer) takeJob(in *sdk.Batch) *job {
	w.mu.Lock()
	defer w.mu.Unlock()
	if j := w.jobs[in]; j != nil {
		delete(w.jobs, in)
		return j
	}
	return &job{writer: w, in: in}
}

func (w *writer) keepJob(j *job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.jobs) >= maxJobs {
		clear(w.jobs) // of streams that ended: at worst something is sent twice
	}
	if w.jobs == nil {
		w.jobs = map[*sdk.Batch]*job{}
	}
	w.jobs[j.in] = j
}

// idleShard takes a shard's memory; w.mu is held.
func (w *writer) idleShard() *shard {
	n := len(w.idle)
	if n == 0 {
		return &shard{}
	}
	s := w.idle[n-1]
	w.idle = w.idle[:n-1]
	return s
}

// release keeps a finished job's memory for the next.
func (w *writer) release(j *job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(j.series)
	w.spare = j.series[:0]
	if len(w.idle) < 2*w.cfg.Shards {
		w.idle = append(w.idle, j.shards...)
	}
}

// refused reports what the receiver will not have.
func (w *writer) refused(err error) {
	text := err.Error()
	w.trouble.Store(&text)
	w.host.Fail(err)
}

// familiesARequest bounds a request of metadata.
const familiesARequest = 2000

// tellMetadata sends the types, units and help texts of all families every now and then, as protocol 1.0 has it. They are
// not worth a second attempt: they come again.
func (w *writer) tellMetadata(ctx context.Context) {
	every := w.cfg.MetadataInterval
	w.mu.Lock()
	due := every > 0 && time.Since(w.told) >= every
	var messages [][]byte
	if due {
		w.told = time.Now()
		n := 0
		for _, f := range w.catalogue.families {
			if n%familiesARequest == 0 {
				messages = append(messages, nil)
			}
			last := &messages[len(messages)-1]
			*last = appendMetadata(*last, &f.Family)
			n++
		}
	}
	w.mu.Unlock()
	for _, m := range messages {
		response, err := w.request(ctx, 1, 0, &packed{bytes: snappy.Encode(nil, m)})
		if err == nil {
			response.Body.Close()
			if response.StatusCode/100 != 2 {
				err = sdk.Target(fmt.Errorf("POST %s answers %s to metadata", w.url, response.Status))
			}
		}
		if err != nil && ctx.Err() == nil {
			w.host.Fail(err)
			return
		}
	}
}

// Forget frees what is kept of series that will not come again.
func (w *writer) Forget(o *sdk.Origin, refs []sdk.Ref) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.catalogue.forget(o, refs)
}

// Health answers from memory.
func (w *writer) Health() (sdk.Status, string) {
	if t := w.trouble.Load(); t != nil {
		return sdk.Degraded, *t
	}
	if w.cfg.Protocol == "auto" && w.spoken.Load() == 0 {
		return sdk.OK, "nothing was sent yet"
	}
	return sdk.OK, fmt.Sprintf("protocol %d.0, %.1f MiB sent", w.protocol(), float64(w.sentBytes.Load())/(1<<20))
}

// Close ends the idle connections.
func (w *writer) Close(context.Context) error {
	w.client.CloseIdleConnections()
	return nil
}

var (
	_ sdk.Writer    = (*writer)(nil)
	_ sdk.Forgetter = (*writer)(nil)
	_ sdk.Closer    = (*writer)(nil)
	_ sdk.Healther  = (*writer)(nil)
)
