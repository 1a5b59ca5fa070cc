package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/magpie-monitoring/magpie/daemon/internal/engine"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

func check(ctx context.Context, o *options, args []string) int {
	path, err := o.path(args)
	if err != nil {
		return o.fail(err)
	}
	sources, err := language.Read(path)
	if err != nil {
		return o.fail(err)
	}
	catalogue, err := o.catalogue()
	if err != nil {
		return o.fail(err)
	}
	defer os.RemoveAll(catalogue.Run)
	built, err := engine.Build(ctx, catalogue, sources, nil, true)
	if err != nil {
		return o.fail(err)
	}
	if o.json {
		b, err := json.MarshalIndent(built.Config.Diagnostics(built.Diags), "", "  ")
		if err != nil {
			return o.fail(err)
		}
		fmt.Fprintf(o.Out, "%s\n", b)
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
		fmt.Fprintf(o.Out, "%s is valid: %s, %s, %s.\n", path, count(len(d.Components), "component"), count(len(d.Pipelines), "pipeline"), count(rules, "rule"))
	}
	return exitOK
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
