package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/doc/comment"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/language"
	"github.com/magpie-monitoring/magpie/sdk/manual"
	"github.com/magpie-monitoring/magpie/sdk/verify"
)

func docsPlugin(ctx context.Context, o *options, path string) int {
	if o.plugin.schema && o.plugin.metrics {
		return o.fail(errors.New("-json-schema or -metrics: one at a time"))
	}
	f, clean, err := o.located(ctx, path)
	if err != nil {
		return o.fail(err)
	}
	defer clean()
	run, err := os.MkdirTemp("", "magpie-")
	if err != nil {
		return o.fail(err)
	}
	defer os.RemoveAll(run)
	d, err := client.Describe(ctx, client.Options{Path: f.Binary, SocketDir: run})
	if err != nil {
		return o.fail(err)
	}
	switch {
	case o.plugin.schema:
		return o.writeJSON(manual.JSONSchema(d.Name, d.Version, d.Types, language.CoreOf))
	case o.plugin.metrics:
		return o.listMetrics(d.Metrics)
	case o.json:
		return o.writeJSON(d)
	}
	text, err := readmeOf(f, d)
	if err != nil {
		return o.fail(err)
	}
	fmt.Fprint(o.Out, text)
	return exitOK
}

// readmeOf is the manual. Where there are no sources beside the plugin, its types say what they have of an example.
func readmeOf(f *verify.Found, d client.Description) (string, error) {
	dir := cmp.Or(f.Dir, filepath.Dir(f.Binary))
	var about *comment.Doc
	var err error
	if f.Dir != "" {
		if about, err = manual.PackageComment(dir); err != nil {
			return "", err
		}
	}
	var example string
	if f.Shown != nil {
		example = string(f.Shown.Text)
	} else {
		var parts []string
		for _, t := range d.Types {
			if t.Example != "" && !slices.Contains(parts, strings.TrimSpace(t.Example)) {
				parts = append(parts, strings.TrimSpace(t.Example))
			}
		}
		example = strings.Join(parts, "\n\n")
	}
	return manual.Markdown("magpie plugin docs", d.Name, d.Types, d.Metrics, about, example), nil
}

// listMetrics writes the catalogue of what a plugin's sources declare; what they pass on of others, such as the pages that they
// scrape, is not in it.
func (o *options) listMetrics(metrics []sdk.Metric) int {
	metrics = slices.SortedFunc(slices.Values(metrics), func(a, b sdk.Metric) int { return strings.Compare(a.Name, b.Name) })
	if o.json {
		if metrics == nil {
			metrics = []sdk.Metric{}
		}
		return o.writeJSON(metrics)
	}
	t := table{w: o.Out, colour: o.Colour}
	t.head("METRIC", "TYPE", "UNIT", "LABELS", "HELP")
	for _, m := range metrics {
		t.row("", m.Name, m.Type.String(), m.Unit, strings.Join(m.LabelNames, ", "), m.Help)
	}
	t.flush()
	return exitOK
}
