package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/serve"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// The test binary is the guardian and the plugins, too: what it is follows from its name and its argument.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == client.GuardCommand {
		client.RunGuard(os.Stdin)
		return
	}
	switch filepath.Base(os.Args[0]) {
	case "garbage":
		fmt.Println("hello, I am not a plugin")
		fmt.Fprintln(os.Stderr, "and these are my last words")
		os.Exit(3)
	case "certificate": // a handshake that makes go-plugin panic where nobody takes care
		fmt.Println("1|1|unix|/nowhere|grpc|" + strings.Repeat("A", 100))
		time.Sleep(time.Minute)
	case "tcp":
		fmt.Println("1|1|tcp|127.0.0.1:1|grpc|")
		time.Sleep(time.Minute)
	case "silent":
		time.Sleep(time.Minute)
	case "probe":
		serve.Main("probe", "1.2.3", sdk.Source(open))
	default:
		os.Exit(m.Run())
	}
}

type config struct {
	Child bool   `hcl:"child,optional" doc:"Start a child that outlives us."`
	Fail  string `hcl:"fail,optional" doc:"Fail to open with this text."`
}

type probe struct{}

var one = sdk.Gauge("probe_one", "One.")

func open(_ context.Context, cfg *config, _ sdk.Host) (*probe, error) {
	if cfg.Fail != "" {
		return nil, sdk.At(&cfg.Fail, errors.New(cfg.Fail))
	}
	if cfg.Child {
		child := exec.Command("sleep", "600")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := child.Start(); err != nil {
			return nil, err
		}
		fmt.Fprintf(os.Stderr, "child %d\n", child.Process.Pid)
	}
	return &probe{}, nil
}

func (*probe) Collect(_ context.Context, out *sdk.Batch) error {
	out.Set(one, 1)
	fmt.Println("a stray print")
	return nil
}

// house is a supervisor with one plugin directory.
type house struct {
	*testing.T
	*Supervisor
	plugins map[string]client.Plugin
	mu      sync.Mutex
	log     strings.Builder
	packets int
	gone    []uint32
}

func newHouse(t *testing.T, names ...string) *house {
	t.Helper()
	dir, run := t.TempDir(), shortDir(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	h := &house{T: t, plugins: map[string]client.Plugin{}}
	c := client.Catalogue{Dirs: []string{dir}, Cache: t.TempDir(), Run: run}
	plugins, err := c.Plugins(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range plugins {
		h.plugins[p.Name] = p
	}
	guard, err := client.StartGuard()
	if err != nil {
		t.Fatal(err)
	}
	number := uint32(0)
	h.Supervisor = New(Options{
		Place: func(_ string, err error) string { return err.Error() },
		Run:   run, Guard: guard, Log: hclog.New(&hclog.LoggerOptions{Output: h, Level: hclog.Debug}), Env: []string{"PATH=" + os.Getenv("PATH")},
		Number:  func() (uint32, error) { h.mu.Lock(); defer h.mu.Unlock(); number++; return number, nil },
		Opening: func(uint32, *Spec) []byte { return nil },
		Gone:    func(n ...uint32) { h.mu.Lock(); defer h.mu.Unlock(); h.gone = append(h.gone, n...) },
		Answer:  func(context.Context, string, *wire.HostCall) *wire.HostReply { return &wire.HostReply{} },
		Produce: h.produce,
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		h.Stop(ctx)
		guard.Close()
	})
	return h
}

func shortDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "sv")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (h *house) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.Write(b)
}

func (h *house) logged() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.String()
}

func (h *house) produce(ctx context.Context, connect func(context.Context) (wire.PacketStream, error), received func(uint64)) error {
	stream, err := connect(ctx)
	if err != nil {
		return err
	}
	for {
		var raw wire.Raw
		if err := stream.RecvMsg(&raw); err != nil {
			if errors.Is(err, io.EOF) || ctx.Err() != nil {
				return nil
			}
			return err
		}
		p, err := wire.ParsePacket(raw.Materialize().ReadOnlyData())
		if err != nil {
			return err
		}
		stream.SendMsg(&wire.Down{Message: &wire.Down_Ack{Ack: &wire.Ack{Seq: p.LastSeq}}})
		h.mu.Lock()
		h.packets++
		h.mu.Unlock()
		received(p.LastSeq)
	}
}

func (h *house) spec(name, json string) Spec {
	return Spec{
		Plugin: h.plugins["probe"], Kind: sdk.KindSource, Type: "probe", Address: "source.probe." + name, Config: []byte(json),
		Source: sdk.SourceSettings{Job: "probe", Interval: 50 * time.Millisecond, Timeout: time.Second, LimitSeries: 10},
	}
}

func (h *house) open(name, json string) *Component {
	h.Helper()
	c, err := h.tryOpen(name, json)
	if err != nil {
		h.Fatal(err)
	}
	return c
}

func (h *house) tryOpen(name, json string) (*Component, error) {
	c, err := h.Add(h.spec(name, json))
	if err == nil {
		err = c.Opened(h.Context())
	}
	return c, err
}

// eventually polls until a condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func (h *house) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.packets
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	i := strings.LastIndex(string(b), ") ")
	return i > 0 && b[i+2] != 'Z'
}

