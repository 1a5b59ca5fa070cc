package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"go.yaml.in/yaml/v3"
)

const etcdPack = "../examples/packs/etcd"

// etcdRules are the rules of the pack, as `magpie show -rules` gives them to Prometheus.
type etcdRules struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Record, Expr string
			For                 string
			Labels, Annotations map[string]string
		}
	}
}

func readEtcdRules(t *testing.T) (text string, rules etcdRules) {
	t.Helper()
	text, stderr, code := command(t, t.TempDir(), "show", "-rules", absolute(t, etcdPack))
	if code != 0 {
		t.Fatalf("exit %d\n%s", code, stderr)
	}
	if err := yaml.Unmarshal([]byte(text), &rules); err != nil {
		t.Fatal(err)
	}
	return text, rules
}

// The tables of the pack's README are written by this test with -update, so that they say what the rules and the variables say.
func TestTheManualOfThePackEtcdSaysWhatItsFilesSay(t *testing.T) {
	t.Parallel()
	path := etcdPack + "/README.md"
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rules := readEtcdRules(t)
	after := between(t, string(before), "alerts", alertTable(t, rules))
	table, keys := variableTable(t)
	after = between(t, after, "variables", table)
	for _, key := range keys {
		if !strings.Contains(after, "`"+key+"`") {
			t.Errorf("the README does not name the key %s of a variable", key)
		}
	}
	if after == string(before) {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the files say: go test ./daemon -run ManualOfThePack -update", path)
	}
	if err := os.WriteFile(path, []byte(after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// between puts a text between two comments of a markdown file.
func between(t *testing.T, file, name, text string) string {
	t.Helper()
	begin, end := "<!-- "+name+": generated -->\n", "<!-- end of "+name+" -->"
	head, rest, ok := strings.Cut(file, begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("the README has no place for %s", name)
	}
	return head + begin + "\n" + text + "\n" + end + tail
}

func alertTable(t *testing.T, rules etcdRules) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| alert | severity | after | what it means | what to do |\n|---|---|---|---|---|\n")
	cell := func(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" {
				continue
			}
			if r.Annotations["description"] == "" || r.Annotations["action"] == "" || r.Annotations["summary"] == "" || r.Labels["severity"] == "" {
				t.Errorf("%s says too little: %v", r.Alert, r.Annotations)
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", r.Alert, r.Labels["severity"], cmp.Or(r.For, "at once"), cell(r.Annotations["description"]), cell(r.Annotations["action"]))
		}
	}
	return b.String()
}

// variableTable tells the variables, and the keys of those that are objects.
func variableTable(t *testing.T) (table string, keys []string) {
	t.Helper()
	src, err := os.ReadFile(etcdPack + "/variables.hcl")
	if err != nil {
		t.Fatal(err)
	}
	file, diags := hclsyntax.ParseConfig(src, "variables.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	var b strings.Builder
	b.WriteString("| variable | default | what it is |\n|---|---|---|\n")
	for _, v := range file.Body.(*hclsyntax.Body).Blocks {
		text := func(name string) string {
			if a := v.Body.Attributes[name]; a != nil {
				return string(a.Expr.Range().SliceBytes(src))
			}
			return ""
		}
		fallback := "`" + text("default") + "`"
		if fallback == "``" {
			fallback = "needed"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", v.Labels[0], fallback, strings.ReplaceAll(strings.Trim(text("description"), `"`), `\"`, `"`))
		for _, m := range regexp.MustCompile(`(?m)(\w+)\s*= (?:optional|list|map|string|number|bool)\b`).FindAllStringSubmatch(text("type"), -1) {
			keys = append(keys, m[1])
		}
	}
	slices.Sort(keys)
	return b.String(), slices.Compact(keys)
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	full, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return full
}

// pack copies a pack into the daemon's directory, with its texts changed.
func (m *magpie) pack(from string, change func(string) string) {
	m.Helper()
	files, err := filepath.Glob(filepath.Join(from, "*.hcl"))
	if err != nil || len(files) == 0 {
		m.Fatal("there is no pack: ", err)
	}
	dashboards, _ := filepath.Glob(filepath.Join(from, "dashboards", "*.json"))
	for _, f := range append(files, dashboards...) {
		text, err := os.ReadFile(f)
		if err != nil {
			m.Fatal(err)
		}
		m.file(filepath.Join("packs", filepath.Base(from), strings.TrimPrefix(f, from)), change(string(text)))
	}
}
