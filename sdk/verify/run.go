package verify

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// check is one thing that must hold.
type check struct {
	name  string
	about string // what must hold
	fix   string // what to do where it does not
	run   func(*session) error
}

// group is a list of checks that share a process.
type group struct {
	fits   func(t *sdk.Type) bool // nil: of the plugin as a whole
	closed bool                   // it needs no component that can be opened
	checks []check
}

// kit is one verification.
type kit struct {
	o      Options
	ctx    context.Context
	dir    string
	canary string
	desc   *wire.Description
	types  []sdk.Type

	mu     sync.Mutex
	report Report
	done   int
	total  int
	dirs   int
	said   // by all its processes
}

// said is what the plugin's processes printed and answered that they should not have.
type said struct {
	stray   []string // lines on stdout
	leaks   []string // where the canary was seen
	panics  []string
	planted map[string]bool // secrets that had the canary, and those that had no value
}

// subject is what a check is about: a type, or the plugin.
type subject struct {
	*kit
	of      string
	t       *sdk.Type // nil: the plugin
	unopen  error     // why no component can be opened
	example *Example
}

func newKit(ctx context.Context, o Options, dir string) (*kit, error) {
	f, err := os.Open(o.Binary)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return nil, err
	}
	random := make([]byte, 8)
	rand.Read(random)
	k := &kit{o: o, ctx: ctx, dir: dir, canary: "magpie-canary-" + hex.EncodeToString(random)}
	k.planted = map[string]bool{}
	k.report = Report{Plugin: filepath.Base(o.Binary), SHA256: hex.EncodeToString(sum.Sum(nil)), Kit: Version, At: time.Now()}
	return k, nil
}

// run makes all checks that apply.
func (k *kit) run() {
	whole := &subject{kit: k, of: "plugin", example: k.o.Example}
	if err := k.describe(whole); err != nil {
		k.record(whole, &startCheck, err, 0)
		k.note("It does not start, or does not say what it offers: nothing else could be checked.")
		return
	}
	k.record(whole, &startCheck, nil, 0)
	subjects := k.subjects()
	type job struct {
		s *subject
		g *group
	}
	var jobs []job
	for _, all := range groups {
		g := &group{fits: all.fits, closed: all.closed}
		for _, c := range all.checks {
			if k.o.wants(c.name) {
				g.checks = append(g.checks, c)
			}
		}
		if len(g.checks) == 0 {
			continue
		}
		if g.fits == nil {
			jobs = append(jobs, job{whole, g})
			k.total += len(g.checks)
		}
		for _, s := range subjects {
			if g.fits != nil && g.fits(s.t) {
				jobs = append(jobs, job{s, g})
				k.total += len(g.checks)
			}
		}
	}
	k.total += len(subjects) + 1 + len(afterwards)
	var running sync.WaitGroup
	limit := make(chan struct{}, k.o.Side)
	for _, s := range subjects { // whether it opens decides what else can be checked
		running.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			k.opens(s)
		})
	}
	running.Wait()
	for _, j := range jobs {
		running.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			k.runGroup(j.s, j.g)
		})
	}
	running.Wait()
	for i := range afterwards {
		c := &afterwards[i]
		if !k.o.wants(c.name) {
			continue
		}
		k.record(whole, c, c.run(&session{subject: whole, ctx: k.ctx}), 0)
	}
	k.order(subjects)
}

