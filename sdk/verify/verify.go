// Package verify is the conformance kit: it starts a plugin as the daemon would, in whatever language it is written, and
// tries whether it keeps the contract, with what it should do and with what it should survive. `magpie plugin verify` prints
// what it finds, plugintest.Verify runs it in a test.
//
// The checks are a list of groups (groups.go); what a group needs decides which types it is for, so that a new kind adds a
// group of its own. Groups run side by side, each with a process of its own; the checks of a group run one after another, and a
// process that a check has killed is started again for the next one.
//
// Components are opened with the blocks of an example file. A type without an example, and without anything that it requires,
// is opened with an empty block; of others only what needs no component is checked.
//
//	groups.go     which checks there are
//	run.go        one verification: groups side by side, results
//	session.go    a process under test, its components, what it says
//	recording.go  what sources send, held against sdk/wire/FORMAT.md
//	feeder.go     what sinks are sent
//	example.go    blocks to open components with; target.go is the server that they can name
//	find.go       from a path to a binary and its example
//	report.go     what was found, as text, JSON and JUnit
//	*_checks.go   the checks
package verify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// Version is that of the kit: a report of another one is out of date.
const Version = wire.Version

// Options say what to verify, and how.
type Options struct {
	Binary   string
	Example  *Example // to open components with; nil: there is none
	Shown    *Example // the plugin's example.hcl, which must be valid; nil: Example is it
	Patience float64  // times are allowed so much longer; 0: as busy as the machine is, at least 1
	Side     int      // groups at the same time; 0: 4
	Only     []string // beginnings of names: no other checks are made; none: all are
	Progress func(done, total int, what string)
}

// Quick are the checks that take no time to speak of, for Only: those that a plugin in the making is to pass each time that it is
// built. That it starts and opens is always checked.
var Quick = []string{"describe/", "schema/", "validate/"}

// wants reports whether a check is to be made.
func (o *Options) wants(name string) bool {
	return len(o.Only) == 0 || slices.ContainsFunc(o.Only, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// Run verifies a plugin. The error is of the verification: what is wrong with the plugin is in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Patience == 0 {
		o.Patience = crowd()
	}
	if o.Side == 0 {
		o.Side = 4
	}
	if o.Progress == nil {
		o.Progress = func(int, int, string) {}
	}
	dir, err := os.MkdirTemp("", "mv") // sockets need a short path
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	k, err := newKit(ctx, o, dir)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	k.run()
	k.report.Took = time.Since(began)
	return &k.report, ctx.Err()
}

// crowd is how many times over the machine is busy already.
func crowd() float64 {
	b, err := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(b), " ")
	load, bad := strconv.ParseFloat(first, 64)
	if err != nil || bad != nil {
		return 1
	}
	return min(20, max(1, load/float64(runtime.NumCPU())))
}

// skip says why a check does not apply.
func skip(format string, args ...any) error { return skipped(fmt.Sprintf(format, args...)) }

type skipped string

func (s skipped) Error() string { return string(s) }

// remark says what was seen where a check is ok.
func remark(format string, args ...any) error { return remarked(fmt.Sprintf(format, args...)) }

type remarked string

func (r remarked) Error() string { return string(r) }

// verdict is the state that the error of a check means, and its text.
func verdict(err error) (State, string) {
	var s skipped
	var r remarked
	switch {
	case err == nil:
		return OK, ""
	case errors.As(err, &s):
		return NotApplicable, string(s)
	case errors.As(err, &r):
		return OK, string(r)
	}
	return Failed, err.Error()
}
