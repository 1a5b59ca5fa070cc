package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/examples/03-etcd-demo/cluster"
)

var errQuit = errors.New("quit")

// others are the words beside the breaks.
var others = [][2]string{
	{"repair", "undo the last break"},
	{"alerts", "what is pending and fires now"},
	{"diagnose", "ask Magpie what is wrong"},
	{"members", "the members, and who leads"},
	{"bench", "measure the cluster for five seconds"},
	{"wait ALERT", "until an alert fires; wait resolved ALERT, until it does no more; wait quiet, until nothing but warnings of slowness does"},
	{"sleep 5s", ""},
	{"help, quit", ""},
}

// breaks are those that this cluster can show.
func (d *demo) breaks() []cluster.Break {
	return slices.DeleteFunc(cluster.Breaks(), func(b cluster.Break) bool {
		return b.Name == "expire-certificate" && !d.tls || b.Name == "unfinished-upgrade" && d.etcd == d.newer
	})
}

func (d *demo) menu() {
	for i, b := range d.breaks() {
		d.out.line("%4d  %-18s  %s", i+1, b.Name, b.About)
	}
	for _, o := range others {
		d.out.line("      %-18s  %s", o[0], o[1])
	}
}

// do does what a line says.
func (d *demo) do(ctx context.Context, line string) error {
	words := strings.Fields(line)
	switch words[0] {
	case "quit", "exit":
		return errQuit
	case "help":
		d.menu()
	case "repair":
		return d.repair(ctx)
	case "alerts":
		return d.alerts(ctx)
	case "diagnose":
		return d.ran(ctx, "diagnose", "-addr", d.magpie.url, diagnoser)
	case "bench":
		args := []string{"bench", "etcd", "-endpoints", strings.Join(d.cluster.URLs(), ","), "-rate", "200", "-clients", "20", "-duration", "5s", "-bytes", "4MiB", "-compact"}
		if ca, cert, key := d.cluster.Files(); ca != "" {
			args = append(args, "-ca-file", ca, "-cert-file", cert, "-key-file", key)
		}
		return d.ran(ctx, args...)
	case "members":
		return d.members(ctx)
	case "wait":
		return d.wait(ctx, words[1:])
	case "sleep":
		if len(words) != 2 {
			return errors.New("sleep takes a time, such as 5s")
		}
		t, err := time.ParseDuration(words[1])
		if err != nil {
			return err
		}
		return sleep(ctx, t)
	default:
		return d.breakIt(ctx, words[0])
	}
	return nil
}

// breakIt does a break by its name, or by its number in the menu.
func (d *demo) breakIt(ctx context.Context, name string) error {
	breaks := d.breaks()
	if n, err := strconv.Atoi(name); err == nil && n >= 1 && n <= len(breaks) {
		name = breaks[n-1].Name
	}
	b, err := cluster.Named(name)
	if err != nil {
		return fmt.Errorf("there is nothing called %q: help says what there is", name)
	}
	if slices.ContainsFunc(d.broken, func(x breakage) bool { return x.Name == b.Name }) {
		return fmt.Errorf("%s is done already: repair it first", b.Name)
	}
	d.say("%s: %s", b.Name, b.About)
	broken, err := b.Do(ctx, d.cluster)
	if broken.Repair != nil {
		d.broken = append(d.broken, breakage{b, broken})
	}
	if err != nil {
		return err
	}
	d.say("it is broken: %s will fire", b.Alert)
	return nil
}

// repair undoes the last break.
func (d *demo) repair(ctx context.Context) error {
	if len(d.broken) == 0 {
		return errors.New("nothing is broken")
	}
	last := d.broken[len(d.broken)-1]
	d.broken = d.broken[:len(d.broken)-1]
	d.say("repairing: %s", last.Name)
	if err := last.Repair(ctx); err != nil {
		return fmt.Errorf("%s is not repaired: %w", last.Name, err)
	}
	d.say("repaired: %s", last.Name)
	return nil
}

// waitFor bounds a wait of a script.
const waitFor = 3 * time.Minute

func (d *demo) wait(ctx context.Context, words []string) error {
	if len(words) > 1 && (words[0] == "alert" || words[0] == "firing") {
		words = words[1:]
	}
	var come func([]alert) bool
	firing := func(all []alert, name string) bool {
		return slices.ContainsFunc(all, func(a alert) bool { return a.State == "firing" && a.Labels["alertname"] == name })
	}
	switch {
	case len(words) == 1 && words[0] == "quiet":
		come = func(all []alert) bool {
			return !slices.ContainsFunc(all, func(a alert) bool { return a.State == "firing" && !a.noise() })
		}
	case len(words) == 1:
		come = func(all []alert) bool { return firing(all, words[0]) }
	case len(words) == 2 && words[0] == "resolved":
		come = func(all []alert) bool { return !firing(all, words[1]) }
	default:
		return errors.New("say wait ALERT, wait resolved ALERT, or wait quiet")
	}
	ctx, cancel := context.WithTimeout(ctx, waitFor)
	defer cancel()
	_, before := d.lastTold() // as it was before the word that this follows
	for {
		if all, looked := d.lastTold(); looked > before+1 && come(all) {
			return nil
		}
		if sleep(ctx, 100*time.Millisecond) != nil {
			return fmt.Errorf("it has not come within %s", waitFor)
		}
	}
}

// alerts prints what is pending and fires.
func (d *demo) alerts(ctx context.Context) error {
	all, err := d.magpie.alerts(ctx)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		d.out.line("none")
	}
	for _, a := range all {
		d.out.line("%-8s  %s", a.State, a.text())
	}
	return nil
}

// members prints who is there.
func (d *demo) members(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	leader, err := d.cluster.Leader(ctx)
	for i := range d.cluster.Len() {
		state := "follows"
		switch {
		case !d.cluster.Running(i):
			state = "stopped"
		case err != nil:
			state = "runs"
		case i == leader:
			state = "leads"
		}
		d.out.line("%s  %s  %s", d.cluster.Name(i), d.cluster.URL(i), state)
	}
	return nil
}

// ran runs a command of magpie and prints what it says.
func (d *demo) ran(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, d.options.magpie, args...)
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+d.dir)
	text, err := cmd.CombinedOutput()
	d.out.line("%s", strings.TrimRight(string(text), "\n"))
	return err
}

// say prints a line with the time.
func (d *demo) say(format string, args ...any) {
	d.out.line("%s  "+format, append([]any{time.Now().Format(time.TimeOnly)}, args...)...)
}

func sleep(ctx context.Context, t time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(t):
		return nil
	}
}
