package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// session is a process under test, with what a daemon would have for it.
type session struct {
	*subject
	ctx     context.Context // of the check that is made
	life    context.Context
	process *client.Process
	rpc     wire.PluginClient
	target  *target
	dir     string // sockets below, data in data
	blocks  []block
	rec     *recording
	host    *hostSide
	stop    context.CancelFunc
	killed  bool // by a check
	asks    bool // its example names the target
	next    uint32
	opened  []uint32
}

func newSession(s *subject, ctx context.Context) *session {
	return &session{subject: s, ctx: ctx, life: ctx}
}

// fresh makes sure that there is a living process.
func (s *session) fresh() error {
	if s.process != nil {
		select {
		case <-s.process.Exited():
			s.drop()
		default:
			if !s.killed {
				return nil
			}
			s.drop()
		}
	}
	if s.dir == "" {
		var err error
		if s.dir, err = s.newDir(); err != nil {
			return err
		}
		if s.target, err = newTarget(); err != nil {
			return err
		}
		if s.t != nil && s.example != nil {
			if s.blocks, err = s.example.blocks(*s.t, s.surroundings()); err != nil {
				return fmt.Errorf("the example cannot be read: %w", err)
			}
			s.asks = bytes.Contains(s.example.Text, []byte("VERIFY_URL"))
		}
	}
	return s.launch()
}

func (s *session) surroundings() surroundings {
	return surroundings{"http://" + s.target.addr, s.target.addr, s.target.plain.Addr().String(), filepath.Join(s.dir, "data"), s.canary}
}

// start starts one more process of the plugin.
func (s *session) start() (*client.Process, error) {
	greeted := false
	return client.Launch(s.life, client.Options{
		Path: s.o.Binary, SocketDir: s.dir, Timeout: s.patient(10 * time.Second),
		Printed: func(stream, line string) {
			s.printed(stream, line, &greeted)
			if s.rec != nil && stream == "stderr" {
				s.rec.stderr(line)
			}
		},
	})
}

func (s *session) launch() error {
	s.rec = newRecording()
	process, err := s.start()
	if err != nil {
		return err
	}
	s.process, s.killed, s.opened = process, false, nil
	s.rpc = wire.NewPluginClient(process.Connection())
	ctx, cancel := context.WithCancel(s.life)
	s.stop = cancel
	s.host = &hostSide{session: s, state: map[string][]byte{}}
	go process.ServeHost(ctx, s.host.answer)
	for _, t := range s.types {
		if t.Kind == sdk.KindSource {
			stream, err := s.rpc.Produce(ctx)
			if err != nil {
				return err
			}
			s.rec.follow(stream)
			break
		}
	}
	return nil
}

// drop lets a process go, dead or to be killed.
func (s *session) drop() {
	if s.process == nil {
		return
	}
	s.stop()
	s.process.Kill()
	<-s.process.Exited()
	s.process = nil
}

// end ends the session.
func (s *session) end() {
	s.drop()
	if s.target != nil {
		s.target.close()
	}
	if s.dir != "" {
		os.RemoveAll(s.dir)
	}
}

// tidy closes what a check left open; a process that cannot is not used again.
func (s *session) tidy() {
	s.target.answer(0)
	for _, number := range s.opened {
		ctx, cancel := context.WithTimeout(s.life, 2*time.Second)
		_, err := s.rpc.Close(ctx, &wire.CloseRequest{Component: number, TimeoutNs: int64(time.Second)})
		cancel()
		if err != nil {
			s.killed = true
			break
		}
	}
	s.opened = nil
	os.RemoveAll(filepath.Join(s.dir, "data")) // the next check opens with nothing there
	os.MkdirAll(filepath.Join(s.dir, "data"), 0o700)
}

// cause is the death of the process, if that is why a call failed.
func (s *session) cause(err error) error {
	select {
	case <-s.process.Exited():
	case <-time.After(300 * time.Millisecond):
		return err
	}
	if cause := s.process.Cause(); cause != nil {
		return fmt.Errorf("the process died: %w", cause)
	}
	return err
}

// component is an open component.
type component struct {
	number uint32
	socket string
	*block
}

func (s *session) address() string { return fmt.Sprintf("%s.%s.verify", s.t.Kind, s.t.Name) }

// request is the opening of the example, under a new number.
func (s *session) request(b *block, source sdk.SourceSettings) *wire.OpenRequest {
	s.next++
	r := &wire.OpenRequest{
		Component: s.next, Kind: string(s.t.Kind), Type: s.t.Name, Address: s.address(), Config: b.config, Dir: filepath.Join(s.dir, "data", "own"),
	}
	if s.t.Kind == sdk.KindSource {
		r.Source = &wire.Source{
			Job: source.Job, Labels: source.Labels, IntervalNs: int64(source.Interval), TimeoutNs: int64(source.Timeout),
			LimitSeries: uint32(source.LimitSeries), Instance: "verifyhost",
		}
	}
	return r
}

// open opens the example.
func (s *session) open() (*component, error) { return s.openEvery(time.Hour) }

// openEvery opens a source with an interval.
func (s *session) openEvery(interval time.Duration) (*component, error) {
	b := &s.blocks[0]
	return s.openWith(s.request(b, b.settings(interval)))
}

// openSilence is how long an opening may be silent here; the daemon waits for 30 s.
const openSilence = 10 * time.Second

