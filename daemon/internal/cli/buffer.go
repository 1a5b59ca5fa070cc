package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/magpie-monitoring/magpie/daemon/internal/buffer"
	"github.com/magpie-monitoring/magpie/daemon/internal/engine"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

const bufferHelp = `look into the log between sources and sinks, and repair it

inspect says which segments and readers there are, how far the readers are behind, and what a repair would do. It looks at
the headers of records only, changes nothing, and may run while a daemon does.
verify reads every byte and checks it too. It exits with 1 if something is damaged; a write that a crash cut short is not.
repair puts aside what cannot be read (in DIR/quarantine) and makes everything else whole. It refuses while a daemon runs.
A daemon needs no repair to start: it skips what is damaged, and counts it.

DIR is a data directory, or the directory buffer in it; default: that of the configuration`

func bufferCommand(_ context.Context, o *options, args []string) int {
	if len(args) == 0 || len(args) > 2 || !slices.Contains([]string{"inspect", "verify", "repair"}, args[0]) {
		return o.fail(errors.New("say magpie buffer inspect, verify or repair, and the directory"))
	}
	dir, err := o.bufferDir(args[1:])
	if err != nil {
		return o.fail(err)
	}
	if args[0] == "repair" {
		return o.repairBuffer(dir)
	}
	r, err := buffer.Inspect(dir, args[0] == "verify")
	if err != nil {
		return o.fail(err)
	}
	if o.json {
		o.writeJSON(r)
	} else {
		o.printBuffer(dir, r)
	}
	if args[0] == "verify" && r.Damaged() {
		return exitErrors
	}
	return exitOK
}

// bufferDir finds the log in a data directory.
func (o *options) bufferDir(args []string) (string, error) {
	dir := o.dataDir
	if len(args) == 1 {
		dir = args[0]
	}
	if dir == "" {
		sources, err := language.Read(o.config)
		if err != nil {
			return "", fmt.Errorf("no directory was given, and %w", err)
		}
		dir = engine.DataDir(sources)
	}
	if inner := filepath.Join(dir, "buffer"); isDir(inner) {
		return inner, nil
	}
	if !isDir(dir) {
		return "", fmt.Errorf("there is no directory %s: give the data directory of a daemon", dir)
	}
	if _, err := os.Stat(filepath.Join(dir, "cursors")); err != nil && filepath.Base(filepath.Clean(dir)) != "buffer" {
		return "", fmt.Errorf("%s holds no log: give the data directory of a daemon", dir)
	}
	return dir, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func (o *options) repairBuffer(dir string) int {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return o.fail(err)
	}
	lock, err := engine.LockDataDir(filepath.Dir(abs))
	if err != nil {
		return o.fail(fmt.Errorf("%s is not repaired: %w", dir, err))
	}
	defer lock.Close()
	done, err := buffer.Repair(dir)
	if err != nil {
		return o.fail(err)
	}
	if o.json {
		o.writeJSON(map[string][]string{"repaired": done})
		return exitOK
	}
	if len(done) == 0 {
		fmt.Fprintf(o.Out, "The log in %s is whole: there was nothing to do.\n", dir)
		return exitOK
	}
	fmt.Fprintf(o.Out, "The log in %s is whole again. Done:\n", dir)
	for _, line := range done {
		fmt.Fprintln(o.Out, "  "+line)
	}
	return exitOK
}

func (o *options) printBuffer(dir string, r *buffer.Report) {
	fmt.Fprintf(o.Out, "Log %s in %s: %s, positions %d to %d, %d samples since it was begun\n\n", r.ID, dir, size(r.Bytes), r.First, r.Last, r.Samples)
	t := table{w: o.Out, colour: o.Colour}
	t.head("SEGMENT", "SIZE", "POSITIONS", "RECORDS", "CARRIED", "SAMPLES", "NOTE")
	for _, s := range r.Segments {
		t.row("", s.Name, size(s.Bytes), s.Range(), fmt.Sprint(s.Records), fmt.Sprint(s.Carried), fmt.Sprint(s.Samples), s.Note())
	}
	t.flush()
	fmt.Fprintln(o.Out)
	t.head("CURSOR", "POSITION", "LAG", "SAMPLES")
	for _, c := range r.Cursors {
		t.row("", c.Name, fmt.Sprint(c.Position), fmt.Sprintf("%d records", c.Records), fmt.Sprint(c.Samples))
	}
	t.flush()
	if r.Problem != "" {
		fmt.Fprintf(o.Out, "The cursors: %s\n", r.Problem)
	}
	fmt.Fprintf(o.Out, "\nPut aside: %d files, %s. Reserve: %s.\n", r.Quarantine.Files, size(r.Quarantine.Bytes), size(r.Reserve))
	if len(r.Repairs) == 0 {
		fmt.Fprintln(o.Out, "Nothing is to be repaired.")
		return
	}
	fmt.Fprintln(o.Out, "magpie buffer repair would:")
	for _, line := range r.Repairs {
		fmt.Fprintln(o.Out, "  "+line)
	}
}

// size writes bytes as people read them.
func size(n int64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 10<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return sdk.Bytes(n).String()
}
