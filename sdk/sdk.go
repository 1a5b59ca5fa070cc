// Every interface that an author may implement is on this page. The guide is in doc.go.

package sdk

import (
	"context"
	"log/slog"
	"net"
	"time"
)

// Kind says what a component is for. The names are those of the blocks in HCL.
type Kind string

// The kinds that a plugin can offer today.
const (
	KindSource      Kind = "source"
	KindProcessor   Kind = "processor"
	KindSink        Kind = "sink"
	KindStore       Kind = "store"
	KindNotifier    Kind = "notifier"
	KindDiscovery   Kind = "discovery"
	KindService     Kind = "service"
	KindDiagnoser   Kind = "diagnoser"
	KindCoordinator Kind = "coordinator"
)

// Collector is a source on the SDK's clock.
//
// Collect is called once when the component opens and then every interval; it never overlaps itself, and a tick that
// comes while it still runs is skipped and counted. ctx ends at the component's timeout. What was set before an error is
// still sent, with `up` at 0. A series that the next Collect does not set again goes stale.
type Collector interface {
	Collect(ctx context.Context, out *Batch) error
}

// Streamer is a source with a rhythm of its own: a scheduler, a listener, a follower of a log.
//
// Stream is called once and blocks until ctx ends. An error that it returns before that is reported, and Stream is called
// again after a pause (full jitter, 100 ms to 30 s).
type Streamer interface {
	Stream(ctx context.Context, out Emitter) error
}

// Emitter carries a Streamer's batches away. It is safe for use by several goroutines, each with batches of its own.
type Emitter interface {
	// Batch makes a batch with a dictionary of its own, to be filled and emitted again and again by one goroutine.
	Batch() *Batch
	// Emit sends what the batch holds and empties it; its series stay defined. It waits for credit while the daemon has
	// no room, until ctx ends.
	Emit(ctx context.Context, b *Batch) error
	// Flush returns when everything emitted before it is durable: what a push source answers its client after.
	Flush(ctx context.Context) error
}

// Mapper is a processor of series: it is asked once per series, never per sample, and must give the same answer for the
// same series (a replay asks again). false drops the series.
type Mapper interface {
	MapSeries(Series) (Series, bool)
}

// Deriver is a processor of samples: what it makes of them goes on in their place.
type Deriver interface {
	// Derive begins the work on the samples of one pipeline, or goes on with it: state is what the last Snapshot gave whose
	// batches were kept, nil at first. It may be of an earlier configuration of the component.
	Derive(state []byte) (Derivation, error)
}

// Derivation is a Deriver's work on one pipeline. Its calls are one after another.
//
// What Process sets, the place in the log up to which it was handed samples, and the Snapshot taken there are made durable
// together, every few seconds. After a failure another Derivation goes on from there, so that every sample counts exactly
// once, whatever dies.
type Derivation interface {
	// Process takes a batch and sets in out what comes of it, with times of their own (PutAt) or at out.Time. Samples that it
	// does not take are dropped with in.Drop(i, reason). A Permanent error drops the whole batch; after any other error, which
	// must leave no trace, Process is called again with the same batch. out is the same each time: its refs stay defined.
	Process(ctx context.Context, in, out *Batch) error
	// Snapshot gives all that is needed to go on, at most 8 MiB; nil for a processor without memory.
	Snapshot() ([]byte, error)
}

// Writer is a sink. nil acknowledges the batch but for the samples that were dropped with in.Drop(i, reason). A Permanent
// error drops the whole batch, counted; any other error makes the SDK call Write again with the same batch (same in.ID())
// after a pause. The batch is valid only during the call.
type Writer interface {
	Write(ctx context.Context, in *Batch) error
}

// Storer is a store: a sink that answers queries.
type Storer interface {
	Writer
	// Query evaluates an expression; an error of the expression is a *QueryError.
	Query(ctx context.Context, q Query) (*Result, error)
	// CheckQuery parses without evaluating; it returns a *QueryError with the offset of the mistake.
	CheckQuery(expr string) error
}

// Messenger is a notifier. The notification is rendered already; an error other than Permanent is retried by the daemon
// with the same idempotency key.
type Messenger interface {
	Notify(ctx context.Context, n Notification) (Receipt, error)
}

// Finder is a discovery: it calls found with the whole list whenever the list changes, and blocks until ctx ends.
type Finder interface {
	Discover(ctx context.Context, found func([]Discovered) error) error
}

// Examiner is a diagnoser: it finds out what is wrong with what it is configured for. It looks and never repairs:
// steps that change something are for people, who read them in the report. What it could find until ctx ends counts, and an
// error says why that is not all.
type Examiner interface {
	Diagnose(ctx context.Context, q Question, r *Report) error
}

