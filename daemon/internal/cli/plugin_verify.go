package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

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
	fmt.Fprintf(o.Err, "\r\x1b[K%.100s", fmt.Sprintf(format, args...))
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
		report.Write(o.Out, o.Colour, o.plugin.all)
	}
	if report.Count(verify.Failed) > 0 {
		return exitErrors
	}
	return exitOK
}

// verified is what is known of a binary from the last time that it was verified, or else of the last one of its name.
type verified struct {
	Current bool      `json:"current"` // it was this binary
	At      time.Time `json:"at"`
	OK      int       `json:"ok"`
	Failed  []string  `json:"failed,omitempty"` // checks
	Kit     string    `json:"kit"`
	Skipped int       `json:"not_applicable"`
}

func verifiedOf(name, sha256 string) *verified {
	r := verify.Load(reports(), sha256)
	if r == nil {
		r = verify.Latest(reports(), name)
	}
	if r == nil {
		return nil
	}
	v := &verified{Current: r.SHA256 == sha256, At: r.At, OK: r.Count(verify.OK), Skipped: r.Count(verify.NotApplicable), Kit: r.Kit}
	for _, x := range r.Results {
		if x.State == verify.Failed {
			v.Failed = append(v.Failed, x.Of+": "+x.Check)
		}
	}
	return v
}

func (v *verified) String() string {
	if v == nil {
		return "no"
	}
	text := fmt.Sprintf("%d ok", v.OK)
	if len(v.Failed) > 0 {
		text = fmt.Sprintf("%d failed", len(v.Failed))
	}
	text += ", " + v.At.Local().Format(time.DateOnly)
	if v.Kit != verify.Version {
		text += " by " + v.Kit
	}
	if !v.Current {
		text = "another binary: " + text
	}
	return text
}
