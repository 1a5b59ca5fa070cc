package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/magpie-monitoring/magpie/examples/03-etcd-demo/cluster"
	"github.com/magpie-monitoring/magpie/examples/03-etcd-demo/demo"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// The rows of the diagnosis table, told on real clusters of the etcd that is linked in (3.7), of Debian's (3.4), and of 3.5 and 3.6 as make
// etcds builds them: each is provoked; its alert fires and nothing else that is critical, the diagnosis names the cause, and after the
// repair all of it resolves. The suite tells two of them, `make soak` all.

// etcdStory is a break, and what it takes beside to tell it.
type etcdStory struct {
	name  string
	cause string // another than the break's own
	ask   func(*telling)
	mend  func(*telling) // instead of the break's own repair
}

// telling is a story on its way.
type telling struct {
	*magpie
	c      *etcd
	box    *mailbox
	b      cluster.Break
	broken cluster.Broken
	found  *sdk.Diagnosis
}

// etcdVersions are the one that is linked in, Debian's, and in a soak those between.
func etcdVersions() []string {
	if os.Getenv("MAGPIE_SOAK") != "" {
		return []string{"3.7", "3.6", "3.5", "3.4"}
	}
	return []string{"3.7", "3.4"}
}

// etcdOf is the program of a version: Debian's, one that make etcds builds, or "" for the one that is linked in.
func etcdOf(t *testing.T, version string) string {
	t.Helper()
	switch version {
	case "3.7":
		return ""
	case "3.4":
		return plugintest.Program(t, "etcd")
	}
	path := "../bin/etcd-" + version
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: make etcds builds it", err)
	}
	return path
}

func TestWhatBreaksAnEtcdIsAlertedDiagnosedAndResolved(t *testing.T) {
	onEachEtcd(t, func(t *testing.T, version, program string) {
		stories := map[string][]etcdStory{"3.7": {{name: "stop-member"}}, "3.4": {{name: "pause-leader"}}}[version]
		if os.Getenv("MAGPIE_SOAK") != "" {
			stories = soakStories
		}
		c := startEtcd(t, cluster.Options{Program: program, Set: map[string]any{"quota-backend-bytes": 16 << 20}})
		tellOf(t, c, stories)
	})
}

// onEachEtcd runs a test on each version.
func onEachEtcd(t *testing.T, test func(t *testing.T, version, program string)) {
	t.Parallel()
	for _, version := range etcdVersions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			test(t, version, etcdOf(t, version))
		})
	}
}

// TestAnEtcdThatChecksItselfIsAlertedToo: etcd's own check of its data, which is off unless it is asked for.
func TestAnEtcdThatChecksItselfIsAlertedToo(t *testing.T) {
	onlyInSoak(t, func(t *testing.T, version, program string) {
		check := "corrupt-check-time"
		if version < "3.6" { // which is the only one to know both, and takes no two
			check = "experimental-corrupt-check-time"
		}
		c := startEtcd(t, cluster.Options{Program: program, Set: map[string]any{check: 2 * time.Second}})
		stop, err := c.Load(20) // what is refused
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
		tellOf(t, c, []etcdStory{{name: "corrupt-member", cause: "alarm CORRUPT is raised: a member's data differ from the others'", ask: func(s *telling) {
			s.eventually("the alarm fires too", func() bool {
				return len(s.query(`ALERTS{alertname="etcdAlarm", alarm="CORRUPT", alertstate="firing"}`)) == 1
			})
			s.eventually("requests fail as the alarm has it", func() bool {
				return len(s.query(`sum(increase(grpc_server_handled_total{grpc_code=~"DataLoss"}[30s])) > 0`)) == 1
			})
		}}})
	})
}

func TestACertificateThatExpiresIsAlerted(t *testing.T) {
	onlyInSoak(t, func(t *testing.T, _, program string) {
		tellOf(t, startEtcd(t, cluster.Options{Program: program, TLS: true, Members: 1}), []etcdStory{{name: "expire-certificate"}})
	})
}

