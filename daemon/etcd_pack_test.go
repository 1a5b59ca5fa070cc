package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"go.yaml.in/yaml/v3"

	"github.com/magpie-monitoring/magpie/examples/03-etcd-demo/cluster"
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
	if !updating() {
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

// Nothing on the dashboard is drawn of series that an etcd of some version does not have, and every panel has something of each, but for
// what a cluster that is well does not have.
func TestTheDashboardOfThePackEtcdDrawsClustersOfEachVersion(t *testing.T) {
	t.Parallel()
	clusters := ""
	for _, version := range etcdVersions() {
		o := cluster.Options{Program: etcdOf(t, version), Members: 2}
		if version != "3.7" { // before, it takes this to see how long requests take
			o.Set = map[string]any{"metrics": "extensive"}
		}
		c := startEtcd(t, o)
		clusters += fmt.Sprintf("    %q = { endpoints = [%q] }\n", version, c.URLs()[0])
		stop, err := c.Load(20)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
	}
	m := &magpie{TB: t, dir: t.TempDir()}
	m.pack(etcdPack, func(text string) string { return text })
	m.file("config.hcl", fmt.Sprintf(testConfig+`
pack "etcd" {
  source   = "./packs/etcd"
  clusters = {
%s  }
  probe = true
}
store "tsdb" "main" {}
service "console" "main" {}
notifier "log" "alerts" {}
route { notify = [notifier.log.alerts] }
`, clusters))
	m.run()
	m.endWithTheTest()

	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(m.get("/api/magpie/v1/dashboards/pack.etcd.etcd"), &board); err != nil {
		t.Fatal(err)
	}
	quiet := []string{"Quota full in", "Alerts that fire", "Requests that fail, by method and code", "Lines of logs, by what they say"} // of a cluster that is well
	for _, p := range board.Panels {
		for _, name := range etcdVersions() {
			if len(p.Targets) == 0 || slices.Contains(quiet, p.Title) {
				continue
			}
			m.eventually(fmt.Sprintf("%q has something of the cluster %s", p.Title, name), func() bool {
				return slices.ContainsFunc(p.Targets, func(q struct{ Expr string }) bool {
					return len(m.query(strings.NewReplacer("$cluster", name, "$instance", ".*", "$__rate_interval", "10s").Replace(q.Expr))) > 0
				})
			})
		}
	}
	if *screenshots == "" {
		return
	}
	time.Sleep(time.Minute) // for people, who want to see lines
	p := browse(t, m.url)
	p.open("/?tab=dashboards&board=pack.etcd.etcd&range=5m")
	p.do(chromedp.EmulateViewport(1440, 3600)) // panels are drawn once they are in view
	p.until(`document.querySelectorAll("canvas").length > 20`)
	p.do(chromedp.Sleep(3 * time.Second))
	png, err := chromedp.Run(p, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(*screenshots, "etcd.png"), png, 0o600)
	}
	if err != nil {
		t.Error(err)
	}
}

// What the README says that watching costs, counted by etcd itself: requests an interval, with the probe on.
func TestWhatThePackAsksOfAnEtcdIsWhatItsManualSays(t *testing.T) {
	onlyInSoak(t, func(t *testing.T, version, program string) {
		countRequests(t, version, startEtcd(t, cluster.Options{Program: program}))
	})
}

func countRequests(t *testing.T, version string, c *etcd) {
	m := &magpie{TB: t, dir: t.TempDir()}
	m.pack(etcdPack, func(text string) string { return text })
	m.file("config.hcl", fmt.Sprintf(testConfig+`
pack "etcd" {
  source   = "./packs/etcd"
  clusters = { main = { endpoints = ["%s"], hash_interval = "0s" } }
  probe    = true
}
store "tsdb" "main" {}
notifier "log" "alerts" {}
route { notify = [notifier.log.alerts] }
`, strings.Join(c.URLs(), `", "`)))
	m.run()
	m.endWithTheTest()
	count := func(expr string) float64 {
		if got := m.query(expr); len(got) == 1 {
			return number(got[0].Value[1])
		}
		return 0
	}
	cycles := func() float64 { return count(`max(count_over_time(scrape_duration_seconds{job="etcd"}[1h]))`) }
	m.eventually("it is watched, and has its lease", func() bool {
		return cycles() >= 4 && count(`sum(grpc_server_started_total{grpc_method="LeaseKeepAlive"})`) > 1
	})
	began, before := cycles(), map[string]float64{}
	// By what etcd counts it, and how many there are an interval in the whole cluster of three.
	said := map[string]float64{
		`grpc_server_started_total{grpc_method="Status"}`: 3, `grpc_server_started_total{grpc_method="MemberList"}`: 1, `grpc_server_started_total{grpc_method="Range"}`: 6,
		`grpc_server_started_total{grpc_method="Put"}`: 1, `grpc_server_started_total{grpc_method="DeleteRange"}`: 1, `grpc_server_started_total{grpc_method="LeaseKeepAlive"}`: 1,
		`grpc_server_started_total{grpc_method="LeaseGrant"}`: 0, `grpc_server_started_total{grpc_method="Watch"}`: 1, `grpc_server_started_total{grpc_method="Alarm"}`: 0,
		`grpc_server_started_total{grpc_method="HashKV"}`: 0, `grpc_server_started_total`: 14, `promhttp_metric_handler_requests_total`: 3,
		`etcd_server_health_success`: 3, `etcd_server_healthchecks_total{type="livez", name="serializable_read"}`: 3, `etcd_server_healthchecks_total{type="readyz", name="linearizable_read"}`: 3,
	}
	if version == "3.4" { // it has no such checks
		maps.DeleteFunc(said, func(what string, _ float64) bool { return strings.Contains(what, "healthchecks") })
	}
	for what := range said {
		before[what] = count("sum(" + what + ")")
	}
	m.eventually("ten more intervals have passed", func() bool { return cycles() >= began+10 })
	passed := cycles() - began + 1 // those that were asked before what they found is stored
	for what, most := range said {
		got := count("sum("+what+")") - before[what]
		t.Logf("%.1f an interval: %s", got/passed, what)
		if got > most*(passed+1) || most > 0 && got == 0 {
			t.Errorf("%s: %.0f in %.0f intervals, and the README says %.0f in each", what, got, passed, most)
		}
	}
}
