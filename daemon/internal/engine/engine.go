// Package engine applies configurations: it is the only room that knows the others, and joins them with functions.
//
//	engine.go    start and stop; what is open for the whole life of the daemon
//	build.go     files → what is desired
//	apply.go     what is desired → steps → what runs
//	order.go     who wants what applied; confirmation
//	watch.go     what is read again by itself
//	history.go   what was applied when, and for whom
//	flow.go      deliveries from the log to sinks; discoveries to sources
//	alerting.go  rules to the store and to notifiers
//	facts.go     the data directory: lock, keys, numbers, the last configuration
//	status.go    how everything is
//	metrics.go   the same as metrics
package engine

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/magpie-monitoring/magpie/daemon/internal/buffer"
	"github.com/magpie-monitoring/magpie/daemon/internal/pipeline"
	"github.com/magpie-monitoring/magpie/daemon/internal/plan"
	"github.com/magpie-monitoring/magpie/daemon/internal/state"
	"github.com/magpie-monitoring/magpie/daemon/internal/supervisor"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/language"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// Options come from the command line.
type Options struct {
	Version    string
	Read       func() ([]language.Source, error) // the configuration's files, again at each reload
	PluginDirs []string
	DataDir    string // "": as the configuration says
	Listen     string // "": as the configuration says
	Log        hclog.Logger
	Mask       *language.Mask // knows the secrets of what is read: Log is to write through it
}

// Engine is a running daemon but for its HTTP.
type Engine struct {
	o          Options
	started    time.Time
	hostname   string
	dataDir    string
	fresh      bool // it was not there before
	lock       *os.File
	state      *state.Store
	hmacKey    []byte
	first      *Built // what Boot applies
	numbers    *numbers
	guard      *client.Guard
	catalogue  *client.Catalogue
	supervisor *supervisor.Supervisor
	log        *buffer.Log
	ingest     *pipeline.Ingest
	letters    *pipeline.Letters
	alerting   *alerting
	diagnoses  *diagnoses
	life       context.Context
	end        context.CancelFunc
	running    sync.WaitGroup

	applying sync.Mutex  // one apply at a time
	trial    *time.Timer // ends what was not confirmed; under mu

	mu         sync.Mutex
	booted     bool
	desired    *plan.Desired
	sources    []language.Source // that it was made of
	components map[string]*supervisor.Component
	deliveries map[string]*delivery
	finders    map[string]*finder
	origin     ConfigState
	reloads    struct{ good, bad int }
	lost       map[string]uint64 // samples that had to go for want of room, by cursor
}

// ConfigState says which configuration runs.
type ConfigState struct {
	Number      uint64 // in the history
	Pending     *Pending
	LastApplied bool   // the files are invalid: what was applied last runs
	Problem     string // why the files were not applied
	Stale       string // why files of secrets or certificates that changed are not in effect
	AppliedAt   time.Time
	Files       []string
}

// InvalidError is a configuration with mistakes.
type InvalidError struct{ *Built }

func (e *InvalidError) Error() string { return "the configuration is invalid" }

// Open reads the configuration and opens the data directory; Boot then starts what is configured. If the configuration is
// invalid, the last one that was applied is taken; without one, the error is an *InvalidError.
func Open(ctx context.Context, o Options) (*Engine, error) {
	e := &Engine{
		o: o, started: time.Now(), components: map[string]*supervisor.Component{}, deliveries: map[string]*delivery{},
		finders: map[string]*finder{}, lost: map[string]uint64{}, desired: &plan.Desired{},
	}
	e.life, e.end = context.WithCancel(context.Background())
	e.hostname, _ = os.Hostname()
	e.catalogue = &client.Catalogue{Dirs: o.PluginDirs, Env: PluginEnv()}
	built, err := e.start(ctx)
	if err != nil {
		e.Stop(ctx)
		if e.fresh {
			os.RemoveAll(e.dataDir)
		}
		return nil, err
	}
	e.first = built
	return e, nil
}

// Boot starts everything that is configured and waits for nothing: what fails to open is tried again.
func (e *Engine) Boot(ctx context.Context) error {
	e.applying.Lock()
	defer e.applying.Unlock()
	if err := e.apply(ctx, e.first, true); err != nil {
		return err
	}
	e.began()
	e.running.Go(e.watch)
	return nil
}

func (e *Engine) start(ctx context.Context) (*Built, error) {
	sources, err := e.o.Read()
	if err != nil {
		return nil, err
	}
	settings := settingsOf(sources)
	if e.dataDir = e.o.DataDir; e.dataDir == "" {
		e.dataDir = settings.DataDir
	}
	if e.dataDir, err = filepath.Abs(e.dataDir); err != nil {
		return nil, err
	}
	_, err = os.Stat(e.dataDir)
	e.fresh = os.IsNotExist(err)
	if err := e.open(settings.Buffer); err != nil {
		return nil, err
	}
	return e.choose(ctx, sources)
}

