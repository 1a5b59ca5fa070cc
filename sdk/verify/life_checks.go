package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// opensCheck is made before all others of a type: they depend on it.
var opensCheck = check{
	name: "open/example", about: "it opens with its example",
	fix: "a target that does not answer is no reason not to open; report how a long opening gets on with sdk.Progress",
	run: func(s *session) error {
		c, err := s.open()
		if err != nil {
			return err
		}
		s.mu.Lock()
		for _, name := range c.secrets {
			s.planted[s.t.Name+"."+name] = true
		}
		for _, name := range sensitive(s.t.Config) {
			if !s.planted[s.t.Name+"."+name] && len(c.secrets) > 0 {
				s.planted[s.t.Name+"."+name] = false
			}
		}
		s.mu.Unlock()
		return nil
	},
}

var openChecks = []check{
	{"open/junk", "opened with what is no JSON, it answers with a problem",
		"answer with a problem that blames the configuration", func(s *session) error {
			return s.refusesToOpen("a configuration that is no JSON", func(r *wire.OpenRequest) { r.Config = []byte("{") })
		}},
	{"open/wrong-type", "opened with a value of the wrong type, it answers with a problem",
		"check as Validate does, before anything is opened", func(s *session) error {
			if len(s.t.Config.Attributes) == 0 {
				return skip("it has no attributes")
			}
			a := s.t.Config.Attributes[0]
			wrong := with(s.values(), a.Name, misfit(a))
			return s.refusesToOpen("a wrong value of "+a.Name, func(r *wire.OpenRequest) { r.Config = wrong })
		}},
	{"open/unknown-type", "asked to open what it does not offer, it answers with a problem",
		"look the kind and the type up, and answer with a problem", func(s *session) error {
			return s.refusesToOpen("a type that it does not offer", func(r *wire.OpenRequest) { r.Type = "no_such_type" })
		}},
	{"open/number-in-use", "a number in use is refused, and its component is unharmed",
		"keep components by number, and answer with a problem where one is taken", numberInUse},
	{"open/cancelled", "an opening that is given up leaves nothing open",
		"heed the context of open", givenUp},
	{"open/probe", "Probe answers, and leaves nothing open",
		"Probe opens, asks and closes; what it finds is a problem", probed},
	{"open/http", "its HTTP handler is there if, and only if, it says so, and survives strange requests",
		"recover panics of the handler; serve it on a socket beside the plugin's own", servesHTTP},
	{"open/reconfigure", "Reconfigure keeps the component running, with a good configuration and a bad one",
		"answer with a problem what cannot be taken, and leave the old configuration in place", reconfigured},
}

// refusesToOpen tries an opening that must fail, in an orderly way.
func (s *session) refusesToOpen(what string, change func(*wire.OpenRequest)) error {
	b := &s.blocks[0]
	r := s.request(b, b.settings(time.Hour))
	change(r)
	_, err := s.openWith(r)
	switch {
	case err == nil:
		return fmt.Errorf("it opens with %s", what)
	case !isProblem(err):
		return fmt.Errorf("with %s the call breaks: %w", what, err)
	}
	return s.gone(r.Component)
}

// gone waits until Health does not list a component.
func (s *session) gone(number uint32) error {
	gone, err := s.eventually(time.Second, func() (bool, error) {
		h, err := s.healthOf(number)
		return h == nil, err
	})
	if err == nil && !gone {
		err = fmt.Errorf("its Health still lists component %d", number)
	}
	return err
}

// stillThere wants a component's Health.
func (s *session) stillThere(number uint32, otherwise string) error {
	h, err := s.healthOf(number)
	if err == nil && h == nil {
		err = errors.New(otherwise)
	}
	return err
}

func numberInUse(s *session) error {
	c, err := s.open()
	if err != nil {
		return err
	}
	b := &s.blocks[0]
	r := s.request(b, b.settings(time.Hour))
	r.Component, r.Address, r.Dir = c.number, s.address()+"2", r.Dir+"2"
	if _, err := s.openWith(r); err == nil {
		return errors.New("a second component was opened under the number of the first")
	} else if !isProblem(err) {
		return err
	}
	return s.stillThere(c.number, "the first component is gone")
}