// Arbiter is a coordinator: it decides between daemons. Several calls of either method come at the same time.
type Arbiter interface {
	// Acquire waits until key is free, and takes the lease on it; an error of ctx, or one that says why it cannot be had. Once it
	// is returned the component renews it (Lease.Renewed) until it is Done, and tells it when it is lost (Lease.Lose).
	//
	// Its fence is greater than that of every lease on the key before it, whoever held it. The lease is another's at the earliest
	// when ttl has passed since the holder was last heard of; after a holder's death it should be not much later. key and ttl
	// are within CheckLease.
	Acquire(ctx context.Context, key string, ttl time.Duration) (*Lease, error)
	// Members announces self until ctx ends, or only looks where self has no name. It calls changed, one call after another,
	// with all members, self among them, as soon as they are known and whenever they change. A member that is not heard of any more
	// is none after its ttl, and not much later.
	Members(ctx context.Context, self Member, ttl time.Duration, changed func([]Member) error) error
}

// Runner is a service: it blocks until ctx ends. A service that only serves HTTP implements http.Handler and waits.
type Runner interface {
	Run(ctx context.Context) error
}

// Host is what the daemon gives a component.
type Host interface {
	// Address is the component's address, such as source.etcd.main.
	Address() string
	// Log writes to the daemon's log under the component's address.
	Log() *slog.Logger
	// Dir is a directory of the component's own that outlives it; made on first call.
	Dir() (string, error)
	// Get reads what an earlier Put of this address stored; found is false where there is nothing.
	Get(ctx context.Context, key string) (value []byte, found bool, err error)
	// Put stores a small value (at most 1 MiB) durably under the component's address.
	Put(ctx context.Context, key string, value []byte) error
	// Query asks the store whose HTTP API the daemon serves: what a diagnoser or a service needs of the past. An error of the
	// expression is a *QueryError.
	Query(ctx context.Context, q Query) (*Result, error)
	// Checkpoint is what the last opening of this source left with Batch.Checkpoint, nil if it left none.
	Checkpoint() []byte
	// Fail reports an error that a Streamer or a service goes on after: it is counted by blame and shown as the last one.
	Fail(err error)
	// Status says in a line how the component is, for `magpie status` and the console.
	Status(s Status, text string)
	// Listen binds with SO_REUSEPORT, so that a successor binds before this component closes.
	Listen(network, address string) (net.Listener, error)
	// ListenPacket is Listen for datagrams, "udp" or "unixgram". A unix socket takes the place of one that is bound to the
	// path already; the one before keeps what was sent to it. Before closing, read what is still queued.
	ListenPacket(network, address string) (net.PacketConn, error)
	// Source gives the core attributes of a source; the zero value for other kinds.
	Source() SourceSettings
}

// SourceSettings are the core attributes of a source block, which every source has without declaring them.
type SourceSettings struct {
	Job         string            // the value of the job label
	Labels      map[string]string // labels of every series of the component
	Interval    time.Duration     // from one Collect to the next
	Timeout     time.Duration     // of one Collect; a Streamer applies it to what it does
	LimitSeries int               // live series; more are dropped and counted
}

// Progress says how far a long open is, such as replaying a log: the daemon's deadline is on silence, not on the whole.
func Progress(ctx context.Context, text string) {
	if say, ok := ctx.Value(progressKey{}).(func(string)); ok {
		say(text)
	}
}

// WithProgress makes a context whose Progress calls say.
func WithProgress(ctx context.Context, say func(string)) context.Context {
	return context.WithValue(ctx, progressKey{}, say)
}

type progressKey struct{}

// Status is how a component says it is.
type Status int

// The states of a component.
const (
	OK Status = iota
	Degraded
	Failed
)

// Discovered is one target that a discovery found.
type Discovered struct {
	Address string            // host:port, as a rule: what becomes instance
	Labels  map[string]string // __meta_… and others, for relabelling
}

// Validator is implemented by a Config: it checks offline what no tag can say. Point at fields:
// d.Errorf(&c.Port, "port %d is reserved", c.Port).
type Validator interface {
	Validate(d *Diags)
}

// Prober checks a configuration against the outside world, for `magpie check -online`: does the target answer, does it accept
// who we are, can the port be bound, can the directory be written? It changes nothing there, and is done in some seconds.
//
// A Config that implements it is asked as it is, and no component is opened: that is for what takes a port or a lock when it
// opens. Otherwise a component is opened, asked and closed. What is worth knowing though nothing is wrong is said with
// Progress: until when a certificate is valid.
type Prober interface {
	Probe(ctx context.Context) error
}

// Healther is asked every few seconds, and must answer from memory.
type Healther interface {
	Health() (Status, string)
}

// Reconfigurer takes a changed configuration in place; it is called when only attributes with `change:"live"` differ. An
// error keeps the old configuration running.
type Reconfigurer[C any] interface {
	Reconfigure(ctx context.Context, cfg *C) error
}

// Closer is called last, after everything that was collected or written is acknowledged or the deadline in ctx passed.
type Closer interface {
	Close(ctx context.Context) error
}

// TargetSetter is a source that takes targets from discoveries: its block gets the core attribute `discover`. The whole
// list comes at Open and again whenever it changes.
type TargetSetter interface {
	SetTargets(ctx context.Context, targets []Discovered) error
}

// A component may implement http.Handler: the daemon mounts it at /plugins/<address>/ with that prefix stripped, or where
// the option Mount says.