// DataDir is the data directory that a configuration names, as far as it can be read.
func DataDir(sources []language.Source) string { return settingsOf(sources).DataDir }

// settingsOf are the settings of a configuration, as far as they can be read.
func settingsOf(sources []language.Source) plan.Settings {
	c, _ := language.Parse(sources)
	d, _ := plan.Build(c, nil, plan.Env{Getenv: os.LookupEnv, ReadFile: os.ReadFile, Offline: true})
	return d.Settings
}

func describe(b *Built) string {
	var text strings.Builder
	language.WriteDiagnostics(&text, b.Config, b.Diags, false)
	return text.String()
}

// open opens what lives as long as the daemon.
func (e *Engine) open(b plan.Buffer) (err error) {
	if e.lock, err = LockDataDir(e.dataDir); err != nil {
		return err
	}
	log := e.o.Log
	e.state, err = state.Open(filepath.Join(e.dataDir, "state"), func(bucket, key string, err error) {
		log.Error("a fact was damaged on disk, and is forgotten", "bucket", bucket, "key", key, "error", err)
	})
	if err != nil {
		return err
	}
	if e.hmacKey, err = secretKey(e.state, "plan"); err != nil {
		return err
	}
	e.numbers = &numbers{state: e.state}
	e.catalogue.Cache = filepath.Join(e.dataDir, "schemas")
	run := runDir(e.dataDir)
	if err := client.PrepareSockets(run); err != nil {
		return err
	}
	e.catalogue.Run = run
	if e.guard, err = client.StartGuard(); err != nil {
		return err
	}
	e.ingest = pipeline.NewIngest()
	e.ingest.Secrets = pipeline.Secrets{In: e.o.Mask.Holds, Clean: e.o.Mask.Clean}
	e.letters = pipeline.NewLetters(filepath.Join(e.dataDir, "letters"))
	e.log, err = buffer.Open(filepath.Join(e.dataDir, "buffer"), buffer.Options{
		Sync: b.Fsync, SegmentBytes: b.SegmentSize, MaxBytes: b.MaxSize, ReserveBytes: b.Reserve, Carry: e.ingest.Carry, Lost: e.countLost,
		Trouble: func(text string, err error) {
			if err == nil {
				log.Warn(text)
				return
			}
			log.Error(text, "error", err)
		},
	})
	if err != nil {
		return err
	}
	e.state.Full = e.log.GiveWay
	e.ingest.Start(e.log)
	e.running.Go(func() { e.ingest.Watch(e.life) })
	e.supervisor = supervisor.New(supervisor.Options{
		Run: run, Env: PluginEnv(), Guard: e.guard, Log: log, Clean: e.o.Mask.Clean, Place: e.place, Number: e.numbers.take,
		Opening: func(number uint32, s *supervisor.Spec) []byte {
			return e.ingest.Open(number, s.Address, s.Source.LimitSeries, graceOf(s))
		},
		Gone:    e.ingest.Gone,
		Answer:  e.answer,
		Produce: e.ingest.Serve,
	})
	e.diagnoses = &diagnoses{e: e, last: map[string]*asked{}, alerts: map[string][]*asked{}}
	e.alerting = newAlerting(e)
	return nil
}

// SocketPath is where the daemon of a data directory listens for its own command line: only its user can enter.
func SocketPath(dataDir string) string { return filepath.Join(runDir(dataDir), "control") }

// runDir is where sockets lie: a short path, the same for the same data directory.
func runDir(dataDir string) string {
	base := os.Getenv("XDG_RUNTIME_DIR")
	if base == "" || len(base) > 40 {
		base = os.TempDir()
	}
	h := fnv.New32a()
	h.Write([]byte(dataDir))
	return filepath.Join(base, fmt.Sprintf("magpie-%d-%08x", os.Getuid(), h.Sum32()))
}

