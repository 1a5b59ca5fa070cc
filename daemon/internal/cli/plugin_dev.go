package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"connectrpc.com/connect"

	"github.com/magpie-monitoring/magpie/daemon/internal/api/control"
	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/verify"
)

// dev is a session of magpie plugin dev. Whatever it makes on its way to the plugin directory lies in one hidden directory
// beside the binary, and is gone when it ends; what is left is the last binary that opened.
type dev struct {
	*options
	to     *daemon
	name   string
	dir    string // of the sources
	target string // the binary that is replaced
	work   string // beside the target, so that a rename is enough
	last   [sha256.Size]byte
	said   string // of the components, last
}

// healthEvery is how often the daemon is asked how the components are.
const healthEvery = 2 * time.Second

func devPlugin(ctx context.Context, o *options, dir string) int {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return o.fail(err)
	}
	f, err := verify.Find(dir, o.plugin.example, nil)
	if err == nil && f.Dir == "" {
		err = fmt.Errorf("%s is a binary, and dev takes the directory of the sources", dir)
	}
	if err != nil {
		return o.fail(err)
	}
	d := &dev{options: o, name: filepath.Base(dir), dir: dir}
	if err := d.place(ctx); err != nil {
		return o.fail(err)
	}
	end, err := d.begin()
	if err != nil {
		return o.fail(err)
	}
	defer end()
	first := d.last
	d.say("%s is built into %s at every change below %s, and the daemon at %s takes it. Ctrl-C ends this.", d.name, d.target, dir, d.to.name)
	w := newWatched(ctx, dir, d.target)
	for ctx.Err() == nil {
		d.round(ctx)
		w.follow(ctx)
		for asked := time.Now(); ctx.Err() == nil && !w.changed(ctx); {
			if time.Since(asked) > healthEvery {
				asked = time.Now()
				d.health(ctx)
			}
		}
	}
	if d.last != first {
		d.say("what is in place now was not verified: %s", d.verification())
	}
	return exitOK
}

// verification is the command that verifies what is in place, and puts the report beside it.
func (d *dev) verification() string {
	command := "magpie plugin verify "
	if d.target != filepath.Join(d.dir, "bin", d.name) {
		command += "-o " + d.target + client.VerifiedSuffix + " "
	}
	return command + d.dir
}

// place finds the binary that the daemon runs, or would find first. Without a daemon it is bin beside the sources.
func (d *dev) place(ctx context.Context) error {
	d.target = filepath.Join(d.dir, "bin", d.name)
	d.find()
	s, err := d.status(ctx)
	if unreached(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, dir := range s.PluginDirs {
		path := filepath.Join(dir, d.name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			d.target = path
			return nil
		}
	}
	if !slices.Contains(s.PluginDirs, filepath.Dir(d.target)) {
		return fmt.Errorf("there is no plugin %s in %s, where the daemon at %s looks: start it with -plugin-dir %s, too",
			d.name, strings.Join(s.PluginDirs, " or "), d.to.name, filepath.Dir(d.target))
	}
	return nil
}

// find finds the daemon: it may be another one by now.
func (d *dev) find() {
	d.to = d.options.daemon()
	d.to.http.Timeout = applyWithin
}

func (d *dev) status(ctx context.Context) (*control.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return d.to.status(ctx)
}

// begin makes the directory to work in, for nobody else at the same time.
func (d *dev) begin() (end func(), err error) {
	d.work = filepath.Join(filepath.Dir(d.target), ".magpie-dev-"+d.name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(d.target), 0o755), os.MkdirAll(d.work, 0o700)); err != nil {
		return nil, err
	}
	lock, err := os.Open(d.work)
	if err != nil {
		return nil, err
	}
	if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		lock.Close()
		return nil, fmt.Errorf("another magpie plugin dev works on %s", d.target)
	}
	d.last, _ = sumOf(d.target)
	return func() {
		os.RemoveAll(d.work)
		lock.Close()
	}, nil
}

