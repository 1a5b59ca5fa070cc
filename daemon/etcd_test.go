package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/magpie-monitoring/magpie/examples/03-etcd-demo/cluster"
)

// etcd is a real cluster for a test.
type etcd struct {
	testing.TB
	*cluster.Cluster
}

// startCluster runs a cluster of three members of the etcd that is linked in.
func startCluster(t testing.TB) *etcd { return startEtcd(t, cluster.Options{}) }

func startEtcd(t testing.TB, o cluster.Options) *etcd {
	t.Helper()
	o.Dir = t.TempDir()
	if os.Getenv("MAGPIE_SOAK") != "" { // other work makes the disk slow, and that is alerted: what is in memory is as fast as it should be
		if dir, err := os.MkdirTemp("/dev/shm", "magpie-"); err == nil {
			t.Cleanup(func() { os.RemoveAll(dir) })
			o.Dir = dir
		}
	}
	if o.Program == "" && o.Set == nil {
		o.Set = map[string]any{"unsafe-no-fsync": true}
	}
	c, err := cluster.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &etcd{t, c}
}

// start runs a member that is stopped.
func (c *etcd) start(i int) {
	c.Helper()
	if err := c.Run(i); err != nil {
		c.Error(err)
	}
	if err := c.Ready(c.Context()); err != nil {
		c.Error(err)
	}
}

// mailbox is a webhook receiver that keeps what it gets.
type mailbox struct {
	*httptest.Server
	mu   sync.Mutex
	mail []webhookMessage
}

type webhookMessage struct {
	Version string
	Status  string
	Alerts  []struct {
		Status      string
		Labels      map[string]string
		Annotations map[string]string
		EndsAt      time.Time
	}
	CommonLabels map[string]string
	GroupKey     string
	Diagnoses    []struct {
		Address, Headline, Worst, URL string
		Findings                      []string
	}
	key string // Idempotency-Key: what was sent again, as its answer was not known, has the same
}

func newMailbox(t *testing.T) *mailbox {
	b := &mailbox{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var m webhookMessage
		if err := json.Unmarshal(body, &m); err != nil {
			t.Errorf("the webhook got %q: %v", body, err)
		}
		m.key = r.Header.Get("Idempotency-Key")
		b.mu.Lock()
		defer b.mu.Unlock()
		b.mail = append(b.mail, m)
	}))
	t.Cleanup(b.Close)
	return b
}

// empty forgets what came.
func (b *mailbox) empty() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mail = nil
}

func (b *mailbox) find(status, alert, instance string) *webhookMessage {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, m := range b.mail {
		for _, a := range m.Alerts {
			if a.Status == status && a.Labels["alertname"] == alert && a.Labels["instance"] == instance {
				return &b.mail[i]
			}
		}
	}
	return nil
}

// TestAnEtcdMemberDiesAndComesBack is the main job from end to end: a real cluster, the real binaries, a real receiver.
func TestAnEtcdMemberDiesAndComesBack(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	box := newMailbox(t)
	m := start(t, fmt.Sprintf(`
source "etcd" "main" {
  endpoints = ["http://%s"]
  labels    = { cluster = "test" }
  timeout   = "900ms"
}
store "tsdb" "main" {}
notifier "webhook" "box" { url = %q }
route {
  notify         = [notifier.webhook.box]
  group_by       = ["alertname"]
  group_wait     = "1s"
  group_interval = "1s"
}
alert "etcdMemberDown" {
  expr        = "up{job='etcd'} == 0"
  for         = "3s"
  labels      = { severity = "critical" }
  annotations = { summary = "{{ $labels.instance }} of {{ $labels.cluster }} is down" }
}
`, c.Instance(0), box.URL))
	m.eventually("all three members are seen", func() bool { return len(m.query(`etcd_server_has_leader{job="etcd", cluster="test"} == 1`)) == 3 })
	for i := range 3 {
		if got := m.query(fmt.Sprintf(`up{job="etcd", instance=%q} == 1`, c.Instance(i))); len(got) != 1 {
			t.Errorf("member %d: %v", i, got)
		}
	}
	// The selectors of etcd-mixin find the series.
	for _, selector := range []string{`up{job=~".*etcd.*"}`, `etcd_server_leader_changes_seen_total{job=~".*etcd.*"}`, `etcd_disk_wal_fsync_duration_seconds_bucket{job=~".*etcd.*", le="+Inf"}`, `etcd_mvcc_db_total_size_in_bytes{job=~".*etcd.*"}`} {
		if got := m.query(selector); len(got) != 3 {
			t.Errorf("%s: %d series", selector, len(got))
		}
	}

	c.Stop(2)
	dead := c.Instance(2)
	m.eventually("the alert is pending", func() bool { return m.alert("etcdMemberDown", dead) == "pending" })
	m.eventually("the alert is firing", func() bool { return m.alert("etcdMemberDown", dead) == "firing" })
	m.eventually("the webhook got it", func() bool { return box.find("firing", "etcdMemberDown", dead) != nil })
	mail := box.find("firing", "etcdMemberDown", dead)
	if a := mail.Alerts[0]; mail.Version != "4" || mail.Status != "firing" || a.Annotations["summary"] != dead+" of test is down" || a.Labels["severity"] != "critical" {
		t.Errorf("%+v", mail)
	}
	if got := m.query(`up{job="etcd"} == 1`); len(got) != 2 {
		t.Errorf("%d members are up", len(got))
	}

	c.start(2)
	m.eventually("the webhook got the end of it", func() bool { return box.find("resolved", "etcdMemberDown", dead) != nil })
	m.eventually("nothing fires any more", func() bool { return m.alert("etcdMemberDown", dead) == "" })
}

