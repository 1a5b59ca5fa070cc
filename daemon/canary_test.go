package main

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/magpie-monitoring/magpie/daemon/internal/cli"
)

// canaries are secrets, each of which is given in a way of its own; where one sings, its name says how it was given.
type canaries struct {
	testing.TB
	forms map[string][]string // by the way it is given
}

// hatch makes a canary, with what a JSON text, a URL and a shell write otherwise if it may have that.
func (c *canaries) hatch(way string, plain bool) string {
	s := "canary-" + way + "-4711"
	if !plain {
		s += `+"x'&<%/\é`
	}
	inJSON, _ := json.Marshal(s)
	forms := []string{s, strings.ToUpper(s), strings.Trim(string(inJSON), `"`), url.QueryEscape(s), url.PathEscape(s), hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s))), "canary-" + way}
	for before := range 3 {
		padded := append(make([]byte, before), s...)
		from, to := (8*before+5)/6, 8*len(padded)/6
		forms = append(forms, base64.StdEncoding.EncodeToString(padded)[from:to], base64.URLEncoding.EncodeToString(padded)[from:to])
	}
	forms = append(forms, fmt.Sprintf("%x", md5.Sum([]byte(s))), fmt.Sprintf("%x", sha1.Sum([]byte(s))), fmt.Sprintf("%x", sha256.Sum256([]byte(s))), fmt.Sprintf("%x", sha512.Sum512([]byte(s))))
	c.forms[way] = forms
	return s
}

// silent wants none of the canaries in a text.
func (c *canaries) silent(where string, text []byte) {
	c.Helper()
	for way, forms := range c.forms {
		for _, f := range forms {
			if i := bytes.Index(text, []byte(f)); i >= 0 {
				c.Errorf("%s: the canary %q sings: … %q …", where, way, text[max(0, i-150):min(len(text), i+len(f)+100)])
				break
			}
		}
	}
}

// asked runs a command of the command line in this process: there are many.
func asked(args ...string) (text []byte, code int) {
	var out bytes.Buffer
	code = cli.Main(args, cli.IO{Out: &out, Err: &out})
	return out.Bytes(), code
}

