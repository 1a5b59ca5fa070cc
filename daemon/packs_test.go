package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Packs in a real daemon: what they make is there under its addresses, everywhere, and their files travel with what is applied.

func (m *magpie) file(name, text string) {
	m.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		m.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		m.Fatal(err)
	}
}

func TestPacksTravelWithWhatIsApplied(t *testing.T) {
	t.Parallel()
	const pack = `
variable "name" { type = string }
variable "keep" { type = references }
source "host" "this" { labels = { pack = var.name } }
store "tsdb" "own" {}
pipeline "own" {
  from = [source.host]
  to   = var.keep
}
rules "r" {
  store = var.keep
  alert "Always" {
    expr   = "vector(1)"
    labels = { pack = var.name }
  }
}
rules "files" {
  files = ["prometheus/*.yml"]
  store = var.keep
}
dashboard "d" { file = "d.json" }
`
	const config = testConfig + `
store "tsdb" "main" {}
pack "p" {
  for_each = toset(["a", "b"])
  source   = "./packs/p"
  name     = each.key
  keep     = [store.tsdb.main]
  disable  = [alert.Disabled]
  override "alert" "Changed" { labels = { pack = each.key } }
}
`
	dashboard := func(title string) string { return `{"title": "` + title + `", "panels": []}` }
	m := &magpie{TB: t, dir: t.TempDir()}
	m.file("config.hcl", config)
	m.file("packs/p/main.hcl", pack)
	m.file("packs/p/d.json", dashboard("First"))
	m.file("packs/p/prometheus/x.yml", "groups: [{name: g, rules: [{record: one, expr: vector(1)}, {alert: Disabled, expr: vector(1)}, {alert: Changed, expr: vector(1)}]}]")
	m.run()
	m.endWithTheTest()
	firing := func(alert, pack string) bool {
		return len(m.query(`ALERTS{alertname="`+alert+`",alertstate="firing",pack="`+pack+`"}`)) == 1
	}
	m.eventually("both packs fire", func() bool { return firing("Always", "a") && firing("Always", "b") && len(m.query("one")) == 1 })
	m.value(`node_load1{pack="b"}`)

	// Of its rule file, one rule is not there, and another is changed.
	m.eventually("what is overridden fires", func() bool { return firing("Changed", "a") && firing("Changed", "b") })
	if rules := string(m.get("/api/v1/rules")); strings.Contains(rules, "Disabled") || strings.Count(rules, `"Changed"`) < 2 {
		t.Error(rules)
	}
	if out, stderr, code := m.cli("show", `pack.p["b"]`); code != 0 || !strings.Contains(out, "# pack.p[\"b\"] alert \"Disabled\" is disabled at config.hcl:") || strings.Count(out, "Disabled") != 1 {
		t.Errorf("show: exit %d\n%s%s", code, out, stderr)
	}

	// Under its address: states, metrics, directories, HTTP, the commands.
	states := map[string]string{}
	for _, c := range m.status().Components {
		states[c.Address] = c.State
	}
	for _, address := range []string{`pack.p["a"].source.host.this`, `pack.p["b"].source.host.this`, `pack.p["a"].store.tsdb.own`, "store.tsdb.main"} {
		if states[address] != "running" {
			t.Errorf("%s is %q of %v", address, states[address], states)
		}
	}
	if _, err := os.Stat(filepath.Join(m.dir, "data", "components", `pack.p["a"].store.tsdb.own`)); err != nil {
		t.Error(err)
	}
	answer, err := http.Get(m.url + "/plugins/" + url.PathEscape(`pack.p["a"].store.tsdb.own`) + "/api/v1/query?query=vector(1)")
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("%v: %+v", err, answer)
	} else {
		answer.Body.Close()
	}
	if out, stderr, code := m.cli("explain", `pack.p["b"].source.host.this`); code != 0 || !strings.Contains(out, `pack.p["b"], brought in at config.hcl:`) || !strings.Contains(out, "state       running") {
		t.Errorf("explain: exit %d\n%s%s", code, out, stderr)
	}
	titles := func() string {
		var list struct {
			Dashboards []struct{ Name, Title string }
		}
		json.Unmarshal(m.get("/api/magpie/v1/dashboards"), &list)
		var text []string
		for _, d := range list.Dashboards {
			text = append(text, d.Name+" "+d.Title)
		}
		return strings.Join(text, ", ")
	}
	if got := titles(); got != `pack.p["a"].d First, pack.p["b"].d First` {
		t.Error(got)
	}

	// Another dashboard is a change, another name of the pack is none to what runs.
	m.file("packs/p/d.json", dashboard("Second"))
	if out, _, code := m.cli("plan"); code != 2 || !strings.Contains(out, `~ pack.p["b"].dashboard "d"`) || !strings.Contains(out, "; 5 keep running") {
		t.Errorf("plan: exit %d\n%s", code, out)
	}
	m.file("config.hcl", strings.Replace(config, `pack "p"`, `pack "q"`, 1)+"moved {\n  from = pack.p\n  to   = pack.q\n}\n")
	out, stderr, code := m.cli("apply", "-yes")
	if code != 0 {
		t.Fatalf("apply: exit %d\n%s%s", code, out, stderr)
	}
	for _, want := range []string{`> pack.q["a"].source.host.this`, `move from pack.p["a"].store.tsdb.own`, `> pack.q["b"].rules "r"`, `+ pack.q["b"].dashboard "d"`, "Plan: 4 to create", "4 to remove, 10 to move"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if got := titles(); got != `pack.q["a"].d Second, pack.q["b"].d Second` {
		t.Error(got)
	}

	// A pack with a mistake changes nothing, and is said at its line; what was applied is whole without its files.
	m.file("packs/p/main.hcl", strings.Replace(pack, "vector(1)", "vectr(1)", 1))
	if _, stderr, code := m.cli("check"); code != 1 || !strings.Contains(stderr, "packs/p/main.hcl:13:15: error: Invalid PromQL") || !strings.Contains(stderr, `(Brought in by pack "q" at config.hcl:`) {
		t.Errorf("check: exit %d\n%s", code, stderr)
	}
	if err := os.RemoveAll(filepath.Join(m.dir, "packs")); err != nil {
		t.Fatal(err)
	}
	m.restart()
	if s := m.status(); s.Config.State != "last_applied" || !strings.Contains(s.Config.Problem, "./packs/p cannot be read: there is none") {
		t.Errorf("%+v", s.Config)
	}
	m.eventually("it fires on", func() bool { return firing("Always", "a") && firing("Always", "b") })
	if out, stderr, code := m.cli("rollback", "-yes", "1"); code != 0 {
		t.Fatalf("rollback: exit %d\n%s%s", code, out, stderr)
	}
	if got := titles(); got != `pack.p["a"].d First, pack.p["b"].d First` {
		t.Error(got)
	}
	m.eventually("the first fires again", func() bool { return firing("Always", "a") && firing("Always", "b") })
}