func givenUp(s *session) error {
	b := &s.blocks[0]
	var numbers []uint32
	for range 5 {
		r := s.request(b, b.settings(time.Hour))
		numbers = append(numbers, r.Component)
		ctx, cancel := context.WithCancel(s.ctx)
		s.rec.begin(r.Component, r.Address)
		stream, err := s.rpc.Open(ctx, r)
		cancel()
		if err == nil {
			stream.Recv()
		}
	}
	for range 3 { // an opening may be done before it hears of it, and one that is done is the daemon's to close
		s.settle()
		gone, err := s.eventually(3*time.Second, func() (bool, error) {
			for _, n := range numbers {
				if _, _, err := s.close(n, s.patient(time.Second)); err != nil {
					return false, err
				}
			}
			r, err := s.health()
			return err == nil && len(r.Components) == 0, err
		})
		if err != nil {
			return err
		}
		if !gone {
			return errors.New("an opening was given up, its component closed, and it is open all the same")
		}
	}
	return nil
}

func probed(s *session) error {
	ctx, cancel := context.WithTimeout(s.ctx, s.patient(15*time.Second))
	defer cancel()
	r, err := s.rpc.Probe(ctx, &wire.ConfigRequest{Kind: string(s.t.Kind), Type: s.t.Name, Address: s.address(), Config: s.blocks[0].config})
	if err != nil {
		return s.cause(err)
	}
	s.hear(r)
	h, err := s.health()
	if err == nil && len(h.Components) > 0 {
		err = fmt.Errorf("after Probe, Health lists %d components, and none is open", len(h.Components))
	}
	return err
}

func servesHTTP(s *session) error {
	c, err := s.open()
	if err != nil {
		return err
	}
	if (c.socket != "") != s.t.HTTP {
		return fmt.Errorf("it describes http = %v, and opens with the socket %q", s.t.HTTP, c.socket)
	}
	if c.socket == "" {
		return skip("it has no handler")
	}
	client := &http.Client{Timeout: s.patient(5 * time.Second), Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return s.process.DialHTTP(ctx, c.socket) },
	}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	for _, r := range []struct{ method, path, body string }{
		{"GET", "/", ""}, {"GET", "/../../etc/passwd", ""}, {"POST", "/", "{"}, {"DELETE", "/%00", ""}, {"GET", "/" + strings.Repeat("a", 8000), ""}, {"BREW", "/?" + strings.Repeat("&a=%ff", 100), ""},
	} {
		req, err := http.NewRequestWithContext(s.ctx, r.method, fmt.Sprintf("http://plugin/%d", c.number), strings.NewReader(r.body))
		if err != nil {
			return err
		}
		req.URL.Opaque = fmt.Sprintf("/%d%s", c.number, r.path)
		resp, err := client.Do(req)
		if err != nil {
			return fmt.Errorf("%s %.40s: %w", r.method, r.path, s.cause(err))
		}
		io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
		resp.Body.Close()
	}
	_, err = s.health()
	return err
}

func reconfigured(s *session) error {
	c, err := s.open()
	if err != nil {
		return err
	}
	hand := func(config []byte) (*wire.Problem, error) {
		r, err := s.rpc.Reconfigure(s.ctx, &wire.ReconfigureRequest{Component: c.number, Config: config})
		if err != nil {
			return nil, s.cause(err)
		}
		s.hear(r)
		return r.Problem, nil
	}
	p, err := hand(s.blocks[0].config)
	switch {
	case err != nil:
		return err
	case s.t.Live && p != nil:
		return fmt.Errorf("it can be reconfigured, and refuses the configuration that it has: %s", p.Text)
	case !s.t.Live && p == nil:
		return errors.New("it says that it cannot be reconfigured, and takes a configuration all the same")
	}
	if p, err = hand([]byte("{")); err != nil {
		return err
	} else if p == nil {
		return errors.New("it takes a configuration that is no JSON")
	}
	return s.stillThere(c.number, "after a bad configuration the component is gone")
}