// describe asks the plugin what it offers; everything else follows from that.
func (k *kit) describe(whole *subject) error {
	s := newSession(whole, k.ctx)
	defer s.end()
	if err := s.fresh(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(k.ctx, k.patient(5*time.Second))
	defer cancel()
	d, err := s.rpc.Describe(ctx, &wire.DescribeRequest{})
	if err != nil {
		return fmt.Errorf("it does not answer Describe: %w", s.cause(err))
	}
	k.desc = d
	k.report.Plugin, k.report.Version, k.report.SDK = d.Name, d.Version, d.Sdk
	for _, t := range d.Types {
		k.types = append(k.types, wire.FromType(t))
	}
	return nil
}

// subjects are the types, each with what it can be opened with.
func (k *kit) subjects() (all []*subject) {
	for i := range k.types {
		t := &k.types[i]
		s := &subject{kit: k, of: fmt.Sprintf("%s %q", t.Kind, t.Name), t: t, example: k.o.Example}
		all = append(all, s)
		where := surroundings{"http://127.0.0.1:9", "127.0.0.1:9", "127.0.0.1:9", k.dir, k.canary}
		if s.example != nil {
			if blocks, err := s.example.blocks(*t, where); err != nil || len(blocks) > 0 {
				continue // an error is told by the check of the example
			}
		}
		if empty := (&Example{"empty.hcl", fmt.Appendf(nil, "%s %q \"verify\" {}\n", t.Kind, t.Name)}); requiresNothing(t.Config) {
			s.example = empty
			continue
		}
		s.unopen = skip("there is no example of it")
		switch {
		case k.o.Example == nil:
			k.note("There is no example file, and %s needs one to be opened: what needs an open component was not checked. Write example.hcl beside the sources, or name a file with -example.", s.of)
		default:
			k.note("%s has no block %s: what needs an open component of it was not checked.", k.o.Example.Name, s.of)
		}
	}
	return all
}

func requiresNothing(s sdk.Schema) bool {
	return !slices.ContainsFunc(s.Attributes, func(a sdk.Attribute) bool { return a.Required }) &&
		!slices.ContainsFunc(s.Blocks, func(b sdk.Block) bool { return b.Required })
}

// opens makes the check on which most others depend.
func (k *kit) opens(s *subject) {
	if s.unopen != nil {
		k.record(s, &opensCheck, s.unopen, 0)
		return
	}
	x := newSession(s, k.ctx)
	defer x.end()
	if state, _ := verdict(k.make(x, &opensCheck)); state != OK {
		s.unopen = skip("it does not open: see %s", opensCheck.name)
	}
}

func (k *kit) runGroup(s *subject, g *group) {
	x := newSession(s, k.ctx)
	defer x.end()
	for i := range g.checks {
		if s.unopen != nil && s.t != nil && !g.closed {
			k.record(s, &g.checks[i], s.unopen, 0)
			continue
		}
		k.make(x, &g.checks[i])
	}
}

// checkTime bounds one check.
const checkTime = 20 * time.Second

// make makes one check in a session, whatever comes of it.
func (k *kit) make(x *session, c *check) (err error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(k.ctx, k.patient(checkTime))
	defer cancel()
	x.ctx = ctx
	if err = x.fresh(); err == nil {
		done := make(chan error, 1)
		go func() {
			defer func() {
				if v := recover(); v != nil {
					done <- fmt.Errorf("the kit itself failed: %v\n%s", v, debug.Stack())
				}
			}()
			done <- c.run(x)
		}()
		select {
		case err = <-done:
		case <-ctx.Done():
			x.process.Kill()
			err = fmt.Errorf("it was not done after %s, and the process was killed", k.patient(checkTime))
			select {
			case <-done: // the check uses the session
			case <-time.After(checkTime):
			}
		}
		if state, _ := verdict(err); state == Failed || err == nil {
			if died := x.died(); died != nil {
				err = errors.Join(err, died)
			}
		}
		x.tidy()
	}
	k.record(x.subject, c, err, time.Since(began))
	return err
}

// died says why the process is dead, if it is and nobody was to kill it.
func (x *session) died() error {
	if x.killed || x.process == nil {
		return nil
	}
	select {
	case <-x.process.Exited():
		if cause := x.process.Cause(); cause != nil {
			return fmt.Errorf("the process died: %w", cause)
		}
	default:
	}
	return nil
}

func (k *kit) record(s *subject, c *check, err error, took time.Duration) {
	state, text := verdict(err)
	r := Result{Of: s.of, Check: c.name, About: c.about, State: state, Text: strings.ReplaceAll(text, k.canary, "(the secret)"), Took: took}
	if state == Failed {
		r.Fix = c.fix
	}
	k.mu.Lock()
	k.report.Results = append(k.report.Results, r)
	k.done++
	done, total := k.done, k.total
	k.mu.Unlock()
	k.o.Progress(done, total, s.of+": "+c.name)
}

// order puts the results in the order of the groups, the plugin's first, whichever was done first.
func (k *kit) order(subjects []*subject) {
	rank := map[string]int{startCheck.name: 0, opensCheck.name: 1}
	for i := range groups {
		for _, c := range groups[i].checks {
			rank[c.name] = len(rank)
		}
	}
	for _, c := range afterwards {
		rank[c.name] = len(rank)
	}
	of := map[string]int{}
	for i, s := range subjects {
		of[s.of] = i + 1
	}
	slices.SortStableFunc(k.report.Results, func(a, b Result) int {
		if d := of[a.Of] - of[b.Of]; d != 0 {
			return d
		}
		return rank[a.Check] - rank[b.Check]
	})
}

func (k *kit) note(format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.report.Notes = append(k.report.Notes, fmt.Sprintf(format, args...))
}

// patient is how long something may take here.
func (k *kit) patient(d time.Duration) time.Duration {
	return time.Duration(float64(d) * k.o.Patience)
}

// printed looks at every line of every process.
func (k *kit) printed(stream, line string, greeted *bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if stream == "stdout" {
		if parts := strings.Split(line, "|"); !*greeted && len(parts) >= 5 {
			*greeted = true
			return
		}
		k.stray = keepSome(k.stray, line)
	}
	if strings.Contains(line, k.canary) {
		k.leaks = keepSome(k.leaks, stream+": "+line)
	}
}

// keepSome keeps the first few of what may be many.
func keepSome(list []string, s string) []string {
	if len(list) >= 5 || slices.Contains(list, s) {
		return list
	}
	return append(list, s[:min(len(s), 300)])
}

// newDir makes a short directory for one process.
func (k *kit) newDir() (string, error) {
	k.mu.Lock()
	k.dirs++
	dir := filepath.Join(k.dir, fmt.Sprint(k.dirs))
	k.mu.Unlock()
	return dir, os.MkdirAll(filepath.Join(dir, "data"), 0o700)
}
