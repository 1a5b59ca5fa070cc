package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// yaml writes a route as alertmanager.yml has it.
func (r *Route) yaml(indent string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%sreceiver: %s\n%scontinue: %v\n%sgroup_by: [alertname]\n", indent, r.Notify[0], indent, r.Continue, indent)
	fmt.Fprintf(&b, "%sgroup_wait: %v\n%sgroup_interval: %v\n%srepeat_interval: %v\n", indent, r.GroupWait, indent, r.GroupInterval, indent, r.RepeatInterval)
	if len(r.Match) > 0 {
		fmt.Fprintf(&b, "%smatchers:\n", indent)
		for _, m := range r.Match {
			fmt.Fprintf(&b, "%s- %s%s%q\n", indent, m.Label, m.Op, m.Value)
		}
	}
	if len(r.Routes) > 0 {
		fmt.Fprintf(&b, "%sroutes:\n", indent)
		for _, child := range r.Routes {
			fmt.Fprintf(&b, "%s-\n%s", indent, child.yaml(indent+"  "))
		}
	}
	return b.String()
}

// randomRoute makes a tree; its receivers are numbered.
func randomRoute(r *rand.Rand, depth int, receivers *int) *Route {
	out := simple(fmt.Sprint("r", *receivers))
	out.GroupWait, out.GroupInterval = time.Second, time.Second
	*receivers++
	for range 3 * depth {
		child := randomRoute(r, depth-1, receivers)
		child.Continue = r.IntN(3) == 0
		for range 1 + r.IntN(2) {
			label := []string{"a", "b", "c"}[r.IntN(3)]
			m := sdk.Matcher{Label: label, Op: "=", Value: []string{"1", "2", ""}[r.IntN(3)]}
			switch r.IntN(4) {
			case 0:
				m.Op = "!="
			case 1:
				m = sdk.Matcher{Label: label, Op: "=~", Value: []string{"1|2", ".*", "[^1]", "1?"}[r.IntN(4)]}
			case 2:
				m = sdk.Matcher{Label: label, Op: "!~", Value: []string{"1|3", ".+", "2"}[r.IntN(3)]}
			}
			child.Match = append(child.Match, m)
		}
		out.Routes = append(out.Routes, child)
	}
	return out
}

func configOf(t *testing.T, r *Route, receivers int, webhook string) string {
	text := "route:\n" + r.yaml("  ") + "receivers:\n"
	for i := range receivers {
		text += fmt.Sprintf("- name: r%d\n  webhook_configs: [{url: '%s/r%d'}]\n", i, webhook, i)
	}
	path := filepath.Join(t.TempDir(), "alertmanager.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRoutesTakeTheAlertsThatAmtoolSaysTheyTake(t *testing.T) {
	t.Parallel()
	amtool := plugintest.Program(t, "amtool")
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 7))
		receivers := 0
		tree := randomRoute(r, 2, &receivers)
		config := configOf(t, tree, receivers, "http://127.0.0.1:1")
		root, err := compile(tree, "")
		if err != nil {
			t.Fatal(err)
		}
		for range 12 {
			labels, args := map[string]string{}, []string{"config", "routes", "test", "--config.file=" + config}
			for _, name := range []string{"a", "b", "c"} {
				if value := r.IntN(4); value > 0 {
					labels[name] = fmt.Sprint(value)
					args = append(args, fmt.Sprintf("%s=%d", name, value))
				}
			}
			out, err := exec.CommandContext(t.Context(), amtool, args...).Output()
			if err != nil {
				t.Fatal(err)
			}
			var ours []string
			for _, found := range root.find(labels) {
				ours = append(ours, found.Notify...)
			}
			if theirs := strings.TrimSpace(string(out)); theirs != strings.Join(ours, ",") {
				t.Errorf("%v: amtool says %s, we %s", labels, theirs, strings.Join(ours, ","))
			}
		}
	}
}

// webhookMessage is what Alertmanager posts, as far as we compare it.
type webhookMessage struct {
	Receiver, Status, GroupKey, ExternalURL      string
	GroupLabels, CommonLabels, CommonAnnotations map[string]string
	Alerts                                       []struct {
		Status, Fingerprint string
		Labels, Annotations map[string]string
		StartsAt            time.Time
	}
}

// alertmanager starts the real one and returns its address and the messages that it posts.
func alertmanager(t *testing.T, r *Route, receivers int) (string, <-chan string) {
	return alertmanagerWith(t, r, receivers, "")
}

