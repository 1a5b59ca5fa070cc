package sdk

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Blame says whose fault a problem is: it decides who is told, and in which counter it is counted.
type Blame string

// Who can be to blame.
const (
	BlamePlugin Blame = "plugin" // a bug in the plugin, or a plain error
	BlameTarget Blame = "target" // what is watched or written to
	BlameHost   Blame = "host"   // the machine or the daemon
	BlameConfig Blame = "config" // what the ops team wrote
)

// Problem is an error that steers: whom it blames, whether trying again can help, and which attribute caused it.
type Problem struct {
	Blame      Blame         // whom it is counted for
	Permanent  bool          // trying again cannot help
	RetryAfter time.Duration // not before; 0: as the caller's back-off says
	Path       Path          // the attribute, if one is to blame
	Fix        string        // what to do, a sentence
	Err        error         // what went wrong
	field      any           // pointer given to At, resolved when the component's config is at hand
}

func (p *Problem) Error() string { return p.Err.Error() }
func (p *Problem) Unwrap() error { return p.Err }

// AsProblem makes a problem of any error: a plain one blames the plugin, a deadline the target.
func AsProblem(err error) *Problem {
	var p *Problem
	switch {
	case err == nil:
		return nil
	case errors.As(err, &p):
		q := *p
		q.Err = err
		return &q
	case errors.Is(err, context.DeadlineExceeded):
		return &Problem{Blame: BlameTarget, Err: err}
	}
	return &Problem{Blame: BlamePlugin, Err: err}
}

// Target blames what is watched: it does not answer, or answers nonsense.
func Target(err error) error { return wrap(err, func(p *Problem) { p.Blame = BlameTarget }) }

// Permanent says that trying again cannot help.
func Permanent(err error) error { return wrap(err, func(p *Problem) { p.Permanent = true }) }

// RetryAfter asks not to be tried again before d has passed.
func RetryAfter(err error, d time.Duration) error {
	return wrap(err, func(p *Problem) { p.RetryAfter = d; p.Blame = BlameTarget })
}

// At blames an attribute by a pointer to its field in the config that open was given: sdk.At(&cfg.URL, err). It reaches
// the ops team as a diagnostic at that place in their file.
func At(field any, err error) error {
	return wrap(err, func(p *Problem) { p.field = field; p.Blame = BlameConfig })
}

// Fix adds what to do about an error, a sentence for an ops team.
func Fix(err error, format string, args ...any) error {
	return wrap(err, func(p *Problem) { p.Fix = fmt.Sprintf(format, args...) })
}

func wrap(err error, change func(*Problem)) error {
	if err == nil {
		return nil
	}
	p := AsProblem(err)
	change(p)
	return p
}

// ErrFull is what Emit returns to a Streamer that asked not to wait (see WithoutWaiting): the daemon has no room now. A
// push source answers 429 or 503.
var ErrFull = errors.New("the daemon has no room for more data now")

type noWait struct{}

// WithoutWaiting makes Emit return ErrFull where it would wait for credit.
func WithoutWaiting(ctx context.Context) context.Context {
	return context.WithValue(ctx, noWait{}, true)
}

// Waits reports whether Emit may wait under ctx.
func Waits(ctx context.Context) bool { return ctx.Value(noWait{}) == nil }

// Diag is one remark about a configuration.
type Diag struct {
	Warning bool   // it is allowed all the same
	Path    Path   // empty: the block as a whole
	Text    string // a sentence, without the path
}

// String is "path: text", or "warning: path: text".
func (d Diag) String() string {
	text := fmt.Sprintf("%s: %s", d.Path, d.Text)
	if d.Warning {
		return "warning: " + text
	}
	return text
}

// Diags collects what a Config's Validate has to say.
type Diags struct {
	List []Diag // in the order in which they were said
	cfg  any
}

// Errorf reports an error at a field, given by pointer: d.Errorf(&c.Target[1].Port, "…"). nil is the block as a whole.
func (d *Diags) Errorf(field any, format string, args ...any) { d.add(false, field, format, args) }

// Warnf reports what is allowed but probably not meant.
func (d *Diags) Warnf(field any, format string, args ...any) { d.add(true, field, format, args) }

func (d *Diags) add(warning bool, field any, format string, args []any) {
	d.List = append(d.List, Diag{warning, pathOf(d.cfg, field), fmt.Sprintf(format, args...)})
}
