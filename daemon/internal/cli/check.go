package cli

import (
	"context"
	"fmt"

	"github.com/magpie-monitoring/magpie/sdk/language"
)

func check(ctx context.Context, o *options, _ []string) int {
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
