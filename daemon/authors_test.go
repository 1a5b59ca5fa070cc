package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/magpie-monitoring/magpie/sdk/plugintest"
	"github.com/magpie-monitoring/magpie/sdk/verify"
)

// Plugins in Go, made outside of the tree (examples/plugins), each a module of its own: built as their authors do it, found and
// run by a daemon as any other. Those in Python are in python_test.go.

var goExamples = []string{"hello_go", "certs", "graphite", "mail"}

// builtExample builds an example's binary in a directory of plugins, and runs the tests that its author has for it.
func builtExample(t *testing.T, name, plugins string) *verify.Found {
	t.Helper()
	f, err := verify.Find(filepath.Join("../examples/plugins", name), "", nil)
	if err == nil {
		err = f.Build(t.Context(), plugins)
	}
	if err != nil {
		t.Fatal(err)
	}
	if name == "hello_go" {
		return f // its only test is made below
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-timeout", "5m", "-vet", "off", "-skip", "KeepsTheContract", ".") // make check does the one, and the other is below
	cmd.Dir = f.Dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("the tests of %s: %v\n%s", name, err, out)
	}
	return f
}

func TestPluginsOfAuthorsOutsideKeepTheContractAndWorkTogether(t *testing.T) {
	t.Parallel()
	magpieBinary(t)
	plugins := t.TempDir()
	var verifying sync.WaitGroup
	for _, name := range goExamples {
		f := builtExample(t, name, plugins)
		verifying.Go(func() { keepsTheContract(t, name, f.Binary, f) })
	}
	verifying.Wait() // a daemon beside four of them would wait for its turn

	relay, samples := startRelay(t)
	server, mails := startMail(t)
	dir := t.TempDir()
	in(t, dir, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "shop.key", "-out", "shop.pem", "-days", "7", "-subj", "/CN=shop")
	config := fmt.Sprintf(`
store "tsdb" "main" {}
source "hello_go" "crowd" { path = %[1]q }
source "certs" "here" { files = ["%[1]s/*.pem"] }
sink "graphite" "legacy" { address = %[2]q }
notifier "mail" "oncall" {
  server   = %[3]q
  security = "none"
  from     = "Magpie <magpie@example.org>"
  to       = ["oncall@example.org"]
}
route {
  notify     = [notifier.mail.oncall]
  group_wait = "0s"
}
pipeline "all" {
  from = [source.certs.here, source.hello_go.crowd]
  to   = [store.tsdb.main, sink.graphite.legacy]
}
alert "CertificateEndsSoon" {
  expr        = "certificate_not_after_timestamp_seconds - time() < 14 * 86400"
  annotations = { summary = "{{ $labels.subject }} ends soon" }
}
`, dir, relay, server)
	m := start(t, config, "-plugin-dir", filepath.Join(filepath.Dir(magpieBinary(t)), "plugins"), "-plugin-dir", plugins)

	m.value("hello_directory_entries == 2")
	m.value(fmt.Sprintf(`certificate_not_after_timestamp_seconds{job="certs", subject="CN=shop", path="%s/shop.pem"} - time() < 7 * 86400 + 60`, dir))
	m.eventually("Graphite's relay has it, too", func() bool {
		text, _ := os.ReadFile(samples)
		return strings.Contains(string(text), "hello_directory_entries;instance=") && strings.Contains(string(text), ";job=crowd 2 ")
	})
	m.eventually("the alert comes by mail", func() bool { return len(mails) > 0 })
	if mail := <-mails; !strings.Contains(mail, "Subject: [FIRING:1] CertificateEndsSoon") || !strings.Contains(mail, "CN=3Dshop ends soon") {
		t.Errorf("%s", mail)
	}
	servesItsPage(m, config, dir)
}

