// The command magpie bench measures how fast something is that Magpie watches. It is a program of its own beside the plugins, which
// magpie runs for the word bench.
//
//	magpie bench etcd source.etcd.main                  # the cluster that the configuration watches, the small load
//	magpie bench etcd -load m -endpoints http://10.0.0.1:2379
//	magpie bench etcd -workload mixed -reads 80 -rate 500 -duration 30s source.etcd.main
//	magpie bench etcd -workload watch -json source.etcd.main >watch.json
//
// A component's address gives endpoints, tls and user as the configuration has them; a password is in no output of Magpie and is
// given in a file, -password-file. Flags go before what the component says.
//
// # What it does to the cluster
//
// It writes, so that it has bounds, all of them flags: keys, bytes, clients, requests a second, time. It refuses to begin where an alarm
// is raised, where a member's database is above 80 % of its quota, and where what it will write at most is more than half of the room
// below it; and it ends as soon as one of the first two becomes so. It looks every two seconds.
//
// All keys are under a prefix of its own, with a lease: they are deleted at the end and on Ctrl-C, and where the process is killed, when
// the lease ends, within a minute. What was written stays in the history until somebody compacts; -compact does it at the end, which ends
// watches and reads of older revisions, those of others too.
//
// While it runs, others wait longer for the cluster. Do not run it on one that is in trouble.
//
// # Workloads
//
//   - write: puts of -value-size bytes to -keys keys, one after another.
//   - read: gets of single keys, which it writes first; -serializable asks one member without the others.
//   - mixed: -reads percent of them gets, the rest puts.
//   - watch: puts, and the time until the event of each reaches a watcher; each of -clients watches the prefix.
//   - lease: grant, keep alive once, revoke; each is a request.
//
// # Verdicts
//
// Of writes it says what etcdctl check perf says, with its loads and its limits: s 150 requests a second by 50 clients, m 1,000 by 200,
// l 8,000 by 500, xl 15,000 by 1,000, for a minute, values of 1 KiB. A load passes with no error, more than 90 % of its rate, no request
// slower than 500 ms and a standard deviation below 100 ms. Beside it stand the 99th percentiles of the members' disks during the run, from
// their metrics pages: fsync of the log below 10 ms, commit of the database below 25 ms, as etcd's documentation wants them. They do not
// count for the exit code, which is 0 where the load passes and where there is none, and 1 otherwise.
//
// Keys differ from those of etcdctl: it writes a new key each time, which stays until its end; here -keys keys are overwritten. Latency is
// counted from when a request is sent. What is not sent as all clients wait is not made up for later, as there; throughput shows it.
//
// # How it is tested
//
// Against real members of etcd 3.7 and of Debian's 3.4.23, with and without TLS: every workload, each bound, the refusals, and that nothing
// is left behind, also after an interrupt and a kill. make soak tries every workload on 3.5.35 and 3.6.16, too.
//
// On one member of 3.4.23 etcdctl check perf --load=s and magpie bench etcd -load s were run at the same time, on a machine of two cores
// that others used (load 17). Both passed: etcdctl said 147 writes/s, the slowest 0.443 s, deviation 0.070 s; magpie bench said 149
// writes/s, 449 ms and 69 ms, and beside it that both disk times were too long (fsync up to 32 ms, commit up to 256 ms).
//
// # Files
//
// settings.go holds flags and bounds, component.go reads a component of the configuration, cluster.go asks the members how they are,
// workload.go the requests, measure.go what they took, result.go how it is said.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

// run is a command line from start to exit code.
func run(ctx context.Context, args []string, out, say io.Writer) int {
	if len(args) == 0 || args[0] != "etcd" {
		fmt.Fprintln(say, "Usage: magpie bench etcd [-flag value] [source.etcd.NAME]\n\nMeasures how fast an etcd cluster is; magpie bench etcd -help says more.")
		if len(args) == 1 && (args[0] == "-help" || args[0] == "-h" || args[0] == "--help") {
			return 0
		}
		return 1
	}
	s, err := parse(args[1:], say)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	var r *result
	if err == nil {
		r, err = bench(ctx, s, say)
	}
	if r != nil {
		if s.json {
			err = errors.Join(err, r.json(out))
		} else {
			r.text(out)
		}
	}
	if err != nil {
		fmt.Fprintf(say, "magpie bench: %v\n", err)
	}
	if err != nil || !r.Passed {
		return 1
	}
	return 0
}

// bench measures a cluster. There is a result, of as far as it went, with an error that ended it early.
func bench(ctx context.Context, s *settings, say io.Writer) (*result, error) {
	c, err := connect(ctx, s)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if err := c.safe(ctx, s.atMost()); err != nil {
		return nil, err
	}
	w, err := s.begin(ctx, c)
	if err != nil {
		return nil, err
	}
	before := c.disks(ctx)
	m := &measured{began: time.Now()}
	running, stop := context.WithTimeoutCause(ctx, s.duration, errTime)
	defer stop()
	running, abort := context.WithCancelCause(running)
	defer abort(nil)
	go c.watchOver(running, abort)
	shown := progress(running, say, s, m)
	w.run(running, ctx, m, abort)
	took := time.Since(m.began)
	why := context.Cause(running)
	abort(nil)
	<-shown
	after := c.disks(context.WithoutCancel(ctx))
	err = w.end(context.WithoutCancel(ctx))
	r := newResult(s, m, took, diskTimes(before, after))
	switch {
	case ctx.Err() != nil:
		err = errors.Join(errors.New("it was interrupted: what is said is of the time until then"), err)
	case why != nil && !errors.Is(why, errTime) && !errors.Is(why, errBytes):
		err = errors.Join(fmt.Errorf("it was ended early: %w", why), err)
	case errors.Is(why, errBytes):
		r.Note = why.Error()
	}
	if err != nil {
		r.Passed = false
	}
	return r, err
}

var errTime = errors.New("the time is over")

// isTerminal reports whether somebody looks at what is written.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
