package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Prometheus' rule files in a real daemon: they fire, they travel with what is applied, and a broken one changes nothing.

func (m *magpie) ruleFile(text string) {
	m.Helper()
	if err := os.MkdirAll(filepath.Join(m.dir, "rules"), 0o700); err != nil {
		m.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.dir, "rules", "legacy.yml"), []byte(text), 0o600); err != nil {
		m.Fatal(err)
	}
}

func TestRuleFilesFireAndTravelWithWhatIsApplied(t *testing.T) {
	t.Parallel()
	const config = testConfig + `
store "tsdb" "main" {}
rules "legacy" { files = ["rules/*.yml"] }
`
	rules := func(name string) string {
		return "groups:\n- name: g\n  rules:\n  - alert: " + name + "\n    expr: |\n      vector(1)\n        > 0\n    labels: { severity: page }\n  - record: one\n    expr: vector(1)\n"
	}
	m := &magpie{TB: t, dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(m.dir, "config.hcl"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	m.ruleFile(rules("First"))
	m.run()
	m.endWithTheTest()
	firing := func(name string) func() bool {
		return func() bool {
			return len(m.query(`ALERTS{alertname="`+name+`",alertstate="firing",severity="page"}`)) == 1 && len(m.query("one")) == 1
		}
	}
	m.eventually("the first fires", firing("First"))

	m.ruleFile(rules("Second"))
	if out, _, code := m.cli("plan"); code != 2 || !strings.Contains(out, `~ rules "g" in rules/legacy.yml`) {
		t.Errorf("plan: exit %d\n%s", code, out)
	}
	if out, stderr, code := m.cli("apply", "-yes"); code != 0 {
		t.Fatalf("apply: exit %d\n%s%s", code, out, stderr)
	}
	m.eventually("the second fires", firing("Second"))

	m.ruleFile(strings.Replace(rules("Third"), "vector(1)", "vectr(1)", 1))
	if _, stderr, code := m.cli("check"); code != 1 || !strings.Contains(stderr, "rules/legacy.yml:6:7: error: Invalid PromQL") {
		t.Errorf("check: exit %d\n%s", code, stderr)
	}
	m.restart()
	if s := m.status(); s.Config.State != "last_applied" || !strings.Contains(s.Config.Problem, "rules/legacy.yml:6:7") {
		t.Errorf("%+v", s.Config)
	}
	m.eventually("the second fires on", firing("Second"))
	if out, stderr, code := m.cli("rollback", "-yes", "1"); code != 0 {
		t.Fatalf("rollback: exit %d\n%s%s", code, out, stderr)
	}
	m.eventually("the first fires again", firing("First"))
}