func onlyInSoak(t *testing.T, tell func(t *testing.T, version, program string)) {
	if os.Getenv("MAGPIE_SOAK") == "" {
		t.Skip("this is told by make soak")
	}
	onEachEtcd(t, tell)
}

// TestAnUpgradeThatIsNotFinishedIsAlerted: one cluster goes from Debian's version to the one that is linked in by all that are between, and
// stops on each of these ways when one member is done.
func TestAnUpgradeThatIsNotFinishedIsAlerted(t *testing.T) {
	if os.Getenv("MAGPIE_SOAK") == "" {
		t.Skip("this is told by make soak")
	}
	t.Parallel()
	// 3.6 and later do not start on a log that has entries of 3.4. They are gone with the next snapshot, which a cluster in use has made long
	// before the next upgrade.
	c := startEtcd(t, cluster.Options{Program: etcdOf(t, "3.4"), Newer: []string{etcdOf(t, "3.5"), etcdOf(t, "3.6"), etcdOf(t, "3.7")}, Set: map[string]any{"snapshot-count": 20}})
	stop, err := c.Load(20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	halfway := etcdStory{name: "unfinished-upgrade", ask: comparedMeanwhile}
	tellOf(t, c, []etcdStory{halfway, halfway, halfway})
}

// comparedMeanwhile: members of two versions have the same data, and are told so. A deletion right before the compaction is what some
// versions count among the data and others do not.
func comparedMeanwhile(on *telling) {
	client, err := on.c.Client()
	if err != nil {
		on.Fatal(err)
	}
	defer client.Close()
	for i := range 10 {
		if _, err := client.Put(on.Context(), fmt.Sprint("key/", i), on.Name()); err != nil {
			on.Fatal(err)
		}
	}
	gone, err := client.Delete(on.Context(), "key/5")
	if err == nil {
		_, err = client.Compact(on.Context(), gone.Header.Revision, clientv3.WithCompactPhysical())
	}
	if err != nil {
		on.Fatal(err)
	}
	for _, written := range []string{"compacted", "written to again"} {
		since := time.Now().Unix()
		on.patiently("the data are compared, "+written, func() bool {
			return len(on.query(fmt.Sprintf(`etcd_hash_compared_timestamp_seconds > %d`, since+1))) == on.c.Len()
		})
		if odd := on.query(`etcd_hash_differs == 1`); len(odd) != 0 {
			on.Errorf("%s, the data differ: %v\n%s", written, odd, on.diagnosis())
		}
		if _, err := client.Put(on.Context(), "key/6", written); err != nil {
			on.Fatal(err)
		}
	}
}

var soakStories = []etcdStory{
	{name: "stop-member"}, {name: "lose-quorum", ask: withoutQuorum}, {name: "pause-leader"}, {name: "flap-leader"}, {name: "cut-link"}, {name: "cut-leader"},
	{name: "slow-disk"}, {name: "compact"}, {name: "corrupt-member"}, {name: "stuck-learner"}, {name: "wrong-peer-url"},
	{name: "no-permission"}, {name: "read-only"}, {name: "damage-db"}, {name: "damage-log"}, {name: "fill-quota", mend: asPrinted},
}

// tellOf watches a cluster, and breaks it in one way after another.
func tellOf(t *testing.T, c *etcd, stories []etcdStory) {
	tls := "null"
	if ca, cert, key := c.Files(); ca != "" {
		tls = fmt.Sprintf("{ ca_file = %q, cert_file = %q, key_file = %q }", ca, cert, key)
	}
	hashes := map[bool]string{true: "2s", false: "0s"}[os.Getenv("MAGPIE_SOAK") != ""]
	box := newMailbox(t)
	m := &magpie{TB: t, dir: t.TempDir()}
	m.pack(etcdPack, demo.ShortWaits)
	m.file("config.hcl", fmt.Sprintf(testConfig+`
pack "etcd" {
  source   = "./packs/etcd"
  clusters = { main = { endpoints = ["%s"], tls = %s, hash_interval = %q, data_dir = %q } }
  timeout  = "900ms"
  override "diagnoser" "etcd" "main" { watch_for = "1500ms" }
}
store "tsdb" "main" {}
notifier "webhook" "box" { url = %q }
route {
  notify         = [notifier.webhook.box]
  group_by       = ["alertname"]
  group_wait     = "1s"
  group_interval = "1s"
}
`, strings.Join(c.URLs(), `", "`), tls, hashes, c.Dir(c.Len()-1), box.URL))
	m.run()
	m.endWithTheTest()
	for _, s := range stories {
		if t.Failed() {
			return // what is still broken would be told of again
		}
		t.Run(s.name, func(t *testing.T) {
			whole := m.TB
			m.TB = t // what fails, fails this story
			defer func() { m.TB = whole }()
			s.tell(&telling{magpie: m, c: &etcd{t, c.Cluster}, box: box})
		})
	}
}

func (s etcdStory) tell(on *telling) {
	n := on.c.Len()
	on.eventually("all members are seen", func() bool { return len(on.query(`etcd_status_has_leader{cluster="main"} == 1`)) == n })
	on.patiently("nothing fires", on.quiet)
	var err error
	if on.b, err = cluster.Named(s.name); err != nil {
		on.Fatal(err)
	}
	on.box.empty() // of the story before, which may have been of the same alert
	began := time.Now()
	if on.broken, err = on.b.Do(on.Context(), on.c.Cluster); err != nil {
		on.Fatal(err)
	}
	if s.cause == "" {
		s.cause = on.broken.Cause
	}
	on.patiently(on.b.Alert+" fires, and the webhook is told", func() bool {
		return on.alert(on.b.Alert, on.broken.Instance) == "firing" && on.box.find("firing", on.b.Alert, on.broken.Instance) != nil
	})
	fired := time.Since(began)
	if s.name == "stop-member" || s.name == "unfinished-upgrade" {
		d := on.box.find("firing", on.b.Alert, on.broken.Instance).Diagnoses
		if len(d) != 1 || !strings.Contains(strings.Join(d[0].Findings, "\n"), s.cause) {
			on.Errorf("the notification's diagnosis: %+v", d)
		}
	}
	for range 3 { // a leader flaps now and then: not each look sees it
		if on.diagnosis(); on.finding(s.cause) != nil {
			break
		}
	}
	if on.finding(s.cause) == nil {
		on.Errorf("the diagnosis does not say %q", s.cause)
	}
	if s.ask != nil {
		s.ask(on)
	}
	on.nothingElseCritical()
	if s.mend != nil {
		s.mend(on)
	} else if err := on.broken.Repair(context.Background()); err != nil {
		on.Fatal(err)
	}
	began = time.Now()
	on.patiently("it is resolved, and the webhook is told", func() bool {
		return on.alert(on.b.Alert, on.broken.Instance) == "" && on.box.find("resolved", on.b.Alert, on.broken.Instance) != nil
	})
	on.Logf("%s fired after %s and resolved after %s", on.b.Alert, fired.Round(100*time.Millisecond), time.Since(began).Round(100*time.Millisecond))
	for _, f := range on.found.Findings {
		on.Logf("found, %s: %s", f.Severity, f.Title)
	}
}

// quiet reports whether no alert fires but warnings of speed: other work on this machine makes members slow, too.
func (on *telling) quiet() bool {
	return len(on.query(`ALERTS{alertstate="firing"} unless ALERTS{severity="warning", alertname=~"`+demo.OfSpeed+`"}`)) == 0
}

// patiently waits longer than eventually does: certificates are looked at every five minutes.
func (on *telling) patiently(what string, condition func() bool) {
	on.Helper()
	for deadline := time.Now().Add(6 * time.Minute); !condition(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) || on.Context().Err() != nil {
			on.Fatalf("not within six minutes: %s\nfiring: %v\n%s", what, on.query(`ALERTS`), on.diagnosis())
		}
	}
}

