package plan_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/magpie-monitoring/magpie/daemon/internal/plan"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// good builds the golden configuration that has everything in it.
func good(t testing.TB) *plan.Desired {
	t.Helper()
	a, err := txtar.ParseFile("../../testdata/config/good.txtar")
	if err != nil {
		t.Fatal(err)
	}
	return must(t, string(a.Files[0].Data))
}

func must(t testing.TB, text string) *plan.Desired {
	t.Helper()
	d, _, diags := build(t, []language.Source{{Name: "config.hcl", Bytes: []byte(text)}})
	if strings.Contains(diags, "error:") {
		t.Fatal(diags)
	}
	return d
}

func component(t testing.TB, d *plan.Desired, address string) *plan.Component {
	t.Helper()
	for _, c := range d.Components {
		if c.Address == address {
			return c
		}
	}
	t.Fatalf("there is no %s", address)
	return nil
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestThePluginIsSentItsAttributesInItsUnits(t *testing.T) {
	t.Parallel()
	d := good(t)
	for address, want := range map[string]string{
		"source.etcd.main": `{"backoff":1000000000,"endpoints":["https://10.0.0.1:2379","https://10.0.0.2:2379"],"max_body":4194304,"mode":"metrics",` +
			`"password":"file-canary","retries":8,"tls":{"ca_file":"/etc/magpie/etcd/ca.pem","insecure":false},"username":"monitor"}`,
		"source.prometheus.node": `{"follow_redirects":true,"relabel":[{"regex":"(.*):[0-9]+","replacement":"$1","source_labels":["__address__"],"target_label":"host"},` +
			`{"regex":"\\d+","replacement":"${1}:9100"}],"target":[{"address":"10.0.0.3:9100","extra_labels":{"rack":"b"}},{"address":"10.0.0.4:9100"}],"targets":["10.0.0.1:9100","10.0.0.2:9100"]}`,
		"source.host.this":          `{}`,
		"sink.remote_write.central": `{"credentials":{"user":"magpie"},"level":1,"token":"literal-canary","url":"https://u:env-canary@central/api/v1/write"}`,
		"store.tsdb.main":           `{"retention":2592000000000000,"wal_size":134217728}`,
		"notifier.webhook.oncall":   `{"headers":{"Accept":"text/plain","X-Token":"env-canary"},"url":"https://hooks.example/magpie"}`,
	} {
		if got := string(component(t, d, address).Config); got != want {
			t.Errorf("%s:\n got %s\nwant %s", address, got, want)
		}
	}
	var cfg etcdConfig
	if err := sdk.Fill(&cfg, component(t, d, "source.etcd.main").Config); err != nil || cfg.Password.Reveal() != "file-canary" || cfg.TLS.CAFile == "" || cfg.Backoff != time.Second {
		t.Errorf("the plugin reads %+v, %v", cfg, err)
	}
}

func TestCoreAttributesAreTheSources(t *testing.T) {
	t.Parallel()
	d := good(t)
	for address, want := range map[string]string{
		"source.etcd.main":       `{"Job":"etcd","Labels":{"cluster.name":"main","site":"FRA1","team":"db"},"Interval":60000000000,"Timeout":10000000000,"LimitSeries":100000}`,
		"source.prometheus.node": `{"Job":"node","Labels":null,"Interval":15000000000,"Timeout":10000000000,"LimitSeries":100000}`,
		"source.host.this":       `{"Job":"node","Labels":null,"Interval":15000000000,"Timeout":10000000000,"LimitSeries":100000}`,
		"store.tsdb.main":        `{"Job":"","Labels":null,"Interval":0,"Timeout":0,"LimitSeries":0}`,
	} {
		if got := asJSON(t, component(t, d, address).Source); got != want {
			t.Errorf("%s:\n got %s\nwant %s", address, got, want)
		}
	}
	if got := component(t, d, "source.prometheus.node").Discover; len(got) != 1 || got[0] != "discovery.file.hosts" {
		t.Errorf("discover is %v", got)
	}
}

func TestPipelinesGroupsAndRoutesAreResolved(t *testing.T) {
	t.Parallel()
	d := good(t)
	type line struct{ Key, From, Through string }
	var lines []line
	for _, p := range d.Pipelines {
		lines = append(lines, line{p.Key(), strings.Join(p.From, " "), strings.Join(p.Through, " ")})
	}
	want := `[{"Key":"default -\u003e sink.remote_write.central","From":"source.host.this","Through":""},` +
		`{"Key":"default -\u003e store.tsdb.main","From":"source.host.this","Through":""},` +
		`{"Key":"pipeline.metrics -\u003e sink.remote_write.central","From":"source.etcd.main source.prometheus.node","Through":"processor.relabel.tidy"},` +
		`{"Key":"pipeline.metrics -\u003e store.tsdb.main","From":"source.etcd.main source.prometheus.node","Through":"processor.relabel.tidy"}]`
	if got := asJSON(t, lines); got != want {
		t.Errorf("pipelines:\n got %s\nwant %s", got, want)
	}
	var groups strings.Builder
	for _, g := range d.Groups {
		fmt.Fprintf(&groups, "%s of %s, %s, %s:", g.Name, g.File, g.Interval, g.Store)
		for _, r := range g.Rules {
			fmt.Fprintf(&groups, " %s%s(%s, %v, %q, %v)", r.Alert, r.Record, r.For, r.Labels, r.Annotations["summary"], r.Notify)
		}
		groups.WriteByte('\n')
	}
	want = `etcd of config.hcl, 30s, store.tsdb.main: etcdNoLeader(1m0s, map[severity:critical], "{{ $labels.cluster }} has no leader", []) job:up:sum(0s, map[], "", []) ` +
		`slow(0s, map[], "{{ $labels.instance }} takes {{ printf \"%.2f\" $value }}", [notifier.webhook.oncall])
config.hcl of config.hcl, 15s, store.tsdb.main: node:load(0s, map[], "", []) Down(0s, map[], "", [])
`
	if got := groups.String(); got != want {
		t.Errorf("groups:\n got %s\nwant %s", got, want)
	}
	r := d.Route
	if len(r.Routes) != 2 || r.Notify[0] != "notifier.log.all" || r.GroupWait != 30*time.Second || r.Continue {
		t.Fatalf("the route is %+v", r)
	}
	if got, want := asJSON(t, r.Routes[0].Match), `[{"Label":"team","Op":"=","Value":"db"},{"Label":"severity","Op":"=~","Value":"crit.*"}]`; got != want || !r.Routes[0].Continue {
		t.Errorf("the first route matches %s, want %s", got, want)
	}
	if second := r.Routes[1]; second.Notify[0] != "notifier.log.all" || second.RepeatInterval != 4*time.Hour || second.GroupBy[1] != "cluster" || second.Match[0].Op != "!=" {
		t.Errorf("the second route inherits %+v", second)
	}
	if s := d.Settings; s.DataDir != "/var/lib/magpie" || s.ExternalLabels["site"] != "fra1" || s.Listen != "127.0.0.1:9470" || s.Interval != 15*time.Second || s.Timeout != 10*time.Second {
		t.Errorf("the settings are %+v", s)
	}
}

func TestAnEmptyConfigurationHasItsDefaults(t *testing.T) {
	t.Parallel()
	d := must(t, "")
	if s := d.Settings; s.DataDir != "data" || s.Interval != 15*time.Second || s.Listen != "127.0.0.1:9470" || d.Route != nil || len(d.Components) != 0 {
		t.Errorf("%+v", d)
	}
	if d = must(t, "daemon { interval = \"5s\" }\nhttp {\n listen = \"0.0.0.0:80\"\n insecure = true\n}"); d.Settings.Timeout != 5*time.Second || d.Settings.Listen != "0.0.0.0:80" {
		t.Errorf("%+v", d.Settings)
	}
}

// A problem of a plugin names a path; it lands on what somebody wrote.
func TestProblemsFindTheirPlaceInTheFile(t *testing.T) {
	t.Parallel()
	text := `source "prometheus" "p" {
  targets = [
    "a:1",
    "b:2",
  ]
  target "c:3" {
    extra_labels = { x = "1", "y" = "2" }
  }
  target "d:4" {}
  basic_auth {
    username = "u"
  }
}
store "tsdb" "main" {}
`
	name := func(n string) sdk.Step { return sdk.Step{Name: n} }
	index := func(i int) sdk.Step { return sdk.Step{Index: i} }
	c := component(t, must(t, text), "source.prometheus.p")
	for _, test := range []struct {
		path sdk.Path
		want string
	}{
		{nil, `source "prometheus" "p"`},
		{sdk.Path{name("targets"), index(1)}, `"b:2"`},
		{sdk.Path{name("targets"), index(7)}, "[\n    \"a:1\",\n    \"b:2\",\n  ]"},
		{sdk.Path{name("target"), index(0), name("extra_labels"), {Key: "y"}}, `"2"`},
		{sdk.Path{name("target"), index(0), name("extra_labels"), {Key: "x"}}, `"1"`},
		{sdk.Path{name("target"), index(1), name("extra_labels")}, `target "d:4"`},
		{sdk.Path{name("target"), index(1), name("address")}, `"d:4"`},
		{sdk.Path{name("target"), index(9)}, `target "d:4"`},
		{sdk.Path{name("basic_auth"), name("username")}, `"u"`},
		{sdk.Path{name("basic_auth"), name("password")}, `basic_auth`},
		{sdk.Path{name("basic_auth")}, `basic_auth`},
		{sdk.Path{name("tls"), name("ca_file")}, `source "prometheus" "p"`},
		{sdk.Path{name("follow_redirects")}, `source "prometheus" "p"`},
	} {
		if got := string(c.RangeOf(test.path).SliceBytes([]byte(text))); got != test.want {
			t.Errorf("%s: got %q, want %q", test.path, got, test.want)
		}
	}
}

func TestOfflineNoSecretIsReadAndAllElseIsChecked(t *testing.T) {
	t.Parallel()
	offline := env()
	offline.Offline = true
	offline.ReadFile = func(path string) ([]byte, error) { t.Errorf("%s is read", path); return nil, os.ErrNotExist }
	cfg, diags := language.Parse([]language.Source{{Name: "a.hcl", Bytes: []byte(`source "etcd" "a" {
  endpoints = ["https://u:${secret("env:UNSET")}@a/", "b"]
  username  = secret("file:/none")
  password  = secret("env:UNSET")
  retries   = secret("env:UNSET")
  max_body  = secret("env:UNSET")
  tls { insecure = secret("env:UNSET") }
}`)}})
	d, more := plan.Build(cfg, offers(t), offline)
	diags = append(diags, more...)
	if len(diags) != 1 || !strings.Contains(diags[0].Detail, `endpoints[1] takes a URL`) {
		t.Error(diags)
	}
	if len(d.Components) != 0 {
		t.Errorf("%d components, and the only one has a mistake", len(d.Components))
	}
}

// Plugins in other languages may have types that Go's struct tags cannot say.
func TestTypesThatAreNotGosAreConverted(t *testing.T) {
	t.Parallel()
	attribute := func(name, typ string) sdk.Attribute {
		return sdk.Attribute{Name: name, Type: typ, Doc: "x", Change: sdk.Replace}
	}
	tags := attribute("tags", "list(string)")
	tags.Default, tags.HasDefault = "a b", true
	schema := sdk.Schema{Attributes: []sdk.Attribute{
		attribute("server", "object({host=string, port=optional(number)})"), attribute("anything", "any"), attribute("names", "set(string)"),
		attribute("counts", "map(list(number))"), attribute("odd", strings.Repeat("(", 100<<10)), tags,
	}}
	types := []plan.Offer{{Plugin: "x", Type: sdk.Type{Kind: sdk.KindService, Name: "x", Config: schema}}}
	load := func(text string) (*plan.Desired, string) {
		cfg, diags := language.Parse([]language.Source{{Name: "a.hcl", Bytes: []byte("service \"x\" \"x\" {\n" + text + "\n}\n")}})
		d, more := plan.Build(cfg, types, env())
		var b strings.Builder
		_ = language.WriteDiagnostics(&b, cfg, append(diags, more...), false)
		return d, b.String()
	}
	d, text := load(`server = { host = "h", port = null }
		anything = { a = [1, "b", true], "b c" = null_is_not_here }
		names = ["b", "a"]
		counts = { a = [1, 2.5] }
		odd = 1`)
	if !strings.Contains(text, "Unknown name") || len(d.Components) != 0 {
		t.Error(text)
	}
	d, text = load(`server = { host = "h", port = null }
		anything = { a = [1, "b", true], "b c" = {} }
		names = ["b", "a"]
		counts = { a = [1, 2.5] }
		odd = 1`)
	if text != "" {
		t.Fatal(text)
	}
	if got, want := string(d.Components[0].Config), `{"anything":{"a":[1,"b",true],"b c":{}},"counts":{"a":[1,2.5]},"names":["b","a"],"odd":1,"server":{"host":"h"},"tags":["a","b"]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := plan.Show(d); !strings.Contains(got, `anything = { a = [1, "b", true], "b c" = {} }`) || !strings.Contains(got, `tags     = ["a", "b"] # default`) {
		t.Error(got)
	}
	for text, want := range map[string]string{
		`server = { hots = "h" }`:                 `a.hcl:2:19: error: Unknown key`,
		`server = { port = 1 }`:                   `server needs host.`,
		`server = { host = "h", port = "x" }`:     `server["port"] takes a number, and this is a text.`,
		`counts = { a = 1 }`:                      `counts["a"] takes a list`,
		`names = "a"`:                             `write ["a"]`,
		`anything = null`:                         ``,
		`server = { host = "h", hots = null }`:    `Did you mean "host"?`,
		`server = ["h"]`:                          `server takes a map`,
		`anything = [null]`:                       `anything[0] must not be null.`,
		`counts = { a = [1, 1e400] }`:             `Number too large`,
		`names = [for x in ["a"] : x if missing]`: `Unknown name`,
	} {
		if _, got := load(text); !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestAConfigurationCanBeBuiltAgain(t *testing.T) {
	t.Parallel()
	cfg, _ := language.Parse([]language.Source{{Name: "a.hcl", Bytes: []byte("locals { site = env(\"SITE\") }\nsource \"host\" \"a\" { job = local.site }")}})
	for _, site := range []string{"one", "two"} {
		e := env()
		e.Getenv = func(string) (string, bool) { return site, true }
		if d, _ := plan.Build(cfg, offers(t), e); d.Components[0].Source.Job != site {
			t.Errorf("got %s, want %s", d.Components[0].Source.Job, site)
		}
	}
}

// The secrets come in every way that there is, and go to the plugin only.
func TestSecretsReachThePluginAndNobodyElse(t *testing.T) {
	t.Parallel()
	text := func(suffix string) string {
		return fmt.Sprintf(`locals {
  direct = "local-canary%[1]s"
  nested = { token = "nested-canary%[1]s" }
}
sink "remote_write" "a" {
  url   = "https://u:${secret("env:TOKEN")}@a/"
  token = "literal-canary%[1]s"
  credentials { user = secret("file:/run/secrets/etcd") }
}
sink "remote_write" "b" {
  url   = "https://b/"
  token = local.direct
  credentials { user = upper("${secret("env:TOKEN")}x") }
}
notifier "webhook" "c" {
  url     = "https://c/"
  token   = "${local.nested.token}"
  headers = { "X-Key" = "header-canary%[1]s", (secret("env:TOKEN")) = "x" }
}
variable "by_default" {
  sensitive = true
  default   = "default-canary%[1]s"
}
variable "of_objects" {
  type      = map(object({ token = string }))
  sensitive = true
  default   = { x = { token = "object-canary%[1]s" } }
}
notifier "webhook" "v" {
  url     = "https://c/"
  token   = var.by_default
  headers = { "X-Key" = var.of_objects["x"].token }
}
source "etcd" "d" {
  endpoints = toset(["https://x/", "https://${secret("env:TOKEN")}/"])
  password  = <<-EOT
    heredoc-canary%[1]s
  EOT
}
`, suffix)
	}
	mistakes := `sink "remote_write" "a" {
  url   = secret("env:TOKEN")
  token = ["literal-canary"]
  level = secret("env:TOKEN")
  tokn  = "misspelt-canary"
  credentials { usr = "x" }
}
sink "remote_wriet" "one_line" { token = "unknown-canary" }
secrets { a = "block-canary" }
variable "wrong" {
  type      = number
  sensitive = true
  default   = "wrong-canary"
}
variable "message" {
  sensitive = true
  default   = "message-canary"
  validation {
    condition     = var.message == ""
    error_message = "It is ${var.message}."
  }
}
source "host" "keys" { for_each = toset([var.message]) }
notifier "webhook" "each" {
  for_each = { a = "each-canary", b = 5, c = nothing }
  url      = "https://c/"
  token    = each.value
}
notifier "webhook" "each2" {
  for_each = { a = "each-canary", b = ["each-canary"] }
  url      = "https://${var.message}"
  token    = each.value
}
source "etcd" "b" {
  endpoints = [secret("env:TOKEN")]
  password  = "pass-canary" + 1
  mode      = secret("env:TOKEN")
  interval  = secret("env:TOKEN")
  max_body  = secret("env:TOKEN")
  labels    = { for x in [secret("env:TOKEN"), secret("env:TOKEN")] : x => "y" }
  tls { password = "inner-canary" }
}
source "host" "e" {
  job    = secret("env:TOKEN")
  labels = { key = "x${secret("env:TOKEN")}" }
}
processor "relabel" "r" { drop = ["(${secret("env:TOKEN")}"] }
store "tsdb" "m" {}
alert "x" {
  expr        = "up{a='${secret("env:TOKEN")}'} >"
  annotations = { summary = "{{ ${secret("env:TOKEN")} }}" }
}
`
	d, cfg, _ := build(t, []language.Source{{Name: "a.hcl", Bytes: []byte(text(""))}})
	changed, _, _ := build(t, []language.Source{{Name: "a.hcl", Bytes: []byte(text("2"))}})
	var out strings.Builder
	if len(d.Components) != 5 {
		t.Fatalf("%d components", len(d.Components))
	}
	for _, c := range d.Components {
		for _, a := range c.Attrs {
			fmt.Fprintln(&out, a.Path, a.Text, a.Sum)
		}
	}
	out.WriteString(plan.Show(d))
	p := plan.Diff(d, changed)
	if len(p.Steps) != 5 || p.Steps[0].Action != plan.Update {
		t.Errorf("a changed secret is not seen: %+v", p.Steps)
	}
	out.WriteString(asJSON(t, p))
	if err := p.Print(&out, true); err != nil {
		t.Fatal(err)
	}
	_, _, text1 := build(t, []language.Source{{Name: "a.hcl", Bytes: []byte(mistakes)}})
	if strings.Count(text1, "error:") < 15 {
		t.Errorf("there are fewer mistakes than were made:\n%s", text1)
	}
	if n := strings.Count(text1, "Secret in the open"); n != 6 {
		t.Errorf("%d secrets in the open are refused:\n%s", n, text1)
	}
	out.WriteString(text1)
	for _, broken := range []string{"password = \"hun-canary\"ter2\"\n", "token = <<EOT\nhun-canary\n", "a = { password = 'hun-canary' }\n", "x = 1\napi_key = \"hun-canary\n"} {
		bad, diags := language.Parse([]language.Source{{Name: "a.hcl", Bytes: []byte(broken)}})
		if !diags.HasErrors() {
			t.Errorf("%q is no mistake", broken)
		}
		_ = language.WriteDiagnostics(&out, bad, diags, false)
		out.WriteString(asJSON(t, bad.Diagnostics(diags)))
	}
	_, jsonDiags := language.Parse([]language.Source{{Name: "a.json", Bytes: []byte(`{"a": {"password": "json-canary",}}`)}})
	out.WriteString(asJSON(t, cfg.Diagnostics(jsonDiags)))
	if got := strings.ToLower(out.String()); strings.Contains(got, "canary") {
		at := strings.Index(got, "canary")
		t.Errorf("a secret is shown: …%s…", got[max(0, at-200):min(len(got), at+100)])
	}
}

func TestNumbersAreExact(t *testing.T) {
	t.Parallel()
	d := must(t, "sink \"remote_write\" \"a\" {\n url = \"x://y\"\n level = 0.1\n credentials { user = \"9007199254740993\" }\n}\nsource \"etcd\" \"b\" {\n endpoints = [\"http://a\"]\n max_body = \"0.5KiB\"\n retries = 1e1\n}")
	if got := string(component(t, d, "sink.remote_write.a").Config); !strings.Contains(got, `"level":0.1,`) {
		t.Error(got)
	}
	if got := string(component(t, d, "source.etcd.b").Config); !strings.Contains(got, `"max_body":512,"mode":"metrics","retries":10`) {
		t.Error(got)
	}
	for _, n := range []string{"1e30", "18446744073709551616", "-9223372036854775809", "18446744073709551615"} {
		_, _, text := build(t, []language.Source{{Name: "a.hcl", Bytes: []byte("source \"host\" \"a\" { limit_series = " + n + " }")}})
		if strings.Count(text, "error:") != 1 {
			t.Errorf("%s: %s", n, text)
		}
	}
}

func TestPlanAsJSON(t *testing.T) {
	t.Parallel()
	old := must(t, `store "tsdb" "main" { retention = "1d" }`)
	p := plan.Diff(old, must(t, `store "tsdb" "main" { retention = "2d" }`))
	if got, want := asJSON(t, p), `{"steps":[{"address":"store.tsdb.main","action":"update","attributes":[{"path":"retention","old":"\"1d\"","new":"\"2d\"","change":"live"}]}]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if p.Empty() || !plan.Diff(old, old).Empty() || plan.Diff(nil, old).Empty() {
		t.Error("a plan is empty if nothing changes, and only then")
	}
}

// What Show writes means the same when it is read again.
func TestShowCanBeReadAgain(t *testing.T) {
	t.Parallel()
	a, err := txtar.ParseFile("../../testdata/config/good.txtar")
	if err != nil {
		t.Fatal(err)
	}
	text := string(a.Files[0].Data)
	for secret, plain := range map[string]string{`secret("file:/run/secrets/etcd")`: `"x"`, `${secret("env:TOKEN")}`: `x`, `secret("env:TOKEN")`: `"x"`} {
		text = strings.ReplaceAll(text, secret, plain)
	}
	d := must(t, text)
	shown := strings.ReplaceAll(plan.Show(d), "(sensitive)", `"http://another"`)
	again := must(t, shown)
	for _, s := range plan.Diff(d, again).Steps {
		for _, attr := range s.Attrs {
			if !strings.Contains(attr.Old, "(sensitive)") { // the secrets are others
				t.Errorf("%s %s: %s is read as %s", s.Address, attr.Path, attr.Old, attr.New)
			}
		}
	}
	p := plan.Diff(d, again)
	if len(p.Settings)+len(p.Pipelines)+len(p.Groups)+len(p.Route) != 0 {
		t.Errorf("%s\n%s", shown, asJSON(t, p))
	}
}

// large writes a configuration of n sources in files of 25.
func large(n int) (sources []language.Source) {
	var b strings.Builder
	b.WriteString("locals { common = { team = \"db\", site = env(\"SITE\") } }\nstore \"tsdb\" \"main\" {}\n")
	for i := range n {
		fmt.Fprintf(&b, "source \"etcd\" \"e%d\" {\n  labels = merge(local.common, { n = \"%d\" })\n  endpoints = [\"https://10.0.0.%d:2379\"]\n  interval = \"30s\"\n  tls {\n    ca_file = \"/etc/ca.pem\"\n  }\n}\n", i, i, i%250)
		if i%5 == 0 {
			fmt.Fprintf(&b, "pipeline \"p%d\" {\n  from = [source.etcd.e%d]\n  to = [store.tsdb.main]\n}\nalert \"a%d\" {\n  expr = \"up{n='${%d + 0}'} == 0\"\n}\n", i, i, i, i)
		}
		if i%25 == 24 {
			sources = append(sources, language.Source{Name: fmt.Sprintf("%05d.hcl", i), Bytes: []byte(b.String())})
			b.Reset()
		}
	}
	return sources
}

func TestFiveThousandSourcesLoad(t *testing.T) {
	t.Parallel()
	d, _, text := build(t, large(5000))
	if len(d.Components) != 5001 || len(d.Pipelines) != 1001 || len(d.Groups) != 200 || strings.Contains(text, "error:") {
		t.Errorf("%d components, %d pipelines, %d groups: %.500s", len(d.Components), len(d.Pipelines), len(d.Groups), text)
	}
	if steps := plan.Diff(d, d).Steps; len(steps) != 5001 || steps[0].Action != plan.Keep {
		t.Errorf("%d steps", len(steps))
	}
}

func BenchmarkFiveThousandSources(b *testing.B) {
	sources, types := large(5000), offers(b)
	var before, after syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
		b.ReportMetric(float64(after.Utime.Nano()-before.Utime.Nano()+after.Stime.Nano()-before.Stime.Nano())/1e9/float64(b.N), "cpu-s/op")
	}()
	for b.Loop() {
		cfg, diags := language.Parse(sources)
		d, more := plan.Build(cfg, types, env())
		if diags.HasErrors() || more.HasErrors() || len(d.Components) != 5001 {
			b.Fatal(diags, more)
		}
		runtime.KeepAlive(d)
	}
}

func FuzzParse(f *testing.F) {
	archives, err := os.ReadDir("../../testdata/config")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range archives {
		a, err := txtar.ParseFile("../../testdata/config/" + e.Name())
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range a.Files {
			if strings.HasSuffix(file.Name, ".hcl") || strings.HasSuffix(file.Name, ".hcl.json") {
				// Work to the bound, a second of it, would take most of the time, and of ten on a busy machine go test thinks that it hangs.
				f.Add(bytes.ReplaceAll(file.Data, []byte("range(1000)"), []byte("range(9)")), strings.HasSuffix(file.Name, ".json"))
			}
		}
	}
	for _, text := range []string{"a = \"%{for x in y}${x}%{endfor}\"", "locals {\n a = [for x in local.b : x...]\n b = local.a[*].c\n}", "\ufeffa {}", "alert\"\"{\nfor_each={0=0,1=\"\"}\n}", "rules \"x\" { alert \"\" { expr = <<-A\n\tb\nA\n } }"} {
		f.Add([]byte(text), false)
	}
	types := offers(f)
	f.Fuzz(func(t *testing.T, text []byte, inJSON bool) {
		name := "a.hcl"
		if inJSON {
			name = "a.hcl.json"
		}
		began := time.Now()
		fuzzed(t, types, append([]language.Source{{Name: name, Bytes: text}}, packsBeside...))
		if took := time.Since(began); took > 20*time.Second && flag.Lookup("test.fuzz").Value.String() != "" { // the suite's machine is loaded
			t.Errorf("it took %s", took)
		}
	})
}

// The same for a file of a pack that is brought in three times, and changed.
func FuzzPack(f *testing.F) {
	for _, name := range []string{"packs", "packs-mistakes", "packs-syntax", "each"} {
		a, err := txtar.ParseFile("../../testdata/config/" + name + ".txtar")
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range a.Files {
			if strings.HasSuffix(file.Name, ".hcl") || strings.HasSuffix(file.Name, ".hcl.json") {
				f.Add(file.Data, strings.HasSuffix(file.Name, ".json"))
			}
		}
	}
	f.Add([]byte("rules \"files\" { files = [\"../r.yml\"] }\nalert \"B\" { expr = \"up\" }"), false)
	types := offers(f)
	f.Fuzz(func(t *testing.T, text []byte, inJSON bool) {
		name := "packs/etcd/a.hcl"
		if inJSON {
			name = "packs/etcd/a.hcl.json"
		}
		fuzzed(t, types, append([]language.Source{{Name: "c.hcl", Bytes: []byte(`
			store "tsdb" "a" {}
			pack "etcd" { source = "./packs/etcd" }
			pack "each" {
			  for_each = toset(["a", "b"])
			  source   = "./packs/etcd"
			  disable  = [alert.down, source.etcd.main]
			  override "alert" "slow" { for = "1m" }
			  override "source" "host" "x" { interval = each.key }
			}
			pack "files" {
			  source  = "./packs/etcd"
			  disable = [alert.B, rules.h]
			  override "alert" "A" {
			    for    = "1m"
			    labels = { a = "b" }
			  }
			  override "rules" "g" { interval = "1m" }
			}
			pipeline "p" {
			  from = [pack.each["a"].source.etcd.main["prod"], pack.each.source.host]
			  to   = [store]
			}
		`)}, {Name: name, Bytes: text}}, packsBeside...))
	})
}

// packsBeside are those that a fuzzed configuration may bring in.
var packsBeside = []language.Source{
	{Name: "packs/inner/m.hcl", Bytes: []byte("variable \"x\" { default = 1 }\nsource \"host\" \"i\" { labels = { x = \"${var.x}\" } }\nrules \"r\" { files = [\"../r.yml\"] }\npack \"again\" { source = \"../etcd\" }")},
	{Name: "packs/r.yml", Bytes: []byte("groups: [{name: g, labels: {c: d}, rules: [{alert: A, expr: up}, {alert: B, expr: up}]}, {name: h}]")},
	{Name: "packs/etcd/dashboards/overview.json", Bytes: []byte(`{"title": "T", "panels": [{"targets": [{"expr": "rate(up[$__rate_interval])"}, {"expr": "up{"}]}]}`)},
}

// fuzzed loads a configuration as check and apply do.
func fuzzed(t *testing.T, types []plan.Offer, sources []language.Source) {
	cfg, diags := language.Parse(sources)
	d, more := plan.Build(cfg, types, env())
	var b strings.Builder
	if err := language.WriteDiagnostics(&b, cfg, append(diags, more...), true); err != nil {
		t.Fatal(err)
	}
	_ = plan.Show(d)
	if p := plan.Diff(d, d); !p.Empty() {
		t.Errorf("a configuration differs from itself: %+v", p)
	}
	_ = language.ShowOf(d.Bodies(), "pack.etcd")
	offline := env()
	offline.Offline = true
	plan.Build(cfg, types, offline)
}

// Whatever is in a rule file, and whatever of it a pack block changes: no panic, within bounds, and a configuration that differs from nothing.
func FuzzRuleFile(f *testing.F) {
	for _, archive := range []string{"rulefiles", "rulefiles-mistakes"} {
		a, err := txtar.ParseFile("../../testdata/config/" + archive + ".txtar")
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range a.Files {
			if language.IsRuleFile(file.Name) {
				f.Add(file.Data)
			}
		}
	}
	types := offers(f)
	config := language.Source{Name: "a.hcl", Bytes: []byte(`
		store "tsdb" "a" {}
		rules "r" { files = ["a.yml"] }
		pack "p" {
		  for_each = toset(["a", "b"])
		  source   = "./p"
		  disable  = [record.r, rules.h]
		  override "alert" "A" {
		    for    = "1m"
		    labels = { a = each.key }
		  }
		  override "rules" "g" { interval = "1m" }
		}
	`)}
	pack := language.Source{Name: "p/main.hcl", Bytes: []byte(`rules "r" { files = ["../a.yml"] }`)}
	f.Fuzz(func(t *testing.T, text []byte) {
		began := time.Now()
		cfg, diags := language.Parse([]language.Source{config, pack, {Name: "a.yml", Bytes: text}})
		d, more := plan.Build(cfg, types, env())
		var b strings.Builder
		if err := language.WriteDiagnostics(&b, cfg, append(diags, more...), true); err != nil {
			t.Fatal(err)
		}
		_ = plan.Show(d)
		if p := plan.Diff(d, d); !p.Empty() {
			t.Errorf("a configuration differs from itself: %+v", p)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}