// alertmanagerWith has more in its configuration than a route.
func alertmanagerWith(t *testing.T, r *Route, receivers int, more string) (string, <-chan string) {
	program := plugintest.Program(t, "prometheus-alertmanager")
	messages := make(chan string, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		var m webhookMessage
		if err := json.NewDecoder(req.Body).Decode(&m); err != nil {
			t.Error(err)
		}
		messages <- canonical(m)
	}))
	t.Cleanup(hook.Close)
	address := plugintest.FreeAddress(t)
	var log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, "--config.file="+withMore(t, configOf(t, r, receivers, hook.URL), more), "--storage.path="+t.TempDir(),
		"--cluster.listen-address=", "--web.listen-address="+address)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if resp, err := http.Get("http://" + address + "/-/ready"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return address, messages
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("alertmanager does not get ready")
		}
	}
}

// canonical is a message as one line, without what must differ.
func canonical(m webhookMessage) string {
	m.ExternalURL = ""
	for i := range m.Alerts {
		m.Alerts[i].StartsAt = m.Alerts[i].StartsAt.UTC()
	}
	slices.SortFunc(m.Alerts, func(a, b struct {
		Status, Fingerprint string
		Labels, Annotations map[string]string
		StartsAt            time.Time
	}) int {
		return strings.Compare(a.Fingerprint, b.Fingerprint)
	})
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func post(t *testing.T, address string, a Alert) {
	t.Helper()
	in := map[string]any{"labels": a.Labels, "annotations": a.Annotations, "startsAt": a.StartsAt, "endsAt": a.StartsAt.Add(time.Hour)}
	if a.Status == sdk.Resolved {
		in["endsAt"] = a.EndsAt
	}
	body, err := json.Marshal([]any{in})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post("http://"+address+"/api/v2/alerts", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", resp.Status, text)
	}
}

// Each step changes one alert and waits for the messages that follow, so that no timing matters.
func TestMessagesAreThoseOfAlertmanager(t *testing.T) {
	t.Parallel()
	tree := simple("r0")
	tree.GroupWait, tree.GroupInterval = time.Second, time.Second
	db := simple("r1")
	db.GroupWait, db.GroupInterval, db.Match = time.Second, time.Second, []sdk.Matcher{{Label: "team", Op: "=", Value: "db"}, {Label: "env", Op: "=~", Value: "prod|"}}
	tree.Routes = []*Route{db}
	address, theirs := alertmanager(t, tree, 2)

	ours := make(chan string, 100)
	n := New(Options{
		Load: func(string) ([]byte, error) { return nil, nil }, Save: func(string, []byte) error { return nil },
		Deliver: func(_ context.Context, receiver string, note sdk.Notification) (sdk.Receipt, error) {
			m := webhookMessage{
				Receiver: receiver, Status: string(note.Status), GroupKey: note.GroupKey, GroupLabels: note.GroupLabels,
				CommonLabels: note.CommonLabels, CommonAnnotations: note.CommonAnnots,
			}
			text, err := json.Marshal(note.Alerts)
			if err == nil {
				err = json.Unmarshal(text, &m.Alerts)
			}
			ours <- canonical(m)
			return sdk.Receipt{}, err
		},
	})
	defer n.Stop()
	mustRoute(t, n, tree)

	alerts := map[string]Alert{}
	for _, step := range []string{
		"+High a", "+High b", "+High c zone=x", "-High b", "+High b", "+Low a team=db", "+Low b team=db", "-Low a team=db", "-Low b team=db", "+Low a team=db",
		"-High a", "-High b", "-High c zone=x", "-Low a team=db", "+Ünï \"quoted\"=x",
	} {
		name := step[1:]
		a := alerts[name]
		if step[0] == '+' {
			a = firing(name)
			a.StartsAt = a.StartsAt.UTC().Truncate(time.Millisecond)
		} else {
			a.Status, a.EndsAt = sdk.Resolved, time.Now()
		}
		if strings.Contains(name, "quoted") {
			a.Labels = map[string]string{"alertname": "Ünï \"quoted\"\n", "x": "\\"}
		}
		alerts[name] = a
		post(t, address, a)
		n.Put([]Alert{a})
		want, got := next(t, theirs), next(t, ours)
		if want != got {
			t.Errorf("%s\nAlertmanager: %s\nours:         %s", step, want, got)
		}
	}
	if len(theirs) > 0 || len(ours) > 0 {
		t.Errorf("%d and %d messages more", len(theirs), len(ours))
	}
}

func next(t *testing.T, messages <-chan string) string {
	t.Helper()
	select {
	case m := <-messages:
		return m
	case <-time.After(time.Minute):
		t.Fatal("no message")
		return ""
	}
}
