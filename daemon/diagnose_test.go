package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// ---- A diagnoser that finds what it is configured to find.

type doctorConfig struct {
	Finds string `hcl:"finds,optional" doc:"Title of a critical finding."`
	Fails string `hcl:"fails,optional" doc:"Why it cannot look at everything."`
}

type doctor struct {
	cfg  *doctorConfig
	host sdk.Host
}

func openDoctor(_ context.Context, cfg *doctorConfig, host sdk.Host) (*doctor, error) {
	return &doctor{cfg, host}, nil
}

func (d *doctor) Diagnose(ctx context.Context, q sdk.Question, r *sdk.Report) error {
	r.Progress("looking")
	result, err := d.host.Query(ctx, sdk.Query{Expr: "up == 0", Start: time.Now()})
	if err == nil {
		r.Checked("who is down", result.Series[0].Labels.Get("instance"), nil)
	}
	_, err = d.host.Query(ctx, sdk.Query{Expr: "up ==", Start: time.Now()})
	r.Checked("what cannot be asked", "", err)
	r.Checked("the patient", "is there", nil)
	r.Checked("the pulse", "", errors.New("too quick"))
	r.Find(sdk.Finding{Severity: sdk.Info, Title: "asked"})
	if d.cfg.Finds != "" {
		r.Find(sdk.Finding{
			Severity: sdk.Critical, Title: d.cfg.Finds, Text: "For a reason.",
			Evidence: []sdk.Evidence{{Where: "10.0.0.1", What: "temperature", Value: "39.5"}},
			Next:     []sdk.NextStep{{Text: "Look again", Command: "look --again"}, {Text: "Operate", Command: "cut", Changes: true}},
		})
	}
	if d.cfg.Fails != "" {
		return errors.New(d.cfg.Fails)
	}
	return nil
}

// ServeHTTP says what it finds.
func (d *doctor) ServeHTTP(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, d.cfg.Finds) }

// doctors is a directory with the plugin.
func doctors(t *testing.T) string {
	t.Helper()
	plugins := t.TempDir()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(plugins, "doctor"), append(self, "doctor"...), 0o700); err != nil {
		t.Fatal(err)
	}
	return plugins
}

func TestAPluginsPageAnswersWhileItIsReplaced(t *testing.T) {
	t.Parallel()
	configured := func(n int) string { return fmt.Sprintf(`diagnoser "doctor" "a" { finds = "finding %d" }`, n) }
	m := start(t, configured(0), "-plugin-dir", doctors(t))
	page := m.url + "/plugins/diagnoser.doctor.a/"
	stop, asked := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { asked <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			r, err := patient.Get(page)
			if err != nil {
				t.Error(err)
				return
			}
			text, err := io.ReadAll(r.Body)
			r.Body.Close()
			if err != nil || r.StatusCode != http.StatusOK || !strings.HasPrefix(string(text), "finding ") {
				t.Errorf("after %d answers: %s, %q, %v", n, r.Status, text, err)
				return
			}
			n++
		}
	}()
	for i := range 20 {
		m.write(configured(i + 1))
		if out, said, code := m.cli("apply", "-yes"); code != 0 {
			t.Fatalf("exit %d\n%s%s", code, out, said)
		}
	}
	close(stop)
	if n := <-asked; n < 20 {
		t.Errorf("only %d answers", n)
	}
	if got := string(m.get("/plugins/diagnoser.doctor.a/")); got != "finding 20" {
		t.Errorf("in the end %q", got)
	}
}

