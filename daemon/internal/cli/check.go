package cli

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/magpie-monitoring/magpie/sdk/language"
)

const checkHelp = `check a configuration without a daemon

Every mistake is told with its place; no secret is read, no plugin is started that was asked before, nothing is opened. With -online the secrets
are read, and each component is asked whether what it needs is there: does the target answer, does it accept who we are, until when is
the certificate valid, is the port free, can the directory be written to? Run that where the daemon runs, as its user. It exits with 1 if
there are mistakes, or if what a component needs is not there`

type checkFlags struct {
	online  bool
	timeout time.Duration
}

func checkFlagsOf(f *flag.FlagSet, o *options) {
	f.BoolVar(&o.check.online, "online", false, "read the secrets, and ask whether targets answer, ports are free, directories can be written to")
	f.DurationVar(&o.check.timeout, "timeout", 10*time.Second, "with -online: how long one component may take")
}

func check(ctx context.Context, o *options, _ []string) int {
	if o.check.online {
		return o.online(ctx)
	}
	built, err := o.build(ctx)
	if err != nil {
		return o.fail(err)
	}
	if o.json {
		o.writeJSON(append([]language.Diagnostic{}, built.Config.Diagnostics(built.Diags)...))
	} else {
		o.report(built)
	}
	if built.Diags.HasErrors() {
		return exitErrors
	}
	if !o.json {
		d := built.Desired
		rules := 0
		for _, g := range d.Groups {
			rules += len(g.Rules)
		}
		what := "valid"
		if built.Config.IsPack() {
			what = "valid as a pack"
		}
		fmt.Fprintf(o.Out, "%s is %s: %s, %s, %s.\n", o.config, what, count(len(d.Components), "component"), count(len(d.Pipelines), "pipeline"), count(rules, "rule"))
	}
	return exitOK
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