// servesItsPage asks the page of source.certs.here, which a plugin serves that the daemon knows nothing of: under the daemon's address
// and by its rules, whatever becomes of the plugin's process and of the configuration.
func servesItsPage(m *magpie, config, dir string) {
	m.Helper()
	ask := func(method string, change func(*http.Request)) (*http.Response, string) {
		m.Helper()
		r, err := http.NewRequestWithContext(m.Context(), method, m.url+"/plugins/source.certs.here/", nil)
		if err != nil {
			m.Fatal(err)
		}
		change(r)
		answer, err := patient.Do(r)
		if err != nil {
			m.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			m.Fatal(err)
		}
		return answer, string(text)
	}
	lists := func(subject string) func() bool {
		return func() bool {
			answer, text := ask("GET", func(*http.Request) {})
			return answer.StatusCode == http.StatusOK && strings.Contains(text, `"subject":"`+subject+`"`)
		}
	}
	m.eventually("its page lists the certificate", lists("CN=shop"))
	if answer, _ := ask("GET", func(*http.Request) {}); !strings.HasPrefix(answer.Header.Get("Content-Security-Policy"), "sandbox ") || answer.Header.Get("X-Content-Type-Options") != "nosniff" {
		m.Errorf("it is not sent as content that is not trusted: %v", answer.Header)
	}
	for _, x := range []struct {
		method string
		change func(*http.Request)
		want   int
		says   string
	}{
		{"GET", func(r *http.Request) { r.Host = "evil.example" }, http.StatusMisdirectedRequest, "evil.example"},
		{"POST", func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }, http.StatusForbidden, "refused"},
		{"POST", func(*http.Request) {}, http.StatusMethodNotAllowed, "this only lists"}, // says the plugin
	} {
		if answer, text := ask(x.method, x.change); answer.StatusCode != x.want || !strings.Contains(text, x.says) {
			m.Errorf("%s: %s, want %d\n%s", x.method, answer.Status, x.want, text)
		}
	}

	before := m.pids()["certs"]
	syscall.Kill(before, syscall.SIGKILL)
	m.eventually("it is there again after its process was killed", func() bool {
		now := m.pids()["certs"]
		return now != before && now != 0 && lists("CN=shop")()
	})

	more := m.TempDir()
	in(m, more, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key", "-out", "cert.pem", "-days", "70", "-subj", "/CN=more")
	m.write(strings.Replace(config, `files = [`, fmt.Sprintf(`files = ["%s/cert.pem", `, more), 1))
	m.cmd.Process.Signal(syscall.SIGHUP)
	m.eventually("it shows what the block says by now", func() bool { return lists("CN=more")() && lists("CN=shop")() })
}

// startRelay starts a Graphite relay that writes what it is sent into a file.
func startRelay(t *testing.T) (address, file string) {
	t.Helper()
	address, dir := plugintest.FreeAddress(t), t.TempDir()
	file = filepath.Join(dir, "samples")
	config := fmt.Sprintf("listen type linemode %s proto tcp;\ncluster kept file %s;\nmatch * send to kept stop;\n", address, file)
	if err := os.WriteFile(filepath.Join(dir, "relay.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(plugintest.Program(t, "carbon-c-relay"), "-s", "-f", filepath.Join(dir, "relay.conf"), "-l", filepath.Join(dir, "log"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return address, file // the plugin tries until it listens
}

// startMail starts an SMTP server that takes everything.
func startMail(t *testing.T) (address string, mails chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mails = make(chan string, 100)
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return letterBox(mails), nil }))
	go server.Serve(l)
	t.Cleanup(func() { server.Shutdown(context.WithoutCancel(t.Context())) })
	return l.Addr().String(), mails
}

// letterBox is a session of an SMTP server.
type letterBox chan string

func (letterBox) Mail(string, *smtp.MailOptions) error { return nil }
func (letterBox) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (letterBox) Reset()                               {}
func (letterBox) Logout() error                        { return nil }

func (b letterBox) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	b <- string(text)
	return err
}

// The smallest plugins are what an author sees first.
func TestTheSmallestPluginsAreSmall(t *testing.T) {
	for pattern, most := range map[string]int{"../examples/plugins/hello_go/*.go": 40, "../examples/plugins/hello_python/*.py": 20} {
		files, _ := filepath.Glob(pattern)
		n := 0
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") && !strings.HasPrefix(line, "#") {
					n++
				}
			}
		}
		if n == 0 || n > most {
			t.Errorf("%s: %d lines that are neither blank nor a comment, and %d are allowed", pattern, n, most)
		}
	}
}