func TestADiagnosisIsAskedForByPeopleAndByAlerts(t *testing.T) {
	t.Parallel()
	plugins := doctors(t)
	box := newMailbox(t)
	ours := filepath.Join(filepath.Dir(magpieBinary(t)), "plugins")
	m := start(t, fmt.Sprintf(`
source "prometheus" "gone" { targets = ["127.0.0.1:1"] }
store "tsdb" "main" {}
diagnoser "doctor" "a" { finds = "a <fever>" }
diagnoser "doctor" "b" {
  fails = "no light"
  match = "job = 'gone', instance =~ '127.*'"
}
diagnoser "doctor" "elsewhere" { match = "job = 'other'" }
notifier "webhook" "box" { url = %q }
route {
  notify     = [notifier.webhook.box]
  group_wait = "100ms"
}
alert "Gone" {
  expr     = "up == 0"
  diagnose = [diagnoser.doctor]
}
`, box.URL), "-plugin-dir", ours, "-plugin-dir", plugins)

	var note *webhookMessage
	m.eventually("the webhook is told of the alert", func() bool {
		note = box.find("firing", "Gone", "127.0.0.1:1")
		return note != nil
	})
	if len(note.Diagnoses) != 2 {
		t.Fatalf("the notification has %d diagnoses, and two of three match it", len(note.Diagnoses))
	}
	a, b := note.Diagnoses[0], note.Diagnoses[1]
	if a.Address != "diagnoser.doctor.a" || a.Headline != "1 critical, 1 info" || a.Worst != "critical" || len(a.Findings) != 2 || a.Findings[0] != "critical: a <fever>" {
		t.Errorf("%+v", a)
	}
	if b.Headline != "1 info; not complete: no light" {
		t.Errorf("%+v", b)
	}
	for form, want := range map[string]string{"": "a &lt;fever&gt;</h2>", ".md": "## critical: a &lt;fever>", ".txt": "CRITICAL  a <fever>", ".json": `"title":"a \u003cfever\u003e"`} {
		_, path, _ := strings.Cut(a.URL, "/reports/") // the port of the address is not known before the daemon listens
		r, err := http.Get(m.url + "/reports/" + path + form)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != http.StatusOK || !strings.Contains(string(text), want) || !strings.Contains(string(text), "Gone") {
			t.Errorf("%s%s: %s does not say %s\n%s", a.URL, form, r.Status, want, text)
		}
	}

	out, said, code := m.cli("diagnose", "doctor.a")
	for _, want := range []string{"diagnoser.doctor.a: 1 critical, 1 info", "10.0.0.1  temperature  39.5", "2. Operate (this changes something)", "$ cut", "not known: too quick", "who is down           127.0.0.1:1", "what cannot be asked  not known: 5: unexpected end of input"} {
		if !strings.Contains(out, want) {
			t.Errorf("exit %d: it does not say %s\n%s%s", code, want, out, said)
		}
	}
	if code != 0 || !strings.Contains(said, "looking\n") || strings.Contains(out, "\x1b") {
		t.Errorf("exit %d\n%s", code, said)
	}
	if out, _, code := m.cli("diagnose", "-json", "doctor.b"); code != 1 || !json.Valid([]byte(out)) || !strings.Contains(out, "no light") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if said := m.asThePageAsks("diagnoser.doctor.a"); len(said) < 3 || said[0]["progress"] != "looking" || said[len(said)-2]["id"] == nil || len(said[len(said)-1]) != 0 {
		t.Errorf("%v", said)
	}
	out, _, _ = m.cli("diagnose")
	if n := strings.Count(out, "\n"); n != 6 || !strings.Contains(out, "alert Gone") || !strings.Contains(out, "a person") {
		t.Errorf("five reports are kept:\n%s", out)
	}
	id := strings.Fields(strings.Split(out, "\n")[2]) // that of doctor.b: the page asked after it
	if out, _, code := m.cli("diagnose", "-format", "markdown", "-report", id[len(id)-1]); code != 1 || !strings.HasPrefix(out, "# diagnoser.doctor.b: 1 info; not complete: no light\n") {
		t.Errorf("exit %d\n%s", code, out)
	}
	for args, want := range map[string]string{"doctor.c": "diagnoser.doctor.c is not running", "-report=x": "no such report", "-format=pdf a": "text, markdown or html"} {
		if _, said, code := m.cli(append([]string{"diagnose"}, strings.Fields(args)...)...); code != 1 || !strings.Contains(said, want) {
			t.Errorf("%s: exit %d, %s", args, code, said)
		}
	}
}

// asThePageAsks asks a diagnoser in Connect's JSON: a message is a byte of flags, four of its length, and itself; the last has the
// flag 2.
func (m *magpie) asThePageAsks(address string) (said []map[string]any) {
	m.Helper()
	envelope := func(message string) io.Reader {
		return strings.NewReader(string(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))) + message)
	}
	r, err := http.Post(m.url+"/api/magpie/v1/Diagnose", "application/connect+json", envelope(fmt.Sprintf(`{"address":%q}`, address)))
	if err != nil {
		m.Fatal(err)
	}
	defer r.Body.Close()
	for last := false; !last; {
		head := make([]byte, 5)
		if _, err := io.ReadFull(r.Body, head); err != nil {
			m.Fatalf("%s: %v after %v", r.Status, err, said)
		}
		message, one := make([]byte, binary.BigEndian.Uint32(head[1:])), map[string]any{}
		if _, err := io.ReadFull(r.Body, message); err != nil || json.Unmarshal(message, &one) != nil {
			m.Fatalf("%q: %v", message, err)
		}
		said, last = append(said, one), head[0]&2 != 0
	}
	return said
}