var closeChecks = []check{
	{"close/in-time", "Close ends it within 1 s",
		"Close waits for what the component has begun, all of which heeds its context", func(s *session) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			s.settle()
			if err := s.closes(c.number); err != nil {
				return err
			}
			return s.gone(c.number)
		}},
	{"close/busy", "Close ends it within 1 s while its target does not answer",
		"pass the context on to whatever waits: requests, queries, sleeps (select on ctx.Done())", closeWhileStalled},
	{"close/twice", "a second Close, and one of what was never opened, is answered",
		"what is not open is closed: answer without a problem", func(s *session) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			for _, n := range []uint32{c.number, c.number, 4_000_000_000} {
				if _, _, err := s.close(n, s.patient(time.Second)); err != nil {
					return err
				}
			}
			return nil
		}},
	{"close/reopen", "what was closed opens again, with what it left behind",
		"leave files as the next opening can read them", func(s *session) error {
			for range 3 {
				c, err := s.open()
				if err != nil {
					return err
				}
				s.settle()
				if err := s.closes(c.number); err != nil {
					return err
				}
			}
			return nil
		}},
}

// settle lets what begins at an opening begin.
func (s *session) settle() {
	select {
	case <-time.After(30 * time.Millisecond):
	case <-s.ctx.Done():
	}
}

func closeWhileStalled(s *session) error {
	release := s.target.stall()
	defer release()
	c, err := s.open()
	if err != nil {
		return err
	}
	s.poke(c)() // of what it waits for, a call may be given up; a stream is ended by Close
	if err := s.closes(c.number); err != nil {
		return err
	}
	given, err := s.eventually(closeLimit, func() (bool, error) { return s.target.waiting() == 0, nil })
	if err == nil && !given {
		err = errors.New("it is closed, and still waits for the answer of its target")
	}
	if err != nil {
		return err
	}
	return s.gone(c.number)
}

// poke has a component do what it is for, and does not wait for the answer; what it returns gives the call up.
func (s *session) poke(c *component) (giveUp func()) {
	ctx, cancel := context.WithTimeout(s.life, s.patient(20*time.Second))
	giveUp = cancel
	asked := s.asks && (s.t.Kind == sdk.KindSink || s.t.Kind == sdk.KindStore || s.t.Kind == sdk.KindNotifier)
	before := s.target.requests()
	switch s.t.Kind {
	case sdk.KindSink, sdk.KindStore:
		giveUp = func() {}
		if f, err := s.feed(c.number, nil); err == nil {
			packets, _ := f.pack(func(b *sdk.Batch) { some(b, 10, 1, time.Now()) })
			f.send(packets)
		}
	case sdk.KindNotifier:
		go s.rpc.Notify(ctx, &wire.NotifyRequest{Component: c.number, Notification: notification(firing)})
	case sdk.KindDiscovery:
		go func() {
			if stream, err := s.rpc.Discover(ctx, &wire.DiscoverRequest{Component: c.number}); err == nil {
				for err == nil {
					_, err = stream.Recv()
				}
			}
		}()
	case sdk.KindCoordinator:
		for range 2 { // one holds, one waits
			go func() {
				stream, err := s.rpc.Acquire(ctx)
				if err == nil {
					err = stream.Send(acquiring(c.number, s.keyed("poke"), long))
				}
				for err == nil {
					_, err = stream.Recv()
				}
			}()
		}
	}
	s.settle()
	if asked { // its target is asked when something is to be done
		s.eventually(time.Second, func() (bool, error) { return s.target.requests() > before, nil })
	}
	return giveUp
}

var neighbourChecks = []check{
	{"beside/two", "two components run side by side, and closing one leaves the other",
		"keep all state in the component that open returns: no globals", sideComponents},
	{"beside/refused", "an opening that fails leaves open components alone",
		"what a failed opening began it also ends, and nothing else", besideRefused},
	{"health/listed", "Health lists what is open, each once, with a status that there is",
		"answer Health from memory, for every open component", listed},
	{"health/busy", "Health answers within 2 s while the target does not",
		"answer Health from memory: it asks nobody, and waits for no lock that a slow call holds", healthWhileStalled},
	{"host/calls", "what it asks of the daemon is in order",
		"a key is not empty, a value has at most 1 MiB, and the component is open", func(s *session) error {
			if _, err := s.openEvery(200 * time.Millisecond); err != nil {
				return err
			}
			s.settle()
			s.host.mu.Lock()
			defer s.host.mu.Unlock()
			if len(s.host.wrong) > 0 {
				return errors.New(s.host.wrong[0])
			}
			return nil
		}},
}

func exclusive(t *sdk.Type) bool {
	return slices.ContainsFunc(t.Config.Attributes, func(a sdk.Attribute) bool { return a.Change == sdk.Exclusive })
}