// round takes one state of the sources as far as it gets.
func (d *dev) round(ctx context.Context) {
	began := time.Now()
	d.find()
	f, err := verify.Find(d.dir, d.plugin.example, nil)
	if err == nil {
		d.tell("building")
		err = f.Build(ctx, d.work)
		d.tell("")
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		d.bad("it does not build", err.Error())
		return
	}
	if text := d.check(ctx, f); text != "" && ctx.Err() == nil {
		d.bad("it does not pass its checks", text)
		return
	}
	built, err := sumOf(f.Binary)
	if err != nil {
		d.bad("it cannot be read", err.Error())
		return
	}
	if ctx.Err() != nil {
		return
	}
	if built == d.last {
		d.say("%s is in its place already", d.name)
		return
	}
	if err := d.swap(context.WithoutCancel(ctx), built, began); err != nil {
		d.bad("the daemon does not take it", err.Error())
	}
}

// check makes the checks of verify that take no time. It returns what failed, and what to do.
func (d *dev) check(ctx context.Context, f *verify.Found) string {
	d.tell("checking")
	defer d.tell("")
	r, err := verify.Run(ctx, verify.Options{Binary: f.Binary, Example: f.Example, Shown: f.Shown, Only: verify.Quick})
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, x := range r.Results {
		if x.State == verify.Failed {
			fmt.Fprintf(&b, "%s: %s: %s\n%s\n→ %s\n", x.Of, x.Check, x.About, x.Text, x.Fix)
		}
	}
	return b.String()
}

// swap puts the new binary where the daemon finds it, and has the daemon take it. If it does not, the old one is put back before
// anything else can happen: what runs goes on, and would be started again as it is.
func (d *dev) swap(ctx context.Context, built [sha256.Size]byte, began time.Time) error {
	fresh, old := filepath.Join(d.work, d.name), filepath.Join(d.work, "old")
	os.Remove(old)
	had := os.Link(d.target, old)
	if had != nil && !errors.Is(had, os.ErrNotExist) {
		return had
	}
	if err := os.Rename(fresh, d.target); err != nil {
		return err
	}
	reload, err := d.to.control().Reload(ctx, connect.NewRequest(&control.ReloadRequest{Plugins: true}))
	if unreached(err) {
		d.last = built
		d.say("built: no daemon answers at %s, which would take it. Start one with\n  magpie run -plugin-dir %s config.hcl", d.to.name, filepath.Dir(d.target))
		return nil
	}
	if err == nil && reload.Msg.Applied {
		d.last = built
		d.taken(ctx, time.Since(began))
		return nil
	}
	back := os.Remove(d.target)
	if had == nil {
		back = os.Rename(old, d.target)
	}
	if err == nil {
		err = errors.New(strings.TrimSpace(reload.Msg.Text))
	}
	return errors.Join(err, back)
}

// taken says what runs now.
func (d *dev) taken(ctx context.Context, took time.Duration) {
	s, err := d.status(ctx)
	if err != nil {
		d.bad("the daemon has taken it, and does not say how it is", err.Error())
		return
	}
	for _, p := range slices.Backward(s.Processes) { // the younger one, while the old one ends
		if p.Plugin == d.name {
			d.say("%s %s runs after %s: pid %d, %s", d.name, p.Version, took.Round(100*time.Millisecond), p.Pid, strings.Join(p.Components, ", "))
			return
		}
	}
	d.say("%s is in its place after %s, and no block of the configuration is of it: add the one of example.hcl, and say magpie apply", d.name, took.Round(100*time.Millisecond))
}

// health says how the plugin's components are, whenever that is another than it was.
func (d *dev) health(ctx context.Context) {
	s, err := d.status(ctx)
	if err != nil {
		return
	}
	var b strings.Builder
	for _, c := range s.Components {
		if trouble := strings.TrimSpace(c.Text + " " + c.LastError); c.Plugin == d.name && trouble != "" {
			fmt.Fprintf(&b, "%s is %s: %s\n", c.Address, c.State, trouble)
		}
	}
	if now := b.String(); now != d.said {
		if d.said = now; now == "" {
			now = "its components are well\n"
		}
		d.say("%s", strings.TrimSpace(now))
	}
}

func (d *dev) say(format string, args ...any) {
	fmt.Fprintf(d.Out, "%s  %s\n", time.Now().Format("15:04:05"), strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\n          "))
}

// bad says what is wrong. What ran goes on, whatever it is.
func (d *dev) bad(what, text string) {
	if d.Colour {
		what = "\x1b[31m" + what + "\x1b[0m"
	}
	d.say("%s: what ran before goes on\n%s", what, strings.TrimSpace(text))
}

func sumOf(path string) (sum [sha256.Size]byte, err error) {
	b, err := os.ReadFile(path)
	return sha256.Sum256(b), err
}
