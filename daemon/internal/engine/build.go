package engine

import (
	"context"
	"fmt"
	"os"

	"github.com/hashicorp/hcl/v2"

	"github.com/magpie-monitoring/magpie/daemon/internal/plan"
	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// Built is a configuration as far as it could be understood.
type Built struct {
	Sources []language.Source
	Config  *language.Config
	Desired *plan.Desired // never to be applied where Diags has errors
	Diags   hcl.Diagnostics
	plugins map[string]client.Plugin // by name
}

// build understands a configuration for the daemon: nothing that is said from now on holds its secrets.
func (e *Engine) build(ctx context.Context, sources []language.Source) (*Built, error) {
	if size(sources) > largeConfig {
		defer language.RoomForGarbage()()
	}
	b, err := Build(ctx, e.catalogue, sources, e.hmacKey, false)
	if err == nil {
		e.mu.Lock()
		running := e.desired.Secrets
		e.mu.Unlock()
		e.o.Mask.Keep(running) // never among those that are forgotten
		e.o.Mask.Keep(b.Desired.Secrets)
	}
	return b, err
}

// Build understands a configuration with the plugins that there are. Nothing is opened; offline, no secret is read.
func Build(ctx context.Context, catalogue *client.Catalogue, sources []language.Source, hmacKey []byte, offline bool) (*Built, error) {
	plugins, err := catalogue.Plugins(ctx)
	if err != nil {
		return nil, err
	}
	b := &Built{Sources: sources, plugins: map[string]client.Plugin{}}
	var offers []plan.Offer
	for _, p := range plugins {
		if p.Err != nil {
			b.Diags = b.Diags.Append(&hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: "Plugin left out", Detail: p.Err.Error()})
			continue
		}
		b.plugins[p.Name] = p
		for _, t := range p.Types {
			offers = append(offers, plan.Offer{Plugin: p.Name, Binary: fmt.Sprintf("%s (%.12s)", p.Version, p.SHA256), Type: t})
		}
	}
	var diags hcl.Diagnostics
	b.Config, diags = language.Parse(sources)
	b.Diags = append(b.Diags, diags...)
	b.Desired, diags = plan.Build(b.Config, offers, plan.Env{
		Getenv: os.LookupEnv, ReadFile: os.ReadFile, Ask: language.Ask, Offline: offline, HMACKey: hmacKey, PluginDirs: catalogue.Dirs,
	})
	b.Diags = append(b.Diags, diags...)
	return b, nil
}

const largeConfig = 256 << 10 // bytes

func size(sources []language.Source) (n int) {
	for _, s := range sources {
		n += len(s.Bytes)
	}
	return n
}