// PluginEnv is all that plugins inherit.
func PluginEnv() (env []string) {
	for _, name := range []string{"PATH", "TZ", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// graceOf is how long after its opening a source has told of all that it sees.
func graceOf(s *supervisor.Spec) time.Duration {
	for _, t := range s.Plugin.Types {
		if t.Kind == s.Kind && t.Name == s.Type && t.Streams {
			return 2*s.Source.Interval + 10*time.Second
		}
	}
	return 5*s.Source.Interval + time.Minute // it has cycles: this is for one that never ends
}

func (e *Engine) countLost(cursor string, samples uint64) {
	e.o.Log.Error("the log is full: samples that a sink has not taken were deleted", "pipeline", cursor, "samples", samples)
	go func() { // the log's lock is held
		e.mu.Lock()
		defer e.mu.Unlock()
		e.lost[cursor] += samples
	}()
}

// answer serves the calls of components: their state, and queries.
func (e *Engine) answer(ctx context.Context, address string, call *wire.HostCall) *wire.HostReply {
	r := &wire.HostReply{}
	var err error
	switch {
	case call.GetGet() != nil:
		r.Value, err = e.state.Get("component "+address, call.GetGet().Key)
		r.Found = r.Value != nil
	case call.GetPut() != nil && len(call.GetPut().Value) > 1<<20:
		err = errors.New("a value of a component's state is at most 1 MiB")
	case call.GetPut() != nil && e.o.Mask.Holds(call.GetPut().Value):
		err = errors.New("the value holds a secret of the configuration, which is not kept")
	case call.GetPut() != nil:
		err = e.state.Put("component "+address, call.GetPut().Key, call.GetPut().Value)
	case call.GetQuery() != nil:
		store := e.DefaultStore()
		if store == "" {
			err = errors.New("no store runs that answers queries")
			break
		}
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		r.Result = wire.ToResult(e.Query(ctx, store, wire.FromQuery(call.GetQuery())))
	default:
		err = errors.New("this daemon does not know the call")
	}
	if err != nil {
		r.Problem = wire.ToProblem(&sdk.Problem{Blame: sdk.BlameHost, Err: err})
	}
	return r
}

// Settings are those of the configuration that runs, as far as the command line does not say otherwise.
func (e *Engine) Settings() plan.Settings {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.desired.Settings
	if !e.booted {
		s = e.first.Desired.Settings
	}
	if e.o.Listen != "" {
		s.Listen = e.o.Listen
	}
	if s.ExternalURL == "" {
		s.ExternalURL = "http://" + s.Listen
	}
	s.DataDir = e.dataDir
	return s
}

// Show writes the configuration that runs, secrets masked.
func (e *Engine) Show() string { return plan.Show(e.runs()) }

// ShowBlocks gives it to programs.
func (e *Engine) ShowBlocks() []language.Shown { return plan.ShowBlocks(e.runs()) }

func (e *Engine) runs() *plan.Desired {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.desired
}

// Component finds a component that runs.
func (e *Engine) Component(address string) *supervisor.Component {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.components[address]
}

// Mounted finds the component that serves a path beside /plugins/: that which asked for the longest prefix of it, the
// first by address, those outside of packs before those in them. "" if none did.
func (e *Engine) Mounted(path string) (address, prefix string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	packed := false
	for _, x := range e.desired.Components {
		m := x.Offers.Mount
		if !x.Offers.HTTP || m == "" || len(m) < len(prefix) || len(m) == len(prefix) && (x.Pack != nil || !packed) || e.components[x.Address] == nil {
			continue
		}
		if m == "/" || path == m || strings.HasPrefix(path, m+"/") {
			address, prefix, packed = x.Address, m, x.Pack != nil
		}
	}
	return address, prefix
}

// Ready reports why the daemon does not do its work yet, nil if it does.
func (e *Engine) Ready() error {
	for _, c := range e.Status().Components {
		if c.State == supervisor.StateOpening {
			return fmt.Errorf("%s is opening", c.Address)
		}
	}
	return e.ingest.Trouble()
}

// Stop ends everything: sources first, then what they told the log, then sinks. What ctx does not leave time for is
// delivered after the next start.
func (e *Engine) Stop(ctx context.Context) {
	e.mu.Lock()
	if e.trial != nil {
		e.trial.Stop()
	}
	e.mu.Unlock()
	if e.alerting != nil {
		e.alerting.stop()
	}
	e.closeKind(ctx, func(k sdk.Kind) bool { return k == sdk.KindSource })
	e.drain(ctx)
	e.end()
	e.mu.Lock()
	deliveries := e.deliveries
	e.deliveries = map[string]*delivery{}
	e.mu.Unlock()
	for _, d := range deliveries {
		d.stop()
	}
	e.closeKind(ctx, func(sdk.Kind) bool { return true })
	if e.supervisor != nil {
		e.supervisor.Stop(ctx)
	}
	e.running.Wait()
	if e.log != nil {
		if err := e.log.Close(); err != nil {
			e.o.Log.Error("the log did not close cleanly", "error", err)
		}
	}
	if e.guard != nil {
		e.guard.Close()
	}
	if e.lock != nil {
		os.RemoveAll(e.catalogue.Run)
		e.lock.Close()
	}
}

func (e *Engine) closeKind(ctx context.Context, which func(sdk.Kind) bool) {
	e.mu.Lock()
	var closing []*supervisor.Component
	for address, c := range e.components {
		if which(c.Kind) {
			closing = append(closing, c)
			delete(e.components, address)
		}
	}
	e.mu.Unlock()
	var done sync.WaitGroup
	for _, c := range closing {
		done.Go(func() { c.Close(ctx, 1500*time.Millisecond) })
	}
	done.Wait()
}

// drain gives the sinks a moment to take what the sources told last.
func (e *Engine) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if e.log == nil {
		return
	}
	time.Sleep(50 * time.Millisecond) // one group commit
	at := e.log.Durable()
	e.mu.Lock()
	deliveries := make([]*delivery, 0, len(e.deliveries))
	for _, d := range e.deliveries {
		deliveries = append(deliveries, d)
	}
	e.mu.Unlock()
	for _, d := range deliveries {
		d.Wait(ctx, at)
	}
}
