package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// asJSON writes blocks as HCL's JSON has them: labels are keys, blocks are lists, what is no constant is a template.
func asJSON(t *testing.T, text []byte) any {
	t.Helper()
	file, diags := hclsyntax.ParseConfig(text, "example.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return bodyAsJSON(t, file.Body.(*hclsyntax.Body), text)
}

func bodyAsJSON(t *testing.T, body *hclsyntax.Body, text []byte) map[string]any {
	t.Helper()
	m := map[string]any{}
	for name, a := range body.Attributes {
		m[name] = valueAsJSON(t, a.Expr, text)
	}
	for _, b := range body.Blocks {
		at, key := m, b.Type
		for _, label := range b.Labels {
			inner, _ := at[key].(map[string]any)
			if inner == nil {
				inner = map[string]any{}
				at[key] = inner
			}
			at, key = inner, label
		}
		list, _ := at[key].([]any)
		at[key] = append(list, bodyAsJSON(t, b.Body, text))
	}
	return m
}

func valueAsJSON(t *testing.T, expr hclsyntax.Expression, text []byte) any {
	t.Helper()
	if list, ok := expr.(*hclsyntax.TupleConsExpr); ok {
		all := []any{}
		for _, e := range list.Exprs {
			all = append(all, valueAsJSON(t, e, text))
		}
		return all
	}
	v, diags := expr.Value(nil)
	if diags.HasErrors() {
		return "${" + string(expr.Range().SliceBytes(text)) + "}"
	}
	b, err := ctyjson.Marshal(v, cty.DynamicPseudoType)
	if err != nil {
		t.Fatal(err)
	}
	var wrapped struct{ Value any }
	if err := json.Unmarshal(b, &wrapped); err != nil {
		t.Fatal(err)
	}
	return wrapped.Value
}

// jsonSchema is what magpie plugin docs -json-schema says of a plugin, read by a validator of somebody else's.
func jsonSchema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	out, stderr, code := command(t, t.TempDir(), "plugin", "docs", "-json-schema", name)
	if code != 0 {
		t.Fatalf("%s: exit %d\n%s", name, code, stderr)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("plugin.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("plugin.json")
	if err != nil {
		t.Fatalf("%s: it is no JSON Schema: %v", name, err)
	}
	return s
}

func TestTheExamplesOfAllPluginsAreValidByTheirJSONSchemas(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(filepath.Join(filepath.Dir(magpieBinary(t)), "plugins"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "magpie-") {
			continue // a command
		}
		text, err := os.ReadFile(filepath.Join("../plugins", e.Name(), "example.hcl"))
		if err != nil {
			t.Fatal(err)
		}
		example := asJSON(t, text)
		if err := jsonSchema(t, e.Name()).Validate(example); err != nil {
			b, _ := json.MarshalIndent(example, "", "  ")
			t.Errorf("%s: %v\n%s", e.Name(), err, b)
		}
	}
}

func TestAJSONSchemaRefusesWhatTheDaemonWouldRefuse(t *testing.T) {
	t.Parallel()
	schemas := map[string]*jsonschema.Schema{}
	for _, name := range []string{"prometheus", "webhook", "tsdb"} {
		schemas[name] = jsonSchema(t, name)
	}
	for _, c := range []struct {
		plugin, head, body string
		says               string // "": it is valid
	}{
		{"prometheus", `source "prometheus"`, `targets = ["a:1"]`, ""},
		{"prometheus", `source "prometheus"`, "targets = var.list", ""},
		{"prometheus", `source "prometheus"`, "target \"a:1\" { labels = { rack = \"b\" } }\ntarget \"b:1\" {}", ""},
		{"prometheus", `source "nameless"`, "anything = 1", ""}, // another plugin's
		{"prometheus", `source "prometheus"`, `tragets = ["a:1"]`, "tragets"},
		{"prometheus", `source "prometheus"`, `targets = "a:1"`, "targets"},
		{"prometheus", `source "prometheus"`, "targets = [1]", "targets"},
		{"prometheus", `source "prometheus"`, `interval = "soon"`, "interval"},
		{"prometheus", `source "prometheus"`, `interval = "1m30s"`, ""},
		{"prometheus", `source "prometheus"`, "limit_series = 0", "limit_series"},
		{"prometheus", `source "prometheus"`, "limit_series = 1.5", "limit_series"},
		{"prometheus", `source "prometheus"`, `body_size_limit = "16 fathoms"`, "body_size_limit"},
		{"prometheus", `source "prometheus"`, `relabel { action = "explode" }`, "relabel"},
		{"prometheus", `source "prometheus"`, "basic_auth {}\nbasic_auth {}", "basic_auth"},
		{"webhook", `notifier "webhook"`, "", "url"},
		{"webhook", `notifier "webhook"`, `url = "http://a/"`, ""},
		{"webhook", `notifier "webhook"`, `url = secret("env:URL")`, ""},
		{"tsdb", `store "tsdb"`, "retention = true", "retention"},
	} {
		text := fmt.Appendf(nil, "%s \"x\" {\n%s\n}\n", c.head, c.body)
		err := schemas[c.plugin].Validate(asJSON(t, text))
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestDocsSayOfAPluginWhatItsReadmeSays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source, err := filepath.Abs("../plugins/statsd")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(source, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Replace(readme, []byte("`make gen`"), []byte("`magpie plugin docs`"), 1)
	if got := in(t, dir, magpieBinary(t), "plugin", "docs", source); got != string(want) {
		t.Errorf("it says\n%s", got)
	}
	if out, _, code := command(t, dir, "plugin", "docs", "tsdb"); code != 0 || !strings.Contains(out, "## store \"tsdb\"") || !strings.Contains(out, "# tsdb") {
		t.Errorf("of a binary: exit %d\n%s", code, out)
	}
	out, _, _ := command(t, dir, "plugin", "docs", "-metrics", "host")
	if !strings.Contains(out, "node_cpu_seconds_total") || !strings.Contains(out, "cpu, mode") {
		t.Errorf("the catalogue is\n%s", out)
	}
	out, _, _ = command(t, dir, "plugin", "docs", "-metrics", "-json", "host")
	var list []struct {
		Name, Type, Help string
		Labels           []string
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) < 50 || list[0].Help == "" || list[0].Type == "" {
		t.Errorf("%v\n%.500s", err, out)
	}
	if _, stderr, code := command(t, dir, "plugin", "docs", "-metrics", "-json-schema", "host"); code != 1 || !strings.Contains(stderr, "one at a time") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