// diagnosis asks what is wrong, and lists what is found.
func (on *telling) diagnosis() (titles string) {
	on.Helper()
	said, stderr, _ := on.cli("diagnose", `pack.etcd.diagnoser.etcd.main["main"]`, "-json")
	on.found = &sdk.Diagnosis{}
	if err := json.Unmarshal([]byte(said), on.found); err != nil {
		on.Fatalf("%v\n%s%s", err, said, stderr)
	}
	for _, f := range on.found.Findings {
		titles += fmt.Sprintf("%s: %s\n", f.Severity, f.Title)
	}
	return titles
}

func (on *telling) finding(cause string) *sdk.Finding {
	for i, f := range on.found.Findings {
		if strings.HasPrefix(f.Title, cause) {
			return &on.found.Findings[i]
		}
	}
	return nil
}

func (on *telling) nothingElseCritical() {
	on.Helper()
	for _, a := range on.query(`ALERTS{alertstate="firing", severity="critical"}`) {
		if name := a.Metric["alertname"]; !on.b.IsBeside(name) {
			on.Errorf("%s fires beside it: %v", name, a.Metric)
		}
	}
}

// withoutQuorum: what still answers is collected, no poll takes longer than its timeout, and nobody calls Alarm.
func withoutQuorum(on *telling) {
	up := slices.IndexFunc([]int{0, 1, 2}, on.c.Running)
	calls := fmt.Sprintf(`sum(grpc_server_started_total{grpc_method="Alarm", instance=%q}) or vector(0)`, on.c.Instance(up))
	before := on.value(calls)
	on.eventually("what answers is collected on", func() bool {
		return len(on.query(fmt.Sprintf(`changes(process_cpu_seconds_total{instance=%q}[10s]) > 2 and up == 1`, on.c.Instance(up)))) == 1
	})
	if after := on.value(calls); after != before {
		on.Errorf("the Alarm call was made: %s times, and %s before", after, before)
	}
	if slow := on.query(`max_over_time(scrape_duration_seconds{job="etcd"}[30s]) > 0.9`); len(slow) != 0 {
		on.Errorf("polls took longer than their timeout: %v", slow)
	}
}