// A secret is found nowhere, in no common encoding, however it is given: as an environment variable, a file, the output of a program, a literal, the value
// of a variable, through functions and blocks that are made, in a mistake; and whatever a plugin does that is handed it.
//
// Exceptions, which nobody can help: the environment and the arguments of the daemon itself hold what the user put there (a -var is warned of), and
// what the user's own files hold. A value that nothing says to be secret is shown: in an attribute that is not sensitive, or misspelt beyond recognition.
// What a plugin writes into its own directory, serves over HTTP or sends to its own peers is its own.
func TestNoCanarySings(t *testing.T) {
	t.Parallel()
	c := &canaries{t, map[string][]string{}}
	m := &magpie{TB: t, dir: t.TempDir(), binary: magpieBinary(t)}
	in := func(name string) string { return filepath.Join(m.dir, name) }
	put := func(name, text string) string {
		os.MkdirAll(filepath.Dir(in(name)), 0o700)
		if err := os.WriteFile(in(name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		return in(name)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	plugins := t.TempDir()
	if err := os.WriteFile(filepath.Join(plugins, "leaky"), append(self, "leaky"...), 0o700); err != nil {
		t.Fatal(err)
	}
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // says what it was sent, and refuses it
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintln(w, r.URL, r.Header)
	}))
	t.Cleanup(peer.Close)

	m.env = []string{"CANARY=" + c.hatch("env", false), "MAGPIE_VAR_fromenv=" + c.hatch("variable-env", true)}
	for _, e := range m.env { // the commands run in this process
		name, value, _ := strings.Cut(e, "=")
		os.Setenv(name, value)
		t.Cleanup(func() { os.Unsetenv(name) })
	}
	file := put("secret", c.hatch("file", false)+"\n")
	pem := put("key.pem", "-----BEGIN KEY-----\n"+c.hatch("pem-1", true)+"\n"+c.hatch("pem-2", true)+"\n-----END KEY-----\n")
	program := put("program", "#!/bin/sh\necho '"+c.hatch("stderr-of-exec", true)+"' >&2\necho \""+c.hatch("exec", true)+"\"\n")
	failing := put("failing", "#!/bin/sh\necho '"+c.hatch("failing-exec", true)+"' >&2\necho '"+c.hatch("failing-exec-out", true)+"'; exit 3\n")
	values := put("values.vars.hcl", fmt.Sprintf("fromfile = %q\nlogins = { %q = %q }\n", c.hatch("variable-file", true), "ann", c.hatch("variable-map", true)))
	address := strings.TrimPrefix(peer.URL, "http://")
	good := fmt.Sprintf(`
daemon {
  data_dir = %q
  interval = "1s"
}
http { listen = "127.0.0.1:0" }
variable "fromenv" { sensitive = true }
variable "fromfile" { sensitive = true }
variable "fromflag" { sensitive = true }
variable "byright" {
  sensitive = true
  default   = %q
}
variable "logins" {
  type      = map(string)
  sensitive = true
}
locals {
  one = secret("env:CANARY")
  two = { deep = [local.one, "${local.one}-and-more"] }
  literal = %q
}
source "leaky" "all" {
  dir       = %q
  plain     = secret("file:%s")
  password  = %q
  url       = "http://user:%s@127.0.0.1:9/x"
  list      = ["plain", upper(local.one), base64encode(local.one), jsonencode(local.two), sha256(local.one), urlencode(local.one), "user:${local.one}@host", sensitive(%q), join(",", values(var.logins))]
  passwords = [
    local.literal, secret("exec:%s -n 1"), var.fromenv, var.fromfile, var.fromflag, var.byright, secret("file:%s"),
    <<-EOT
      %s
      and a second line %s
    EOT
  ]
  headers = {
    Authorization = "Bearer %s"
    X-Key         = local.one
  }
  basic_auth {
    username = "user"
    password = %q
  }
  dynamic "login" {
    for_each = { ann = %q }
    labels   = [login.key]
    content { password = login.value }
  }
}
source "prometheus" "real" {
  targets = ["http://%s/metrics"]
  basic_auth {
    username = "user"
    password = secret("env:CANARY")
  }
  headers = { X-Token = %q }
}
source "prometheus" "url" {
  targets   = ["127.0.0.1:9"]
  proxy_url = "http://user:%s@127.0.0.1:9"
}
sink "remote_write" "real" {
  url          = "%s/write"
  bearer_token = %q
}
notifier "webhook" "real" {
  url   = "%s/%s"
  token = secret("file:%s")
}
notifier "leaky" "n" { password = %q }
route {
  notify          = [notifier.webhook.real, notifier.leaky.n]
  group_wait      = "0s"
  group_interval  = "1s"
}
alert "Always" { expr = "vector(1)" }
record "one" { expr = "vector(1)" }
store "tsdb" "main" {}
service "console" "c" {}
`, in("data"), c.hatch("default", true), c.hatch("local", true), m.dir, file, c.hatch("literal", true), c.hatch("url", true), c.hatch("sensitive", true), program, pem, c.hatch("heredoc-1", true), c.hatch("heredoc-2", true),
		c.hatch("header", true), c.hatch("block", true), c.hatch("dynamic", true), address, c.hatch("prometheus-header", true), c.hatch("proxy", true), peer.URL, c.hatch("bearer", true), peer.URL, c.hatch("webhook", true), file, c.hatch("notifier", true))
	put("conf/main.hcl", good)
	put("conf/more.hcl.json", fmt.Sprintf(`{"source": {"leaky": {"json": {"password": %q, "dir": %q, "list": ["${secret(\"env:CANARY\")}"]}}}}`, c.hatch("json", true), t.TempDir()))
	flags := []string{"-plugin-dir", plugins, "-plugin-dir", filepath.Join(filepath.Dir(m.binary), "plugins"), "-var-file", values, "-var", "fromflag=" + c.hatch("flag", true)}
	m.args = append([]string{"-config", in("conf"), "-log-level", "debug"}, flags...)
	m.run()
	m.endWithTheTest()

	show := func(args ...string) {
		t.Helper()
		text, _ := asked(slices.Concat(args, flags, []string{"-data-dir", in("data")})...)
		c.silent("magpie "+strings.Join(args, " "), text)
	}
	m.eventually("everything has leaked", func() bool {
		log := m.logged()
		for _, what := range []string{"leaked debug", "leaked info", "leaked warn", "leaked error", "leaked stdout", "leaked stderr", "leaked notification"} {
			if !strings.Contains(log, what) {
				return false
			}
		}
		return strings.Contains(string(m.get("/api/magpie/v1/Status")), "leaked status") && len(m.query(`leaked{password=~".*sensitive.*"}`)) > 0
	})
	conf := in("conf")
	for _, args := range [][]string{
		{"check", conf}, {"check", "-json", conf}, {"plan", conf}, {"plan", "-json", conf}, {"apply", "-yes", conf}, {"show", conf}, {"show", "-json", conf}, {"graph", conf}, {"graph", "-dot", conf}, {"graph", "-json", conf},
		{"explain", "-config", conf, "source.leaky.all"}, {"explain", "-json", "-config", conf, "source.prometheus.real"}, {"status"}, {"status", "-json"}, {"test", conf}, {"fmt", "-check", conf},
		{"plugin", "list"}, {"plugin", "describe", "leaky"}, {"query", `{__name__=~".+"}`},
	} {
		show(args...)
	}

	bad := canaryMistakes(c, file, failing)
	for i, text := range bad {
		name := fmt.Sprintf("bad%d.hcl", i)
		if strings.HasPrefix(text, "{") {
			name += ".json"
		}
		path := put(name, text)
		checked, code := asked(slices.Concat([]string{"check", path}, flags[:4])...)
		c.silent(fmt.Sprintf("magpie check of %q", text), checked)
		planned, _ := asked(slices.Concat([]string{"plan", "-json", path}, flags[:4], []string{"-data-dir", in("data")})...)
		c.silent(fmt.Sprintf("magpie plan -json of %q", text), planned)
		applied, applyCode := asked(slices.Concat([]string{"apply", "-yes", path}, flags[:4], []string{"-data-dir", in("data")})...)
		c.silent(fmt.Sprintf("magpie apply of %q", text), applied)
		if code == 0 && applyCode == 0 {
			t.Errorf("no mistake was found in %s\n%s", text, applied)
		}
	}
	put("conf/broken.hcl", bad[0])
	m.cmd.Process.Signal(syscall.SIGHUP)
	m.eventually("the reload is refused", func() bool { return strings.Contains(m.logged(), "was not applied") })
	os.Remove(in("conf/broken.hcl"))
	show("status")
	put("conf/main.hcl", strings.ReplaceAll(good, "canary-literal", "canary-literal-next"))
	show("plan", conf)
	show("apply", "-yes", conf)
	show("history")
	show("history", "-json")
	show("history", "1")
	show("rollback", "-yes")
	show("history", "2")

	for _, how := range []string{"panic", "print", "die"} {
		before := strings.Count(m.logged(), "leaked "+map[string]string{"panic": "panic", "print": "stdout", "die": "death"}[how])
		os.WriteFile(in(how), nil, 0o600)
		m.eventually("it leaks by "+how, func() bool {
			return strings.Count(m.logged(), "leaked "+map[string]string{"panic": "panic", "print": "stdout", "die": "death"}[how]) > before
		})
	}
	m.eventually("the store has what was alerted on", func() bool { return len(m.query("ALERTS")) > 0 })
	for _, page := range []string{
		"/", "/metrics", "/-/healthy", "/-/ready", "/api/magpie/v1/Status", "/api/magpie/v1/Show", "/api/magpie/v1/History", "/api/v1/status/config", "/api/v1/status/flags",
		"/api/v1/status/runtimeinfo", "/api/v1/status/buildinfo", "/api/v1/status/tsdb", "/api/v1/targets", "/api/v1/scrape_pools", "/api/v1/alertmanagers", "/api/v1/rules", "/api/v1/alerts", "/api/v1/metadata",
		"/api/v1/labels", "/api/v1/label/password/values", "/api/v1/label/instance/values", "/api/v1/label/url/values", "/api/v1/series?match[]=" + url.QueryEscape(`{__name__=~".+"}`),
		"/api/v1/query?query=" + url.QueryEscape(`{__name__=~".+"}`), "/plugins/store.tsdb.main/", "/plugins/service.console.c/", "/plugins/source.leaky.all/", "/nowhere",
	} {
		text := m.get(page)
		if len(text) == 0 {
			t.Errorf("%s is empty", page)
		}
		c.silent("GET "+page, text)
	}
	c.processes(m)
	c.silent("the daemon's output", []byte(m.logged()))
	if !strings.Contains(m.logged(), "its last words") {
		t.Error("the plugin's death was not told")
	}
	m.cmd.Process.Signal(syscall.SIGQUIT) // it writes down what all of it is doing
	<-m.done
	if !strings.Contains(m.logged(), "goroutine ") {
		t.Error("there is no trace")
	}
	c.silent("the trace of the daemon", []byte(m.logged()))
	c.files(in("data"))
	m.run()
	m.eventually("it runs again", func() bool { return strings.Contains(string(m.get("/api/magpie/v1/Status")), "leaked status") })
}

