// Package demo is a cluster of etcd with load on it, Magpie that watches it with the pack etcd, and a prompt at which to break and repair
// the cluster. What Magpie says meanwhile is printed as it comes; its page shows the same.
//
// A script says what would be typed, with ; or line ends between:
//
//	pause-leader; wait etcdMembersDown; diagnose; repair; wait quiet
//
// The pack's rules wait for minutes before they fire, so that nobody is woken for nothing. Here they wait for seconds, and look back
// on seconds: nobody watches a demo for longer. ShortWaits does it.
//
//	demo.go    the command line, from start to clean-up
//	words.go   what can be typed
//	magpie.go  the daemon: its configuration, its process, what it says
package demo

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/examples/03-etcd-demo/cluster"
)

// options are the command line's.
type options struct {
	script, magpie, examples, etcd, newer, listen, dir string
	tls                                                bool
	rate                                               int
}

// demo is a running one.
type demo struct {
	options
	out     *printer
	cluster *cluster.Cluster
	magpie  *magpie
	broken  []breakage // what was broken and not repaired, the last is repaired first

	mu     sync.Mutex
	told   []alert // what was last seen of alerts, and printed
	looked int
}

type breakage struct {
	cluster.Break
	cluster.Broken
}

// printer writes whole lines, from the prompt and from the one who watches alerts.
type printer struct {
	mu sync.Mutex
	w  io.Writer
}

func (p *printer) line(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, format+"\n", args...)
}

// Main is a command line from start to exit code: 0 unless something failed that a script waits for.
func Main(ctx context.Context, args []string, in io.Reader, out io.Writer) int {
	d := &demo{out: &printer{w: out}}
	f := flag.NewFlagSet("etcd-demo", flag.ContinueOnError)
	f.SetOutput(out)
	f.StringVar(&d.script, "script", "", "what to do, instead of a prompt: words as at the prompt, with ; between")
	f.StringVar(&d.options.magpie, "magpie", "bin/magpie", "the daemon's binary, beside its plugins")
	f.StringVar(&d.examples, "examples", "examples", "the directory of the examples")
	f.StringVar(&d.etcd, "etcd", "", "path of the etcd to run, such as /usr/bin/etcd; default: the one that is linked in, 3.7")
	f.StringVar(&d.newer, "newer", "", "path of the etcd to upgrade to, the next version after that of -etcd; default: the one that is linked in")
	f.StringVar(&d.listen, "listen", "127.0.0.1:9470", "address of Magpie's page")
	f.StringVar(&d.dir, "dir", "", "directory to make the demo's own in, /dev/shm on a machine whose disk is slow; default: that of temporary files")
	f.BoolVar(&d.tls, "tls", false, "let clients need certificates, which can expire then")
	f.IntVar(&d.rate, "rate", 20, "writes and reads a second, as load")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 1
	}
	if f.NArg() > 0 {
		d.out.line("etcd-demo takes no arguments, and these are some: %s", strings.Join(f.Args(), " "))
		return 1
	}
	err := d.run(ctx, in)
	if err != nil && ctx.Err() == nil {
		d.out.line("etcd-demo: %v", err)
		return 1
	}
	return 0
}

// run starts everything, listens to the prompt or the script, and leaves nothing behind.
func (d *demo) run(ctx context.Context, in io.Reader) (err error) {
	if d.dir, err = os.MkdirTemp(d.dir, "etcd-demo-"); err != nil {
		return err
	}
	defer func() {
		if removed := os.RemoveAll(d.dir); removed != nil && err == nil {
			err = removed
		}
	}()
	d.out.line("starting three members of etcd")
	// Old revisions go after ten minutes, so that the load does not fill the database by itself.
	set := map[string]any{"quota-backend-bytes": 32 << 20, "auto-compaction-mode": "periodic", "auto-compaction-retention": "10m"}
	if d.cluster, err = cluster.Start(ctx, cluster.Options{Dir: d.dir, Program: d.etcd, Newer: []string{d.newer}, TLS: d.tls, Set: set}); err != nil {
		return err
	}
	defer d.cluster.Close()
	for i := range d.cluster.Len() {
		d.out.line("  %s  %s  data in %s", d.cluster.Name(i), d.cluster.URL(i), d.cluster.Dir(i))
	}
	stopLoad, err := d.cluster.Load(d.rate)
	if err != nil {
		return err
	}
	defer stopLoad()
	d.out.line("starting Magpie")
	if d.magpie, err = d.startMagpie(ctx); err != nil {
		return err
	}
	defer d.magpie.stop()
	d.out.line("\nLook at %s/, or ask: %s status -addr %s\n", d.magpie.url, d.options.magpie, d.magpie.url)

	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	go func() { // without Magpie there is nothing to see
		select {
		case <-d.magpie.done:
			end(fmt.Errorf("magpie has ended:\n%s", d.magpie.said()))
		case <-ctx.Done():
		}
	}()
	var telling sync.WaitGroup
	defer telling.Wait()
	defer end(nil)
	telling.Go(func() { d.tell(ctx) })
	defer d.mendAll()
	if d.script != "" {
		err = d.follow(ctx)
	} else {
		err = d.ask(ctx, in)
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	return err
}

// mendAll repairs what is still broken: a mount or a tracer would outlive us.
func (d *demo) mendAll() {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	for len(d.broken) > 0 {
		d.repair(ctx)
	}
}

// follow does what a script says, and ends at the first word that fails.
func (d *demo) follow(ctx context.Context) error {
	for _, words := range strings.FieldsFunc(d.script, func(r rune) bool { return r == ';' || r == '\n' }) {
		if words = strings.TrimSpace(words); words == "" || strings.HasPrefix(words, "#") {
			continue
		}
		d.out.line("> %s", words)
		if err := d.do(ctx, words); err != nil {
			if errors.Is(err, errQuit) {
				return nil
			}
			return fmt.Errorf("%s: %w", words, err)
		}
	}
	return nil
}

// ask does what is typed, until quit or the input's end.
func (d *demo) ask(ctx context.Context, in io.Reader) error {
	d.menu()
	lines := make(chan string)
	go func() {
		defer close(lines)
		for typed := bufio.NewScanner(in); typed.Scan(); {
			select {
			case lines <- typed.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		fmt.Fprint(d.out.w, "> ")
		select {
		case <-ctx.Done():
			d.out.line("")
			return nil
		case words, ok := <-lines:
			if !ok {
				return nil
			}
			if words = strings.TrimSpace(words); words == "" {
				continue
			}
			if err := d.do(ctx, words); errors.Is(err, errQuit) {
				return nil
			} else if err != nil {
				d.out.line("%v", err)
			}
		}
	}
}
