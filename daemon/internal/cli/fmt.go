package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"

	"github.com/magpie-monitoring/magpie/sdk/language"
)

const fmtHelp = `write configurations in the usual layout: indentation, aligned equals signs and comments

Given files are formatted, and of given directories all *.hcl files, in the directories in them too; without any that of -config;
with - what comes on standard input, to standard output. Files whose layout changed are listed. Only blanks ever change, and a file
with mistakes of syntax is left alone. It exits with 1 if there are such, or if -check finds a file to format. With -migrate,
attributes and blocks that a plugin calls otherwise now get their new names, in JSON too, whose layout stays`

type fmtFlags struct {
	check, diff, migrate bool
}

func fmtFlagsOf(f *flag.FlagSet, o *options) {
	f.BoolVar(&o.fmt.check, "check", false, "change nothing; list the files that are not formatted, and exit with 1 if there are any")
	f.BoolVar(&o.fmt.diff, "diff", false, "change nothing; show what would change")
	f.BoolVar(&o.fmt.migrate, "migrate", false, "write the new names of attributes and blocks that were renamed; with -check, list them")
}

// formatted is a file for programs. Of those that are as they should be there is none.
type formatted struct {
	File    string        `json:"file"`
	Diff    string        `json:"diff"`
	Renamed []renamedName `json:"renamed,omitempty"`
}

func format(ctx context.Context, o *options, args []string) int {
	if len(args) == 0 {
		args = []string{o.config}
	}
	code, all := exitOK, []formatted{}
	schemas, err := o.schemas(ctx)
	if err != nil {
		return o.fail(err)
	}
	for _, arg := range args {
		if arg == "-" {
			if len(args) > 1 {
				return o.fail(errors.New("standard input (-) is formatted alone, without files"))
			}
			return o.formatInput(schemas)
		}
		files, err := o.filesToFormat(arg)
		if err != nil {
			code = o.fail(err)
			continue
		}
		for _, file := range files {
			f, err := o.formatFile(file, schemas)
			if err != nil {
				code = o.fail(err)
			} else if f == nil {
				code = exitErrors
			} else if f.Diff != "" {
				all = append(all, *f)
			}
		}
	}
	if o.fmt.check && len(all) > 0 {
		code = exitErrors
	}
	switch {
	case o.json:
		o.writeJSON(all)
	case o.fmt.diff:
		for _, f := range all {
			fmt.Fprint(o.Out, f.Diff)
		}
	default:
		for _, f := range all {
			o.printFormatted(f)
		}
	}
	return code
}

func (o *options) printFormatted(f formatted) {
	fmt.Fprintln(o.Out, f.File)
	for _, r := range f.Renamed {
		fmt.Fprintf(o.Out, "  %d:%d: %s is %s now\n", r.Line, r.Column, r.From, r.To)
	}
}

// filesToFormat are a file, or the *.hcl files below a directory; JSON has a layout of its own, and only its names change.
func (o *options) filesToFormat(path string) (files []string, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s does not exist: give the path of a .hcl file, or of a directory that holds some", path)
	}
	if err != nil || !info.IsDir() {
		if strings.HasSuffix(path, ".json") && !o.fmt.migrate {
			err = fmt.Errorf("%s is JSON, and fmt formats HCL's own syntax only", path)
		}
		return []string{path}, err
	}
	err = filepath.WalkDir(path, func(file string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if strings.HasPrefix(e.Name(), ".") && file != path {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !e.IsDir() && (strings.HasSuffix(file, ".hcl") || o.fmt.migrate && strings.HasSuffix(file, ".hcl.json")) {
			files = append(files, file)
		}
		return nil
	})
	if err == nil && files == nil {
		err = fmt.Errorf("%s is a directory without *.hcl files", path)
	}
	return files, err
}

// formatFile formats a file in its place, unless the flags say otherwise. It is nil if there are mistakes, which are said.
func (o *options) formatFile(path string, schemas schemas) (*formatted, error) {
	sources, err := language.Read(path)
	if err != nil {
		return nil, err
	}
	s := sources[0]
	f, out, err := o.rewrite(s, schemas)
	if out == nil || err != nil {
		return nil, err
	}
	if f.Diff == "" || o.fmt.check || o.fmt.diff {
		return f, nil
	}
	return f, replaceFile(path, s.Bytes, out)
}

// rewrite gives a file its new names, if that is asked for, and the usual layout. out is nil if there are mistakes, which are said.
func (o *options) rewrite(s language.Source, schemas schemas) (f *formatted, out []byte, err error) {
	f, was := &formatted{File: s.Name}, s.Bytes
	if o.fmt.migrate {
		if s.Bytes, f.Renamed = o.migrate(s, schemas); s.Bytes == nil {
			return nil, nil, nil
		}
	}
	if out = s.Bytes; !strings.HasSuffix(s.Name, ".json") {
		if out, err = o.layout(s); out == nil || err != nil {
			return nil, nil, err
		}
	}
	f.Diff = linesChanged(s.Name, was, out)
	return f, out, nil
}

