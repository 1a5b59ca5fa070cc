package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// Example is a file of blocks that components are opened with. Beside what every configuration can say, env("VERIFY_URL")
// is an HTTP server on loopback that takes whatever it is sent, env("VERIFY_ADDR") its host:port, env("VERIFY_TCP") the
// host:port of a listener that reads what it is sent and says nothing, and env("VERIFY_DIR") a directory that is removed
// afterwards; a secret that is not there is made up.
type Example struct {
	Name string // of the file, for errors
	Text []byte
}

// surroundings are what the example's env and secret give.
type surroundings struct {
	url, addr, tcp, dir, canary string
}

func (s surroundings) env() language.Env {
	return language.Env{
		Getenv: func(name string) (string, bool) {
			switch name {
			case "VERIFY_URL":
				return s.url, true
			case "VERIFY_ADDR":
				return s.addr, true
			case "VERIFY_TCP":
				return s.tcp, true
			case "VERIFY_DIR":
				return s.dir, true
			}
			if value, ok := os.LookupEnv(name); ok && !language.SoundsSecret(name) {
				return value, true
			}
			return s.canary, true
		},
		ReadFile: func(path string) ([]byte, error) {
			if b, err := os.ReadFile(path); err == nil || !errors.Is(err, os.ErrNotExist) {
				return b, err
			}
			return []byte(s.canary), nil
		},
	}
}

// Block is one block of a type: what a component is opened with.
type Block struct {
	Title  string // as people write it: source "etcd" "main"
	Config []byte
	Source sdk.SourceSettings // of a source; an Interval of 0 was not written
}

// block is a block of an example.
type block struct {
	title   string
	config  []byte
	source  sdk.SourceSettings
	secrets []string // sensitive attributes that have a value, now the canary
}

// blocks reads all blocks of a type, with the canary in the place of secrets.
func (e *Example) blocks(t sdk.Type, s surroundings) (found []block, err error) {
	read, err := e.Blocks(t, s.env())
	for _, b := range read {
		x := block{title: b.Title, source: b.Source}
		var values map[string]any
		if err := json.Unmarshal(b.Config, &values); err != nil {
			return nil, err
		}
		x.secrets = plant(values, t.Config, s.canary, "")
		if x.config, err = json.Marshal(values); err != nil {
			return nil, err
		}
		found = append(found, x)
	}
	return found, err
}

// Blocks reads all blocks of a type, as the daemon would; the error has line and caret.
func (e *Example) Blocks(t sdk.Type, env language.Env) (found []Block, err error) {
	parsed, diags := language.Parse([]language.Source{{Name: e.Name, Bytes: e.Text}})
	d := language.NewDecoder(language.NewScope(parsed, env))
	core := CoreOf(t.Kind)
	whole := &sdk.Schema{Attributes: slices.Concat(core.Attributes, t.Config.Attributes), Blocks: slices.Concat(core.Blocks, t.Config.Blocks)}
	d.Declare()
	var bodies []*language.Body
	for _, b := range d.Expanded() {
		if b.Type == string(t.Kind) && len(b.Labels) > 0 && b.Labels[0] == t.Name {
			bodies = append(bodies, d.Block(b, whole, nil))
		}
	}
	if diags = append(diags, d.Diags...); diags.HasErrors() {
		return nil, errors.New(diagnosed(parsed, diags))
	}
	for _, x := range bodies {
		b := Block{Title: x.Title, Source: sdk.SourceSettings{Job: "verify", LimitSeries: 100_000}}
		if t.Kind == sdk.KindSource {
			said := language.Fill[language.SourceCore](x)
			b.Source.Labels, b.Source.LimitSeries, b.Source.Interval, b.Source.Timeout = said.Labels, said.LimitSeries, said.Interval, said.Timeout
			if b.Source.Job = t.Job; said.Job != "" {
				b.Source.Job = said.Job
			} else if t.Job == "" && len(x.Labels) > 1 {
				b.Source.Job = x.Labels[1]
			}
		}
		if b.Config, err = json.Marshal(x.Values(core)); err != nil {
			return nil, err
		}
		found = append(found, b)
	}
	return found, nil
}

// CoreOf is what components of a kind take beside what their plugin says.
func CoreOf(k sdk.Kind) *sdk.Schema {
	switch k {
	case sdk.KindSource:
		return language.Core["source"]
	case sdk.KindSink, sdk.KindStore:
		return language.Core["sink"]
	case sdk.KindDiagnoser:
		return language.Core["diagnoser"]
	}
	return language.Core["component"]
}

func diagnosed(parsed *language.Config, diags hcl.Diagnostics) string {
	var b strings.Builder
	language.WriteDiagnostics(&b, parsed, diags, false)
	return strings.TrimSpace(b.String())
}

// plant puts the canary in the place of every secret that has a value, and says of which.
func plant(values map[string]any, schema sdk.Schema, canary, path string) (planted []string) {
	for _, a := range schema.Attributes {
		v, there := values[a.Name]
		if !a.Sensitive || !there || v == nil {
			continue
		}
		values[a.Name] = planted1(v, canary, slices.Contains(a.Checks, "url"))
		planted = append(planted, path+a.Name)
	}
	for _, b := range schema.Blocks {
		switch v := values[b.Name].(type) {
		case map[string]any:
			planted = append(planted, plant(v, b.Body, canary, path+b.Name+".")...)
		case []any:
			for i, e := range v {
				if m, ok := e.(map[string]any); ok {
					planted = append(planted, plant(m, b.Body, canary, fmt.Sprintf("%s%s[%d].", path, b.Name, i))...)
				}
			}
		}
	}
	return planted
}

func planted1(v any, canary string, url bool) any {
	switch v := v.(type) {
	case string:
		if url {
			return strings.TrimRight(v, "/") + "/" + canary
		}
		return canary
	case []any:
		for i := range v {
			v[i] = planted1(v[i], canary, url)
		}
	case map[string]any:
		for k := range v {
			v[k] = planted1(v[k], canary, url)
		}
	}
	return v
}

// settings are a source's, at an interval that a check wants.
func (b *block) settings(interval time.Duration) sdk.SourceSettings {
	s := b.source
	s.Interval, s.Timeout = interval, min(10*time.Second, interval)
	return s
}
