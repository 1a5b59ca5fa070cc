// Package cli is the command line: one file for each command.
//
// Exit codes: 0 fine, 1 errors, 2 a plan has changes, 3 no daemon was reached. Output for people is aligned, and coloured
// only on a terminal; -json is for programs.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/magpie-monitoring/magpie/daemon/internal/engine"
	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// Version is set by the linker for releases.
var Version = "0.1.0"

// Exit codes.
const (
	exitOK          = 0
	exitErrors      = 1
	exitChanges     = 2
	exitUnreachable = 3
)

// IO is where a command writes.
type IO struct {
	In       io.Reader // to ask; nil: nobody is there
	Out, Err io.Writer
	Colour   bool // of Out and Err
}

// Terminal is the process' own output.
func Terminal() IO {
	colour := os.Getenv("NO_COLOR") == "" && isTerminal(os.Stdout) && isTerminal(os.Stderr)
	return IO{In: terminalIn(), Out: os.Stdout, Err: os.Stderr, Colour: colour}
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	null, nullErr := os.Stat(os.DevNull) // is such a device too
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && !(nullErr == nil && os.SameFile(info, null))
}

// command is one word of the command line.
type command struct {
	name  string
	args  string                        // of its usage
	about string                        // the first line for the list of commands
	flags func(*flag.FlagSet, *options) // of its own; may be nil
	run   func(ctx context.Context, o *options, args []string) int
}

// options are the flags that several commands share.
type options struct {
	IO
	config     string
	dataDir    string
	listen     string
	pluginDirs list
	logLevel   string
	logFormat  string
	json       bool
	addr       string
	vars       list
	varFiles   list
	query      queryFlags
	apply      applyFlags
	test       testFlags
	fmt        fmtFlags
	check      checkFlags
	graph      graphFlags
	show       showFlags
	diagnose   diagnoseFlags
	plugin     pluginFlags
}

type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

func commands() []command {
	return []command{
		{"run", "[PATH]", "run the daemon with a configuration", nil, run},
		{"check", "[PATH]", checkHelp, checkFlagsOf, check},
		{"fmt", "[FILE | DIRECTORY | -]...", fmtHelp, fmtFlagsOf, format},
		{"plan", "[PATH]", planHelp, nil, planCommand},
		{"test", "[PATH]", testHelp, testFlagsOf, test},
		{"explain", "ADDRESS", explainHelp, nil, explain},
		{"graph", "[PATH]", graphHelp, graphFlagsOf, graph},
		{"apply", "[PATH]", applyHelp, applyFlagsOf, apply},
		{"confirm", "", confirmHelp, nil, confirm},
		{"history", "[N]", historyHelp, nil, history},
		{"rollback", "[N]", rollbackHelp, applyFlagsOf, rollback},
		{"show", "[PATH | pack.NAME | ADDRESS]", showHelp, showFlagsOf, show},
		{"status", "[PATH]", "show how the components, plugins and pipelines of the running daemon are", nil, status},
		{"diagnose", "[ADDRESS]", diagnoseHelp, diagnoseFlagsOf, diagnose},
		{"query", "EXPR", "ask the running daemon with PromQL", queryFlagsOf, query},
		{"docs", "[WHAT]", docsHelp, nil, docs},
		{"plugin", "list | describe NAME | docs PATH | verify PATH | new NAME | dev [DIR] | run PATH", pluginHelp, pluginFlagsOf, plugin},
		{"buffer", "inspect | verify | repair [DIR]", bufferHelp, nil, bufferCommand},
		{"version", "", "print the version", nil, version},
	}
}

// Main runs a command line and returns its exit code.
func Main(args []string, to IO) int {
	if len(args) > 0 && args[0] == client.GuardCommand {
		client.RunGuard(os.Stdin)
		return exitOK
	}
	if len(args) == 2 && args[0] == "help" {
		args = []string{args[1], "-help"}
	}
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "-help" || args[0] == "--help" {
		usage(to.Out)
		return exitOK
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return start(c, args[1:], to)
		}
	}
	if code, ran := beside(args, to); ran {
		return code
	}
	names := commandsBeside()
	for _, c := range commands() {
		names = append(names, c.name)
	}
	fmt.Fprintf(to.Err, "magpie: there is no command %q.%s Run magpie help for all of them.\n", args[0], language.DidYouMean(args[0], names))
	return exitErrors
}