func sideComponents(s *session) error {
	one, err := s.open()
	if err != nil {
		return err
	}
	b := &s.blocks[0]
	r := s.request(b, b.settings(time.Hour))
	r.Address, r.Dir = s.address()+"2", filepath.Join(s.dir, "data", "other")
	two, err := s.openWith(r)
	if err != nil && isProblem(err) && exclusive(s.t) {
		return skip("two of the example exclude each other")
	} else if err != nil {
		return fmt.Errorf("the second one: %w", err)
	}
	s.settle()
	if err := s.closes(one.number); err != nil {
		return err
	}
	h, err := s.healthOf(two.number)
	switch {
	case err != nil:
		return err
	case h == nil:
		return errors.New("closing one closed the other")
	case h.Errors["plugin"] > 0:
		return fmt.Errorf("the other one fails: %s", h.LastError.GetText())
	}
	return s.closes(two.number)
}

func besideRefused(s *session) error {
	c, err := s.open()
	if err != nil {
		return err
	}
	for range 3 {
		if err := s.refusesToOpen("a configuration that is no JSON", func(r *wire.OpenRequest) { r.Config = []byte("[") }); err != nil {
			return err
		}
	}
	return s.stillThere(c.number, "the open component is gone")
}

func listed(s *session) error {
	c, err := s.open()
	if err != nil {
		return err
	}
	r, err := s.health()
	if err != nil {
		return err
	}
	n := 0
	for _, h := range r.Components {
		if h.Component == c.number {
			n++
		}
		if _, ok := wire.ComponentHealth_Status_name[int32(h.Status)]; !ok {
			return fmt.Errorf("its status is %d", h.Status)
		}
	}
	if n != 1 || len(r.Components) != 1 {
		return fmt.Errorf("one component is open, and Health lists %d, of it %d", len(r.Components), n)
	}
	return nil
}

func healthWhileStalled(s *session) error {
	release := s.target.stall()
	defer release()
	c, err := s.open()
	if err != nil {
		return err
	}
	defer s.poke(c)()
	for range 3 {
		if _, err := s.health(); err != nil {
			return err
		}
	}
	return nil
}

var processChecks = []check{
	{"process/children", "what it starts stays in its process group, and ends with the component",
		"start children without a session or a group of their own, and end them in Close", childrenEnd},
	{"process/killed", "killed in the middle of its work, it opens again with what is left",
		"write files so that half of one can be read, or replace them whole; clear what a dead process locked", reopensAfterKill},
	{"process/ended-open", "asked to end with a component open, it is gone within 2 s, with exit code 0",
		"close what is open when the server stops, within a deadline", func(s *session) error {
			if _, err := s.open(); err != nil {
				return err
			}
			s.settle()
			return endsWhenAsked(s)
		}},
}

func childrenEnd(s *session) error {
	c, err := s.openEvery(200 * time.Millisecond)
	if err != nil {
		return err
	}
	defer s.poke(c)()
	s.settle()
	children, err := descendants(s.process.Pid)
	if err != nil {
		return err
	}
	for _, x := range children {
		if x.group != s.process.Pid {
			defer syscall.Kill(x.pid, syscall.SIGKILL)
			return fmt.Errorf("it started %s, which left its process group: it outlives the daemon", x.name)
		}
	}
	if err := s.closes(c.number); err != nil {
		return err
	}
	ended, err := s.eventually(2*time.Second, func() (bool, error) {
		left, err := descendants(s.process.Pid)
		return len(left) == 0, err
	})
	if err == nil && !ended {
		left, _ := descendants(s.process.Pid)
		if len(left) > 0 {
			err = fmt.Errorf("the component is closed, and its child %s lives on", left[0].name)
		}
	}
	s.killed = true
	s.process.Stop(s.ctx)
	for _, x := range children {
		if alive(x.pid) {
			syscall.Kill(x.pid, syscall.SIGKILL)
			return fmt.Errorf("the process has ended, and its child %s lives on", x.name)
		}
	}
	return err
}

func reopensAfterKill(s *session) error {
	for range 3 {
		c, err := s.openEvery(200 * time.Millisecond)
		if err != nil {
			return err
		}
		s.poke(c)()
		s.killed = true
		s.process.Kill()
		<-s.process.Exited()
		state := s.host.state
		if err := s.fresh(); err != nil {
			return err
		}
		s.host.state = state
	}
	c, err := s.open()
	if err != nil {
		return err
	}
	return s.closes(c.number)
}
