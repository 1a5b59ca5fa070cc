package engine

import (
	"context"
	"os"

	"github.com/hashicorp/hcl/v2"

	"github.com/magpie-monitoring/magpie/daemon/internal/config"
	"github.com/magpie-monitoring/magpie/daemon/internal/plan"
	"github.com/magpie-monitoring/magpie/daemon/internal/supervisor"
)

// Built is a configuration as far as it could be understood.
type Built struct {
	Sources []config.Source
	Config  *config.Config
	Desired *plan.Desired // never to be applied where Diags has errors
	Diags   hcl.Diagnostics
	plugins map[string]supervisor.Plugin // by name
}

// Build understands a configuration with the plugins that there are. Nothing is opened; offline, no secret is read.
func Build(ctx context.Context, catalogue *supervisor.Catalogue, sources []config.Source, hmacKey []byte, offline bool) (*Built, error) {
	plugins, err := catalogue.Plugins(ctx)
	if err != nil {
		return nil, err
	}
	b := &Built{Sources: sources, plugins: map[string]supervisor.Plugin{}}
	var offers []plan.Offer
	for _, p := range plugins {
		if p.Err != nil {
			b.Diags = b.Diags.Append(&hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: "Plugin left out", Detail: p.Err.Error()})
			continue
		}
		b.plugins[p.Name] = p
		for _, t := range p.Types {
			offers = append(offers, plan.Offer{Plugin: p.Name, Type: t})
		}
	}
	var diags hcl.Diagnostics
	b.Config, diags = config.Parse(sources)
	b.Diags = append(b.Diags, diags...)
	b.Desired, diags = plan.Build(b.Config, offers, plan.Env{
		Getenv: os.LookupEnv, ReadFile: os.ReadFile, Offline: offline, HMACKey: hmacKey, PluginDirs: catalogue.Dirs,
	})
	b.Diags = append(b.Diags, diags...)
	return b, nil
}