func start(c command, args []string, to IO) int {
	if c.name != "run" {
		language.RoomForGarbage() // until it ends, which is soon
	}
	o := &options{IO: to}
	f := flag.NewFlagSet("magpie "+c.name, flag.ContinueOnError)
	f.SetOutput(to.Err)
	f.StringVar(&o.config, "config", "config.hcl", "configuration: a file, or a directory of *.hcl files")
	f.StringVar(&o.dataDir, "data-dir", "", "data directory; default: as the configuration says")
	f.StringVar(&o.listen, "listen", "", "address to serve on; default: as the configuration says")
	f.Var(&o.pluginDirs, "plugin-dir", "plugin directory, repeatable: looked into before plugins beside the binary, and /usr/lib/magpie/plugins")
	f.Var(&o.vars, "var", "value of a variable, repeatable: name=value")
	f.Var(&o.varFiles, "var-file", "file of values of variables, repeatable: name.vars.hcl")
	f.StringVar(&o.logLevel, "log-level", "info", "least level to log: debug, info, warn, error")
	f.StringVar(&o.logFormat, "log-format", "text", "text or json")
	f.BoolVar(&o.json, "json", false, "output for programs")
	f.StringVar(&o.addr, "addr", os.Getenv("MAGPIE_ADDR"), "URL of the running daemon; default: its socket, else http://127.0.0.1:9470 (MAGPIE_ADDR)")
	if c.flags != nil {
		c.flags(f, o)
	}
	f.Usage = func() {
		fmt.Fprintf(to.Err, "Usage: magpie %s [-flag value] %s\n\n%s.\n\n", c.name, c.args, strings.ToUpper(c.about[:1])+c.about[1:])
		f.PrintDefaults()
	}
	args, err := interleaved(f, args)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		return exitErrors
	}
	switch {
	case len(args) > 0 && c.args == "":
		return o.fail(fmt.Errorf("%s takes no arguments, and these are some: %s", c.name, strings.Join(args, " ")))
	case len(args) > 1 && (c.args == "[PATH]" || c.name == "show"):
		return o.fail(fmt.Errorf("one configuration at a time, and these are %d: %s (a directory is read as a whole)", len(args), strings.Join(args, " ")))
	case len(args) == 1 && (c.args == "[PATH]" || c.name == "show" && !isAddress(args[0])):
		o.config = args[0]
	}
	for _, dir := range defaultPluginDirs() {
		if !slices.Contains(o.pluginDirs, dir) {
			o.pluginDirs = append(o.pluginDirs, dir)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return c.run(ctx, o, args)
}

// interleaved parses flags wherever they stand among the arguments.
func interleaved(f *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := f.Parse(args); err != nil {
			return nil, err
		}
		if f.NArg() == 0 {
			return rest, nil
		}
		rest, args = append(rest, f.Arg(0)), f.Args()[1:]
	}
}

func usage(w io.Writer) {
	fmt.Fprintf(w, "Magpie %s watches servers, middleware, networks and applications, and brings the news.\n\nUsage: magpie COMMAND [-flag value] [PATH]\n\n", Version)
	for _, c := range commands() {
		about, _, _ := strings.Cut(c.about, "\n") // the rest is for its own help
		fmt.Fprintf(w, "  %-8s %s\n", c.name, about)
	}
	for _, name := range commandsBeside() {
		fmt.Fprintf(w, "  %-8s a program beside the plugins, magpie-%s: magpie %s -help says more\n", name, name, name)
	}
	fmt.Fprintf(w, "\nmagpie COMMAND -help says more.\n")
}

func defaultPluginDirs() []string {
	var dirs []string
	if self, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(self); err == nil {
			self = real
		}
		dirs = append(dirs, filepath.Join(filepath.Dir(self), "plugins"))
	}
	return append(dirs, "/usr/lib/magpie/plugins")
}

// read reads the configuration, and what the flags say of its variables.
func (o *options) read() ([]language.Source, error) {
	return language.ReadAll(o.config, o.varFiles, o.vars)
}

// fail prints an error and what to do next.
func (o *options) fail(err error) int {
	fmt.Fprintf(o.Err, "magpie: %v\n", err)
	return exitErrors
}

// catalogue is the plugins', with what is known of them kept in the user's cache.
func (o *options) catalogue() (*client.Catalogue, error) {
	cache := ""
	if dir, err := os.UserCacheDir(); err == nil {
		cache = filepath.Join(dir, "magpie", "schemas")
	}
	run, err := os.MkdirTemp("", "magpie-")
	if err != nil {
		return nil, err
	}
	return &client.Catalogue{Dirs: o.pluginDirs, Cache: cache, Run: run}, nil
}

// build understands the configuration offline.
func (o *options) build(ctx context.Context) (*engine.Built, error) {
	sources, err := o.read()
	if err != nil {
		return nil, err
	}
	catalogue, err := o.catalogue()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(catalogue.Run)
	return engine.Build(ctx, catalogue, sources, nil, true)
}

// valid is what the configuration is understood as, nil if there are mistakes in it, which are said then.
func (o *options) valid(ctx context.Context) *engine.Built {
	built, err := o.build(ctx)
	if err != nil {
		o.fail(err)
		return nil
	}
	if built.Diags.HasErrors() {
		o.report(built)
		return nil
	}
	return built
}

// report writes diagnostics.
func (o *options) report(b *engine.Built) {
	language.WriteDiagnostics(o.Err, b.Config, b.Diags, o.Colour)
}