// alert is the state of an alert of an instance, "" where it is not active.
func (m *magpie) alert(name, instance string) string {
	m.Helper()
	var answer struct {
		Data struct {
			Alerts []struct {
				State  string
				Labels map[string]string
			}
		}
	}
	json.Unmarshal(m.get("/api/v1/alerts"), &answer)
	for _, a := range answer.Data.Alerts {
		if a.Labels["alertname"] == name && a.Labels["instance"] == instance {
			return a.State
		}
	}
	return ""
}

// TestAlertsSurviveARestart: what was pending or firing still is, since when it was.
func TestAlertsSurviveARestart(t *testing.T) {
	t.Parallel()
	box := newMailbox(t)
	m := start(t, fmt.Sprintf(`
source "prometheus" "gone" { targets = ["127.0.0.1:1"] }
store "tsdb" "main" {}
notifier "webhook" "box" { url = %q }
route {
  notify     = [notifier.webhook.box]
  group_wait = "100ms"
}
alert "Gone" { expr = "up == 0" }
alert "GoneForLong" {
  expr = "up == 0"
  for  = "1h"
}
`, box.URL))
	m.eventually("the one fires and the other is pending", func() bool {
		return m.alert("Gone", "127.0.0.1:1") == "firing" && m.alert("GoneForLong", "127.0.0.1:1") == "pending" && box.find("firing", "Gone", "127.0.0.1:1") != nil
	})
	since := m.activeAt("GoneForLong")
	m.cmd.Process.Kill()
	<-m.done
	m.run()
	m.eventually("they are as they were", func() bool {
		return m.alert("Gone", "127.0.0.1:1") == "firing" && m.alert("GoneForLong", "127.0.0.1:1") == "pending"
	})
	// The time that the daemon was down does not count, so the display may shift by it, and by nothing else.
	if got := m.activeAt("GoneForLong"); got.Sub(since).Abs() > 30*time.Second || got.IsZero() {
		t.Errorf("active since %s, before the restart %s", got, since)
	}
	time.Sleep(3 * time.Second) // a second message would come now
	box.mu.Lock()
	defer box.mu.Unlock()
	keys := map[string]bool{}
	for _, x := range box.mail {
		if x.CommonLabels["alertname"] == "Gone" {
			keys[x.key] = true
		}
	}
	if len(keys) != 1 || keys[""] {
		t.Errorf("%d different messages about one alert: %v", len(keys), box.mail)
	}
}

func (m *magpie) activeAt(name string) time.Time {
	m.Helper()
	var answer struct {
		Data struct {
			Alerts []struct {
				ActiveAt time.Time
				Labels   map[string]string
			}
		}
	}
	json.Unmarshal(m.get("/api/v1/alerts"), &answer)
	for _, a := range answer.Data.Alerts {
		if a.Labels["alertname"] == name {
			return a.ActiveAt
		}
	}
	return time.Time{}
}

// Watching changes nothing in the cluster: the probe that writes is a thing to be asked for.
func TestWatchingEtcdWritesNothing(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	cli, err := clientv3.New(clientv3.Config{Endpoints: c.URLs()})
	if err != nil {
		t.Fatal(err)
	}
	defer cli.Close()
	revision := func() int64 {
		r, err := cli.Get(context.Background(), "x")
		if err != nil {
			t.Fatal(err)
		}
		return r.Header.Revision
	}
	before := revision()
	m := start(t, fmt.Sprintf("source \"etcd\" \"main\" { endpoints = [\"http://%s\"] }\nstore \"tsdb\" \"main\" {}\n", c.Instance(0)))
	m.eventually("it is watched", func() bool {
		s := m.query(`min(count_over_time(up{job="etcd"}[1m]))`)
		return len(s) == 1 && number(s[0].Value[1]) > 3
	})
	if after := revision(); after != before {
		t.Errorf("the revision went from %d to %d", before, after)
	}
}

// TestBenchIsAProgramBesideThePlugins, and takes from the configuration which cluster it is about.
func TestBenchIsAProgramBesideThePlugins(t *testing.T) {
	t.Parallel()
	c := startEtcd(t, cluster.Options{Members: 1, TLS: true})
	ca, cert, key := c.Files()
	dir := t.TempDir()
	config := fmt.Sprintf("source \"etcd\" \"main\" {\n  endpoints = [%q]\n  tls {\n    ca_file   = %q\n    cert_file = %q\n    key_file  = %q\n  }\n}\n", c.URL(0), ca, cert, key)
	if err := os.WriteFile(filepath.Join(dir, "config.hcl"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	out, stderr, code := command(t, dir, "bench", "etcd", "-workload", "mixed", "-rate", "50", "-clients", "5", "-duration", "1s", "-keys", "10", "source.etcd.main")
	if code != 0 || stderr != "" || !strings.Contains(out, "mixed: 5 clients, 50 requests/s, ") || !strings.Contains(out, "put: ") {
		t.Errorf("exit %d\n%s%s", code, out, stderr)
	}
	for args, want := range map[string]string{
		"bench etcd source.etcd.mian": `the configuration has no source.etcd.mian, or nothing is in it. Did you mean "source.etcd.main"?`,
		"bench":                       "Usage: magpie bench etcd",
		"bensh":                       `there is no command "bensh". Did you mean "bench"?`,
		"../bench":                    "there is no command",
	} {
		if out, stderr, code := command(t, dir, strings.Fields(args)...); code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d\n%s%s", args, code, out, stderr)
		}
	}
	if out, _, code := command(t, dir, "help"); code != 0 || !strings.Contains(out, "\n  bench ") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if out, _, _ := command(t, dir, "plugin", "list"); strings.Contains(out, "bench") {
		t.Errorf("a command is no plugin:\n%s", out)
	}
}