func (o *options) formatInput(schemas schemas) int {
	const name = "<stdin>"
	b, err := io.ReadAll(io.LimitReader(os.Stdin, 2<<20)) // more than a file may have: it is told
	if err != nil {
		return o.fail(err)
	}
	f, out, err := o.rewrite(language.Source{Name: name, Bytes: b}, schemas)
	if err != nil {
		return o.fail(err)
	}
	if out == nil {
		return exitErrors
	}
	code, list := exitOK, []formatted{}
	if f.Diff != "" {
		list = append(list, *f)
	}
	if o.fmt.check && f.Diff != "" {
		code = exitErrors
	}
	switch {
	case o.json:
		o.writeJSON(list)
	case o.fmt.diff:
		fmt.Fprint(o.Out, f.Diff)
	case o.fmt.check && f.Diff != "":
		o.printFormatted(*f)
	case !o.fmt.check:
		o.Out.Write(out)
	}
	return code
}

// layout formats a text. It is nil if the text has mistakes of syntax, which are written to people with their places.
func (o *options) layout(s language.Source) ([]byte, error) {
	c, diags := language.Parse([]language.Source{s})
	if c.Partial {
		return nil, language.WriteDiagnostics(o.Err, c, diags, o.Colour)
	}
	out := hclwrite.Format(s.Bytes)
	for range 3 { // what it aligned may have to be aligned again
		again := hclwrite.Format(out)
		if bytes.Equal(again, out) {
			break
		}
		out = again
	}
	if !sameTokens(s.Bytes, out) {
		return nil, fmt.Errorf("%s: formatting would change more than blanks, so that it is left alone: this is a fault in Magpie", s.Name)
	}
	if out == nil {
		out = []byte{} // an empty file is no mistake
	}
	return out, nil
}

// sameTokens makes sure that two texts mean the same: what formats is not what parses.
func sameTokens(a, b []byte) bool {
	x, _ := hclsyntax.LexConfig(a, "", hcl.InitialPos)
	y, _ := hclsyntax.LexConfig(b, "", hcl.InitialPos)
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i].Type != y[i].Type || !bytes.Equal(bytes.TrimSpace(x[i].Bytes), bytes.TrimSpace(y[i].Bytes)) {
			return false
		}
		text := x[i].Type == hclsyntax.TokenQuotedLit || x[i].Type == hclsyntax.TokenStringLit
		if text && !bytes.Equal(x[i].Bytes, y[i].Bytes) {
			return false
		}
	}
	return true
}

// linesChanged is a unified diff of two texts with the same number of lines: only blanks and names in them differ.
func linesChanged(name string, was, is []byte) string {
	if bytes.Equal(was, is) {
		return ""
	}
	const context = 3
	a, b := strings.SplitAfter(string(was), "\n"), strings.SplitAfter(string(is), "\n")
	for len(a) < len(b) {
		a = append(a, "")
	}
	for len(b) < len(a) {
		b = append(b, "")
	}
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s formatted\n", name, name)
	line := func(sign, text string) {
		if text != "" {
			fmt.Fprintf(&out, "%s%s\n", sign, strings.TrimRight(text, "\r\n"))
		}
	}
	for i := 0; i < len(a); i++ {
		if a[i] == b[i] {
			continue
		}
		from, last := max(0, i-context), i
		for j := i; j < len(a) && j <= last+2*context; j++ {
			if a[j] != b[j] {
				last = j
			}
		}
		to := min(len(a), last+context+1)
		if a[to-1] == "" && b[to-1] == "" { // behind the last line's end
			to--
		}
		fmt.Fprintf(&out, "@@ -%d,%d +%d,%d @@\n", from+1, to-from, from+1, to-from)
		for j := from; j < to; {
			end := j
			for end < to && a[end] != b[end] {
				end++
			}
			for _, x := range a[j:end] {
				line("-", x)
			}
			for _, x := range b[j:end] {
				line("+", x)
			}
			if end < to && end == j {
				line(" ", a[j])
				end++
			}
			j = end
		}
		i = to - 1
	}
	return out.String()
}

// replaceFile puts a new text in a file's place in one step, with the mode and the owner of the old one. It does not if
// somebody has changed the file meanwhile.
func replaceFile(path string, was, is []byte) error {
	path, err := filepath.EvalSymlinks(path) // a link stays a link
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("%s cannot be formatted: %w", path, err)
	}
	defer os.Remove(f.Name()) // after the rename there is none
	_, err = f.Write(is)
	err = errors.Join(err, sameOwner(f, info), f.Chmod(info.Mode().Perm()), f.Sync(), f.Close())
	if err == nil {
		var now []byte
		if now, err = os.ReadFile(path); err == nil && !bytes.Equal(now, was) {
			err = errors.New("it was changed meanwhile")
		}
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("%s is left as it was: %w", path, err)
	}
	return nil
}

// sameOwner gives a file the owner and group of another, so that who reads it today can do so tomorrow.
func sameOwner(f *os.File, as os.FileInfo) error {
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	x, ok := mine.Sys().(*syscall.Stat_t)
	y, ok2 := as.Sys().(*syscall.Stat_t)
	if !ok || !ok2 || x.Uid == y.Uid && x.Gid == y.Gid {
		return nil
	}
	return f.Chown(int(y.Uid), int(y.Gid))
}