// asPrinted does what the diagnosis prints, with Debian's etcdctl.
func asPrinted(on *telling) {
	full := on.finding(on.broken.Cause)
	if full == nil {
		on.Fatal("there is nothing to do")
	}
	for _, next := range full.Next {
		if !next.Changes || !strings.HasPrefix(next.Command, "etcdctl ") {
			continue
		}
		shell := exec.Command("sh", "-c", next.Command)
		shell.Env = append(os.Environ(), "ETCDCTL_API=3")
		if text, err := shell.CombinedOutput(); err != nil {
			on.Errorf("%s: %v\n%s", next.Command, err, text)
		} else {
			on.Logf("$ %s\n%s", next.Command, text)
		}
	}
	if client, err := on.c.Client(); err != nil {
		on.Error(err)
	} else {
		defer client.Close()
		if _, err := client.Put(on.Context(), "after", "the repair"); err != nil {
			on.Errorf("the steps do not help: %v", err)
		}
	}
}

// TestTheDemoReplaysAScript, from the cluster that it starts to the clean-up, as make demo-etcd runs it.
func TestTheDemoReplaysAScript(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var out bytes.Buffer
	p := &exec.Cmd{Path: self, Stdout: &out, Stderr: &out, Args: []string{"etcd-demo", "-magpie", magpieBinary(t), "-examples", "../examples", "-listen", "127.0.0.1:0", "-dir", dir,
		"-script", "members; stop-member; wait etcdMembersDown; diagnose; repair; wait resolved etcdMembersDown; alerts; quit; nothing more"}}
	if err := p.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	said := out.String()
	for _, line := range []string{`(?m)^m\d  http://\S+  leads$`, "(?m)^\\S+  it is broken: etcdMembersDown will fire$", `(?m)^\S+  FIRING    etcdMembersDown \(warning\): Member \S+ of etcd demo does not answer$`,
		`(?m)^WARNING   member m\d \(\S+\) does not answer: connection refused$`, "(?m)^\\S+  repaired: stop-member$", "(?m)^\\S+  resolved  etcdMembersDown"} {
		if !regexp.MustCompile(line).MatchString(said) {
			t.Errorf("it does not say %s\n%s", line, said)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
}
