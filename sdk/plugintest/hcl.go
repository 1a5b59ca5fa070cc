package plugintest

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// Example reads the blocks of plugins' types in a file, such as example.hcl, as HCL does, and asks Validate: nothing is to be
// wrong. name is the plugin's, for types that have none of their own.
func Example(t testing.TB, file, name string, all ...sdk.Capability) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if c.Type.Name == "" {
			c.Type.Name = name
		}
		cfg, err := HCL(c, string(text))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, d := range Validate(t, c, cfg) {
			if !d.Warning {
				t.Errorf("%s %q: %s", c.Type.Kind, c.Type.Name, d)
			}
		}
	}
}

// HCL reads the first block of the capability's type in a configuration, as the daemon would: locals, env and secret work,
// defaults are filled in, and core attributes are left out. The error is what the daemon would print, with line and caret; a
// plugin's example.hcl is a good text to try.
func HCL(c sdk.Capability, text string) (Config, error) {
	parsed, diags := language.Parse([]language.Source{{Name: "test.hcl", Bytes: []byte(text)}})
	d := language.NewDecoder(language.NewScope(parsed, language.Env{Getenv: os.LookupEnv, ReadFile: os.ReadFile, Ask: language.Ask}))
	d.Declare()
	var found *language.Body
	for _, block := range d.Expanded() {
		if block.Type == string(c.Type.Kind) && (c.Type.Name == "" || block.Labels[0] == c.Type.Name) {
			found = d.Block(block, language.Whole(c.Type), nil)
			break
		}
	}
	if diags = append(diags, d.Diags...); diags.HasErrors() {
		var b strings.Builder
		language.WriteDiagnostics(&b, parsed, diags, false)
		return nil, errors.New(strings.TrimSpace(b.String()))
	}
	if found == nil {
		return nil, fmt.Errorf("there is no block %s %q", c.Type.Kind, c.Type.Name)
	}
	return found.Values(language.CoreOf(c.Type)), nil
}
