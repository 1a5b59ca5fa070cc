package cli

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/verify"
)

// reports is where what was found of plugins is kept, by their hashes; "": nowhere.
func reports() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "magpie", "verify")
}

// attach writes the report where -o says, else beside the binary: the one that was named, or that make build has put into bin beside
// the sources, if it is the one that was verified.
func (o *options) attach(f *verify.Found, r *verify.Report) (file string, err error) {
	if file = o.plugin.out; file != "" {
		return file, r.WriteFile(file)
	}
	if r.Version == "" { // it may be no plugin at all
		return "", nil
	}
	binary := f.Binary
	if f.Dir != "" {
		binary = filepath.Join(f.Dir, "bin", filepath.Base(f.Dir))
		if sum, err := sumOf(binary); err != nil || hex.EncodeToString(sum[:]) != r.SHA256 {
			return "", nil
		}
	}
	file = binary + client.VerifiedSuffix
	if err := r.WriteFile(file); err != nil {
		w := &wide{o.Err, o.width(), o.Colour}
		w.hanging("magpie: ", 8, fmt.Sprintf("the report is kept for you, and not beside the binary, where a daemon looks: %v. Write it elsewhere with -o FILE, and have it copied there as %s", err, filepath.Base(file)))
		return "", nil
	}
	return file, nil
}

// located is a plugin that a person named, built if it was sources.
func (o *options) located(ctx context.Context, path string) (f *verify.Found, clean func(), err error) {
	dir, err := os.MkdirTemp("", "magpie-plugin-")
	if err != nil {
		return nil, nil, err
	}
	clean = func() { os.RemoveAll(dir) }
	if f, err = verify.Find(path, o.plugin.example, o.pluginDirs); err == nil {
		o.tell("building %s", f.Dir)
		err = f.Build(ctx, dir)
		o.tell("")
	}
	if err != nil {
		clean()
	}
	return f, clean, err
}

// tell shows on a terminal, in one line that the next one takes the place of, what goes on; "" clears it.
func (o *options) tell(format string, args ...any) {
	if !o.Colour || o.json {
		return
	}
	fmt.Fprintf(o.Err, "\r\x1b[K%.*s", o.width()-1, fmt.Sprintf(format, args...))
}

func verifyPlugin(ctx context.Context, o *options, path string) int {
	f, clean, err := o.located(ctx, path)
	if err != nil {
		return o.fail(err)
	}
	defer clean()
	report, err := verify.Run(ctx, verify.Options{
		Binary: f.Binary, Example: f.Example, Shown: f.Shown,
		Progress: func(done, total int, what string) { o.tell("%d of %d: %s", done, total, what) },
	})
	o.tell("")
	if err != nil {
		return o.fail(err)
	}
	report.By = Version
	if dir := reports(); dir != "" {
		if err := report.Save(dir); err != nil {
			fmt.Fprintf(o.Err, "magpie: the report is not kept: %v\n", err)
		}
	}
	if o.plugin.junit != "" {
		b, err := report.JUnit()
		if err == nil {
			err = os.WriteFile(o.plugin.junit, b, 0o644)
		}
		if err != nil {
			return o.fail(err)
		}
	}
	if o.json {
		o.writeJSON(report)
	} else {
		o.printReport(report)
	}
	file, err := o.attach(f, report)
	if err != nil {
		return o.fail(fmt.Errorf("the report cannot be written where -o says: %w", err))
	}
	if file != "" && !o.json {
		o.wide().hanging("", 0, "The report is in "+file+". Beside the binary a daemon finds it, and shows it.")
	}
	if report.Count(verify.Failed) > 0 {
		return exitErrors
	}
	return exitOK
}

// printReport writes a line for each check, and below those that failed what was seen and what to do. What does not apply is counted,
// and listed with -all.
func (o *options) printReport(r *verify.Report) {
	w := o.wide()
	of := ""
	for i := range r.Results {
		x := &r.Results[i]
		if x.State == verify.NotApplicable && !o.plugin.all {
			continue
		}
		if x.Of != of {
			of = x.Of
			w.line("")
			w.head(of)
		}
		word := map[verify.State]string{verify.OK: paint(o.Colour, green, "ok    "), verify.Failed: paint(o.Colour, red, "failed"), verify.NotApplicable: "n/a   "}[x.State]
		about := x.About
		if x.Text != "" && x.State != verify.Failed {
			about += " (" + x.Text + ")"
		}
		w.hanging(fmt.Sprintf("  %s  %-22s ", word, x.Check), 33, about)
		if x.State == verify.Failed {
			for line := range strings.Lines(x.Text) {
				w.hanging("          ", 10, line)
			}
			w.hanging("        "+paint(o.Colour, yellow, "→")+" ", 10, x.Fix)
		}
	}
	w.line("")
	w.hanging("", 0, fmt.Sprintf("%s: %s, in %s.", strings.TrimSpace(r.Plugin+" "+r.Version), r.Summary(), r.Took.Round(100*time.Millisecond)))
	for _, n := range r.Notes {
		w.hanging(paint(o.Colour, yellow, "note:")+" ", 6, n)
	}
}

// verified is what is known of a binary from the report beside it and from that which is kept for this user: the later one of this
// binary, else of another one of its name.
type verified struct {
	client.Verified
	Current bool   `json:"current"`           // it was this binary
	Trouble string `json:"trouble,omitempty"` // why the file beside it says nothing
}

func verifiedOf(catalogue *client.Catalogue, p client.Plugin) *verified {
	beside, err := catalogue.Verified(p.Path)
	all := []*client.Verified{beside}
	if dir := reports(); dir != "" {
		all = append(all, verify.Load(dir, p.SHA256), verify.Latest(dir, p.Name))
	}
	best := verified{}
	for _, v := range all {
		if v == nil {
			continue
		}
		current := v.SHA256 == p.SHA256
		if current && !best.Current || current == best.Current && v.At.After(best.At) {
			best = verified{Verified: *v, Current: current}
		}
	}
	if err != nil {
		best.Trouble = err.Error()
	}
	if best.SHA256 == "" && err == nil {
		return nil
	}
	return &best
}

func (v *verified) String() string {
	switch {
	case v == nil:
		return "no"
	case v.SHA256 == "":
		return "no, as its report cannot be read"
	}
	text := fmt.Sprintf("%d ok", v.OK)
	if v.Failed > 0 {
		text = fmt.Sprintf("%d failed", v.Failed)
	}
	text += ", " + v.At.Local().Format(time.DateOnly)
	if v.Kit != verify.Version {
		text += " by " + v.Kit
	}
	if !v.Current {
		text = "no; another binary: " + text
	}
	return text
}