// processes looks at the arguments and environments of the daemon and all that it started.
func (c *canaries) processes(m *magpie) {
	pids := m.pids()
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", m.cmd.Process.Pid, m.cmd.Process.Pid))
	for i, pid := range strings.Fields(string(children)) { // the guardian, and perhaps plugins
		n := 0
		fmt.Sscan(pid, &n)
		pids[fmt.Sprint("child ", i)] = n
	}
	for name, pid := range pids {
		for _, of := range []string{"cmdline", "environ"} {
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, of))
			c.silent(of+" of "+name, text)
		}
	}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", m.cmd.Process.Pid))
	c.silent("arguments of the daemon", regexp.MustCompile(`fromflag=[^\x00]*`).ReplaceAll(text, nil)) // the user's own -var
	if found, _ := filepath.Glob(filepath.Join(m.dir, "core*")); found != nil {
		c.Errorf("there is a core dump: %v", found)
	}
}

// files looks at everything in the data directory: state, history, what was applied last, the log, the stores.
func (c *canaries) files(dir string) {
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		c.silent("the name of a file", []byte(path))
		info, err := d.Info()
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if strings.Contains(path, "/state/") && info.Mode().Perm()&0o077 != 0 {
			c.Errorf("%s can be read by others: %s", path, info.Mode())
		}
		text, err := os.ReadFile(path)
		c.silent(path, text)
		n++
		return err
	})
	if err != nil || n < 10 {
		c.Errorf("%d files were looked at: %v", n, err)
	}
}