func TestBadPluginsAreDescribedByTheirErrors(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "garbage", "certificate", "tcp", "probe")
	for name, want := range map[string]string{
		"garbage":     "and these are my last words",
		"certificate": "not a unix socket in its own directory",
		"tcp":         "not a unix socket in its own directory",
	} {
		err := h.plugins[name].Err
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "plugin "+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if p := h.plugins["probe"]; p.Err != nil || p.Version != "1.2.3" || len(p.Types) != 1 || p.Types[0].Name != "probe" {
		t.Errorf("%+v", p)
	}
}

func TestAKnownBinaryIsNotStartedToBeDescribed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "probe")
	cache := t.TempDir()
	path := h.plugins["probe"].Path
	first := client.Catalogue{Dirs: []string{filepath.Dir(path)}, Cache: cache, Run: shortDir(t)}
	if _, err := first.Plugins(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := client.Catalogue{Dirs: []string{filepath.Dir(path)}, Cache: cache, Run: "/nowhere"} // starting would fail
	plugins, err := second.Plugins(t.Context())
	if err != nil || len(plugins) != 1 || plugins[0].Err != nil || plugins[0].Types[0].Config.Attributes[0].Doc == "" {
		t.Errorf("%+v, %v", plugins, err)
	}
}

func TestAKilledPluginIsBackWithItsComponents(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "probe")
	a, b := h.open("a", "{}"), h.open("b", "{}")
	for round := range 3 {
		before, err := a.Use(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		syscall.Kill(before.Pid, syscall.SIGKILL)
		<-before.Exited()
		for _, c := range []*Component{a, b} {
			eventually(t, "back", func() bool {
				now, err := c.Use(t.Context())
				return err == nil && now.Pid != before.Pid && now.Number > before.Number
			})
		}
		n := h.count()
		eventually(t, "collecting again", func() bool { return h.count() > n+2 })
		if st := h.Processes(); len(st) != 1 || st[0].Restarts != round+1 || !strings.Contains(fmt.Sprint(st[0].LastDeath), "it was killed") {
			t.Errorf("%+v", st)
		}
	}
}

func TestAHangingPluginIsReplaced(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "probe")
	c := h.open("a", "{}")
	before, _ := c.Use(t.Context())
	syscall.Kill(before.Pid, syscall.SIGSTOP)
	eventually(t, "replaced", func() bool {
		now, err := c.Use(t.Context())
		return err == nil && now.Pid != before.Pid
	})
	if alive(before.Pid) || !strings.Contains(h.logged(), "three health checks") {
		t.Error(h.logged())
	}
}

func TestAFailingOpenLeadsToTheAttribute(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "probe")
	c, err := h.tryOpen("a", `{"fail":"no such thing"}`)
	if p := sdk.AsProblem(err); p == nil || p.Path.String() != "fail" || p.Error() != "no such thing" {
		t.Errorf("%v", err)
	}
	if st := c.Report(); st.State != StateFailed || st.Text != "no such thing" {
		t.Errorf("%+v", st)
	}
}

func TestClosingTheLastComponentEndsTheProcessAndWhatItStarted(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "probe")
	c := h.open("a", `{"child":true}`)
	handle, _ := c.Use(t.Context())
	var child int
	eventually(t, "the child's number logged", func() bool {
		_, after, ok := strings.Cut(h.logged(), "child ")
		if ok {
			fmt.Sscan(after, &child)
		}
		return child != 0
	})
	n := h.count()
	eventually(t, "collecting", func() bool { return h.count() > n })
	start := time.Now()
	c.Close(t.Context(), 2*time.Second)
	eventually(t, "both dead", func() bool { return !alive(handle.Pid) && !alive(child) })
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("closing took %s", took)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.gone) != 1 || h.gone[0] != handle.Number {
		t.Errorf("gone %v", h.gone)
	}
	if !strings.Contains(h.log.String(), "a stray print") {
		t.Error("a stray print was lost")
	}
}

func TestComponentsComeAndGoSideBySide(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "probe")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 5 {
				c, err := h.tryOpen(fmt.Sprint(i), "{}")
				if err != nil {
					t.Error(err)
					return
				}
				c.Close(t.Context(), time.Second)
			}
		})
	}
	all.Wait()
	if st := h.Processes(); len(st) != 0 {
		t.Errorf("%+v", st)
	}
}

func TestTheGuardianKillsGroupsWhenItsPipeCloses(t *testing.T) {
	t.Parallel()
	guard, err := client.StartGuard()
	if err != nil {
		t.Fatal(err)
	}
	kept := exec.Command("sleep", "600")
	gone := exec.Command("sleep", "600")
	for _, c := range []*exec.Cmd{kept, gone} {
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		go c.Wait()
		guard.Add(c.Process.Pid)
	}
	guard.Remove(kept.Process.Pid)
	guard.Close()
	eventually(t, "killed", func() bool { return !alive(gone.Process.Pid) })
	if !alive(kept.Process.Pid) {
		t.Error("killed what was taken out")
	}
	kept.Process.Kill()
}

func TestAPluginInheritsNothing(t *testing.T) {
	t.Setenv("CANARY", "secret")
	h := newHouse(t, "probe")
	c := h.open("a", "{}")
	handle, _ := c.Use(t.Context())
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", handle.Pid))
	if err != nil || strings.Contains(string(b), "CANARY") {
		t.Errorf("%v: %q", err, b)
	}
	u, err := client.UsageOf(handle.Pid)
	if err != nil || u.RSS < 1<<20 || u.RSS > 1<<30 || u.PSS == 0 || u.PSS > u.RSS {
		t.Errorf("%+v, %v", u, err)
	}
}