// openWith makes the call.
func (s *session) openWith(r *wire.OpenRequest) (*component, error) {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	silent := false
	silence := time.AfterFunc(s.patient(openSilence), func() { silent = true; cancel() })
	defer silence.Stop()
	s.rec.begin(r.Component, r.Address)
	stream, err := s.rpc.Open(ctx, r)
	for err == nil {
		var e *wire.OpenEvent
		if e, err = stream.Recv(); err != nil {
			break
		}
		s.hear(e)
		silence.Reset(s.patient(openSilence))
		if e.Problem != nil {
			return nil, e.Problem.Err()
		}
		if e.Opened != nil {
			s.opened = append(s.opened, r.Component)
			return &component{r.Component, e.Opened.Http, &s.blocks[0]}, nil
		}
	}
	s.opened = append(s.opened, r.Component) // nobody knows
	switch {
	case silent:
		return nil, fmt.Errorf("its Open said nothing for %s: neither that it is done, nor how far it is", s.patient(openSilence))
	case errors.Is(err, io.EOF):
		return nil, errors.New("the stream of Open ended without saying whether the component is open")
	}
	return nil, s.cause(err)
}

// isProblem reports whether an error came from the plugin's code, as it should, and not from a broken pipe.
func isProblem(err error) bool {
	var p *sdk.Problem
	return errors.As(err, &p)
}

// close ends a component and says how long that took.
func (s *session) close(number uint32, within time.Duration) (r *wire.CloseResponse, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, within+s.patient(2*time.Second))
	defer cancel()
	began := time.Now()
	r, err = s.rpc.Close(ctx, &wire.CloseRequest{Component: number, TimeoutNs: int64(within)})
	took = time.Since(began)
	if err != nil {
		return nil, took, s.cause(err)
	}
	s.hear(r)
	if err = r.Problem.Err(); err == nil {
		for i, n := range s.opened {
			if n == number {
				s.opened = append(s.opened[:i:i], s.opened[i+1:]...)
				break
			}
		}
	}
	return r, took, err
}

// closeLimit is how long Close may take for whatever runs to heed its context.
const closeLimit = time.Second

// closes closes a component within the limit.
func (s *session) closes(number uint32) error {
	limit := s.patient(closeLimit)
	_, took, err := s.close(number, 3*limit)
	if err != nil {
		return fmt.Errorf("its Close: %w", err)
	}
	if took > limit {
		return fmt.Errorf("its Close took %s, and may take %s", took.Round(time.Millisecond), limit)
	}
	return nil
}

// health asks how the components are.
func (s *session) health() (*wire.HealthReport, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.patient(2*time.Second))
	defer cancel()
	r, err := s.rpc.Health(ctx, &wire.HealthRequest{})
	if err != nil {
		return nil, s.cause(fmt.Errorf("its Health: %w", err))
	}
	s.hear(r)
	return r, nil
}

// healthOf is one component's; nil: it is not listed.
func (s *session) healthOf(number uint32) (*wire.ComponentHealth, error) {
	r, err := s.health()
	if err != nil {
		return nil, err
	}
	for _, h := range r.Components {
		if h.Component == number {
			return h, nil
		}
	}
	return nil, nil
}

func (s *session) validate(config []byte) (*wire.ValidateResponse, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.patient(5*time.Second))
	defer cancel()
	r, err := s.rpc.Validate(ctx, &wire.ConfigRequest{Kind: string(s.t.Kind), Type: s.t.Name, Address: s.address(), Config: config})
	if err != nil {
		return nil, s.cause(fmt.Errorf("its Validate: %w", err))
	}
	s.hear(r)
	return r, nil
}

// hear looks for secrets and panics in what the plugin says.
func (k *kit) hear(m proto.Message) {
	text := prototext.Format(m)
	leak, panicked := strings.Contains(text, k.canary), strings.Contains(text, "stack:")
	if !leak && !panicked {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	name := string(m.ProtoReflect().Descriptor().Name())
	if leak {
		k.leaks = keepSome(k.leaks, "the answer "+name)
	}
	if panicked {
		if _, rest, ok := strings.Cut(text, "text:"); ok {
			line, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
			k.panics = keepSome(k.panics, name+": "+line)
		}
	}
}

// eventually waits until something holds, for a while.
func (s *session) eventually(within time.Duration, holds func() (bool, error)) (bool, error) {
	for end := time.Now().Add(s.patient(within)); ; {
		ok, err := holds()
		if ok || err != nil || time.Now().After(end) {
			return ok, err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-s.ctx.Done():
			return false, s.ctx.Err()
		}
	}
}

// hostSide answers the plugin's calls, as a daemon with an empty state would.
type hostSide struct {
	*session
	mu    sync.Mutex
	state map[string][]byte
	wrong []string
}

func (h *hostSide) answer(_ context.Context, call *wire.HostCall) *wire.HostReply {
	h.hear(call)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch c := call.Call.(type) {
	case *wire.HostCall_Get:
		v, ok := h.state[c.Get.Key]
		return &wire.HostReply{Found: ok, Value: v}
	case *wire.HostCall_Put:
		if c.Put.Key == "" || len(c.Put.Value) > 1<<20 {
			h.wrong = keepSome(h.wrong, fmt.Sprintf("it puts %d bytes under the key %q", len(c.Put.Value), c.Put.Key))
		}
		h.state[c.Put.Key] = c.Put.Value
	case *wire.HostCall_Query:
		return &wire.HostReply{Result: wire.ToResult(&sdk.Result{Type: sdk.Vector}, nil)}
	}
	return &wire.HostReply{}
}