// canaryMistakes are configurations with mistakes around secrets.
func canaryMistakes(c *canaries, file, failing string) (all []string) {
	way := 0
	next := func() string { way++; return c.hatch(fmt.Sprintf("mistake-%d-", way), true) }
	block := func(format string) {
		all = append(all, strings.ReplaceAll(fmt.Sprintf("source \"leaky\" \"x\" {\n%s\n}\nstore \"tsdb\" \"main\" {}\n", strings.ReplaceAll(format, "FILE", file)), "CANARY", next()))
	}
	block(`  pasword = "CANARY"`)
	block(`  passwort { x = "CANARY" }`)
	block("  pasword = <<EOT\nCANARY\nEOT")
	block(`  password = ["CANARY"]`)
	block(`  password = { a = "CANARY" }`)
	block(`  passwords = "CANARY"`)
	block(`  passwords = [{ a = "CANARY" }]`)
	block(`  headers = "CANARY"`)
	block(`  headers = ["CANARY"]`)
	block(`  headers = { A = ["CANARY"] }`)
	block(`  basic_auth = { password = "CANARY" }`)
	block("  basic_auth {\n    username = \"u\"\n    pass = \"CANARY\"\n  }")
	block(`  password = "CANARY" == "x" ? 1 : "${nothing}CANARY"`)
	block(`  url = "http://user:CANARY@[bad"`)
	block(`  url = "user:CANARY@host/path with space"`)
	block(`  count = sensitive("CANARY")`)
	block(`  count = tonumber(sensitive("CANARY"))`)
	block(`  count = parseint(upper(sensitive("CANARY")), 10)`)
	block(`  plain = jsondecode(sensitive("CANARY"))`)
	block(`  plain = format("%d", sensitive("CANARY"))`)
	block(`  plain = timeadd(sensitive("CANARY"), "1h")`)
	block(`  plain = cidrhost(sensitive("CANARY"), 1)`)
	block(`  plain = base64decode(sensitive("CANARY"))`)
	block(`  plain = regex("[0-9", sensitive("CANARY"))`)
	block(`  plain = { a = 1 }[sensitive("CANARY")]`)
	block(`  plain = { for x in [sensitive("CANARY"), sensitive("CANARY")] : upper(x) => 1 }`)
	block(`  plain = sensitive("CANARY") + 1`)
	block(`  plain = sensitive("CANARY").x`)
	block(`  plain = element([], sensitive("CANARY"))`)
	block(`  plain = strrev(1, sensitive("CANARY"))`)
	block(`  plain = secret("x:${secret("file:FILE")}")`)
	block(`  plain = secret("file:/nowhere/${upper(secret("file:FILE"))}")`)
	block(`  for_each = { (sensitive("CANARY")) = 1 }`)
	block(`  for_each = toset([sensitive("CANARY")])`)
	block(`  for_each = toset([secret("file:FILE")])`)
	block(`  labels = { a = sensitive("CANARY") }`)
	block(`  job = sensitive("CANARY")`)
	block(`  interval = sensitive("CANARY")`)
	block(`  enabled = sensitive("CANARY")`)
	block("  dynamic \"login\" {\n    for_each = [sensitive(\"CANARY\")]\n    labels = [login.value]\n    content { password = login.value }\n  }")
	block("  dynamic \"login\" {\n    for_each = sensitive([\"CANARY\"])\n    labels = [\"x\"]\n    content { password = login.value }\n  }")
	block("  how = \"open\"\n  password = \"CANARY\"")
	block("  how = \"validate\"\n  passwords = [\"CANARY\"]")
	block("  how = \"open\"\n  list = [secret(\"file:FILE\"), \"http://u:CANARY@h/\"]")
	block(`  password = "CANARY`)
	block(`  password = "CANARY" "x"`)
	block("  password = \"CANARY\"\n  password = \"CANARY\"")
	block(`  basic_auth { username = "u", password = "CANARY" }`)
	block("  password = <<-EOT\n    CANARY ${\n    CANARY }} \n  EOT")
	block("  password = <<-EOT\n    CANARY\n    CANARY")
	block("  passwords = [\n    \"x\",\n    \"CANARY\" ]]\n")
	block(`  url = "http://user:CANARY@host`)
	block(`  password = CANARY`)
	block("  secret = sensitive(\"CANARY\")\n  password = local.missing")
	for _, text := range []string{
		`{"source": {"leaky": {"x": {"password": "CANARY" "dir": 1}}}}`,
		`{"source": {"leaky": {"x": {"pasword": "CANARY"}}}}`,
		`{"source": {"leaky": {"x": {"password": ["CANARY"]}}}}`,
		`{"source": {"leakey": {"x": {"password": "CANARY"}}}}`,
		`{"sauce": {"leaky": {"x": {"password": "CANARY"}}}}`,
		`{"source": {"leaky": {"x": {"password": "CANARY`,
		"source \"leakey\" \"x\" { password = \"CANARY\" }",
		"password = \"CANARY\"\n",
		"sauce \"leaky\" \"x\" { password = \"CANARY\" }",
		"variable \"v\" {\n  sensitive = true\n  type = number\n  default = \"CANARY\"\n}\n",
		"variable \"v\" {\n  sensitive = true\n  default = \"CANARY\"\n  validation {\n    condition = var.v == \"x\"\n    error_message = \"not ${var.v}\"\n  }\n}\n",
		"variable \"v\" {\n  sensitive = true\n  default = \"CANARY\"\n  validation {\n    condition = tonumber(var.v)\n    error_message = \"x\"\n  }\n}\n",
		"variable \"v\" {\n  sensitive = true\n  pasword = \"CANARY\"\n}\n",
		"locals {\n  password = tonumber(sensitive(\"CANARY\"))\n}\n",
		"alert \"a\" {\n  expr = \"up == ${sensitive(\"CANARY\")}\"\n}\n",
		"alert \"a\" {\n  expr = \"up\"\n  annotations = { x = sensitive(\"CANARY\") }\n}\n",
		"route { match = \"x = '${sensitive(\"CANARY\")}'\" }\n",
		"daemon { data_dir = sensitive(\"CANARY\") }\n",
		"http { listen = sensitive(\"CANARY\") }\n",
		"test \"t\" { series = sensitive(\"CANARY\") }\n",
		"source \"host\" \"h\" {}\nstore \"tsdb\" \"main\" {}\npipeline \"p\" {\n  from = [source.host[sensitive(\"CANARY\")]]\n  to = [store.tsdb.main]\n}\n",
		"notifier \"webhook\" \"x\" { url = \"CANARY\" }\n",
		"notifier \"webhook\" \"x\" { ulr = \"https://hooks/CANARY\" }\n",
		"source \"leaky\" \"x\" { password = secret(\"exec:" + failing + "\") }\nlocals { x = \"CANARY\" }\n",
		"source \"leaky\" \"x\" { password = secret(\"exec:/nowhere/program\") }\n",
		"source \"leaky\" \"x\" { password = secret(\"env:NOT_SET_ANYWHERE\") }\n",
	} {
		all = append(all, strings.ReplaceAll(text, "CANARY", next()))
	}
	return all
}
