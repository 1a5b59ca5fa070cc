package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
	"github.com/magpie-monitoring/magpie/sdk/report"
)

var doctor = sdk.Diagnoser(openDiagnoser)

// diagnose asks a diagnoser of the cluster.
func (c *cluster) diagnose(t *testing.T, more plugintest.Config) *sdk.Diagnosis {
	t.Helper()
	cfg := plugintest.Config{"endpoints": c.urls(), "member_timeout": 5 * time.Second, "watch_for": 300 * time.Millisecond}
	for name, v := range more {
		cfg[name] = v
	}
	p := plugintest.Open(t, doctor, cfg)
	d, err := p.Diagnose(t.Context(), p.Number, sdk.Question{}, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	if d.Problem != "" {
		t.Errorf("the diagnosis is not complete: %s", d.Problem)
	}
	return d
}

// finding is the one whose title begins so.
func finding(t *testing.T, d *sdk.Diagnosis, severity sdk.Severity, title string) *sdk.Finding {
	t.Helper()
	for i, f := range d.Findings {
		if strings.HasPrefix(f.Title, title) {
			if f.Severity != severity {
				t.Errorf("%q is %s, want %s", f.Title, f.Severity, severity)
			}
			return &d.Findings[i]
		}
	}
	t.Fatalf("there is no finding %q\n%s", title, text(d))
	return nil
}

// others asserts that nothing else is as bad as a severity. What a busy machine does to disks, and an election to requests, is
// left out; and of embedded members what is counted, for all that are in the test's process count together.
func others(t *testing.T, d *sdk.Diagnosis, worst sdk.Severity, titles ...string) {
	t.Helper()
	titles = append(titles, "the leader changes", "proposals fail at", "requests fail with Unavailable")
	if slices.ContainsFunc(d.Checks, func(c sdk.Check) bool { return strings.HasPrefix(c.Outcome, "etcd 3.7") }) {
		titles = append(titles, "requests fail with", "clients ask for revisions", "the database reaches its quota")
	}
	for _, f := range d.Findings {
		known := slices.ContainsFunc(titles, func(title string) bool { return strings.HasPrefix(f.Title, title) })
		if known || strings.Contains(f.Title, " is slow in ") {
			continue
		}
		if f.Severity == sdk.Critical || worst == sdk.Warning && f.Severity == sdk.Warning {
			t.Errorf("%s: %s\n%s", f.Severity, f.Title, text(d))
		}
	}
}

func text(d *sdk.Diagnosis) string {
	var b strings.Builder
	report.Text(&b, d, false)
	return b.String()
}

// says asserts that evidence and steps of a finding contain texts.
func says(t *testing.T, f *sdk.Finding, wants ...string) {
	t.Helper()
	all := f.Text
	for _, e := range f.Evidence {
		if e.Time.IsZero() {
			t.Errorf("evidence without a time: %+v", e)
		}
		all += "\n" + e.Where + ": " + e.What + ": " + e.Value
	}
	for _, n := range f.Next {
		all += fmt.Sprintf("\n%s [%v]\n%s", n.Text, n.Changes, n.Command)
	}
	for _, want := range wants {
		if !strings.Contains(all, want) {
			t.Errorf("%q does not say %q:\n%s", f.Title, want, all)
		}
	}
}

func checked(d *sdk.Diagnosis, name string) string {
	for _, c := range d.Checks {
		if c.Name == name {
			return c.Outcome + c.Trouble
		}
	}
	return "not looked at"
}

func TestWhatIsWrongIsFoundOn37(t *testing.T) {
	t.Parallel()
	rows(t, start(t, 3, func(m *embed.Config) { m.QuotaBackendBytes = 4 << 20 }))
}

func TestWhatIsWrongIsFoundOnOthers(t *testing.T) {
	t.Parallel()
	onOthers(t, func(t *testing.T, binary string) {
		rows(t, startOn(t, 3, binary, func(m *embed.Config) { m.QuotaBackendBytes = 4 << 20 }))
	})
}

// rows breaks a cluster in one way after another, and asks each time what is wrong.
func rows(t *testing.T, c *cluster) {
	admin := c.client(0, "", "")
	for _, key := range []string{"/registry/pods/a", "/registry/pods/b", "/registry/nodes/a", "config.main"} {
		if _, err := admin.Put(within(t), key, "value of "+key); err != nil {
			t.Fatal(err)
		}
	}
	steps := []struct {
		name string
		do   func(*testing.T, *cluster, *clientv3.Client)
	}{
		{"nothing", nothing}, {"compacted revisions", compactedRevisions}, {"a wrong peer URL", wrongPeerURL}, {"a learner that never starts", stuckLearner},
		{"a corrupt member", corruptMember}, {"a paused leader", pausedLeader}, {"a stopped member and a lost quorum", lostQuorum}, {"a full database", fullDatabase},
		{"a user without the role root", userWithoutRole},
	}
	for _, s := range steps {
		if !t.Run(s.name, func(t *testing.T) { s.do(t, c, admin) }) {
			return
		}
	}
}

func nothing(t *testing.T, c *cluster, _ *clientv3.Client) {
	collected(t, c)
	d := c.diagnose(t, nil)
	others(t, d, sdk.Warning)
	for check, want := range map[string]string{
		"member list": "3 members", "hashes of the data": "3 of 3 members compared", "certificates": "none", "requests by code and method": "on 3 of 3 pages, twice on 3",
		"linearizable read at m1 (" + c.host(1) + ")": "answered", "/health of m2 (" + c.host(2) + ")": "healthy",
	} {
		if got := checked(d, check); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", check, got, want)
		}
	}
}

func compactedRevisions(t *testing.T, c *cluster, admin *clientv3.Client) {
	r, err := admin.Put(within(t), "config.main", "newer")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Compact(within(t), r.Header.Revision); err != nil {
		t.Fatal(err)
	}
	stop := make(chan bool)
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				admin.Get(t.Context(), "config.main", clientv3.WithRev(2))
			}
		}
	})
	d := c.diagnose(t, nil)
	close(stop)
	reading.Wait()
	f := finding(t, d, sdk.Warning, "clients ask for revisions that are compacted: ")
	compacted := c.host(0) + ": compacted revision: "
	if c.binary != "" { // pages of embedded members tell that of whichever cluster of the process came last
		compacted += fmt.Sprintf("%d, and the present one is %d", r.Header.Revision, r.Header.Revision)
	}
	says(t, f, "all members: OutOfRange while we looked: Range ", compacted, "--auto-compaction-retention")
	others(t, d, sdk.Warning, f.Title)
}

func wrongPeerURL(t *testing.T, c *cluster, admin *clientv3.Client) {
	wrong, id := freeURL(t), c.id(t, 2)
	if _, err := admin.MemberUpdate(within(t), id, []string{wrong.String()}); err != nil {
		t.Fatal(err)
	}
	c.allKnow(t, wrong.String())
	d := c.diagnose(t, nil)
	f := finding(t, d, sdk.Warning, "the peer URL of m2 ("+c.host(2)+") is wrong or cannot be reached: "+wrong.String())
	says(t, f, "peer URL "+wrong.String()+": ", "connection refused", "member update "+hex(id)+" --peer-urls=RIGHT_URL")
	others(t, d, sdk.Warning, f.Title, "member m2", "follower m2")
	right := c.configs[2].AdvertisePeerUrls[0].String()
	if _, err := admin.MemberUpdate(within(t), id, []string{right}); err != nil {
		t.Fatal(err)
	}
	c.allKnow(t, right)
}

func (c *cluster) id(t *testing.T, i int) uint64 {
	t.Helper()
	r, err := c.client(i, "", "").Status(within(t), c.url(i))
	if err != nil {
		t.Fatal(err)
	}
	return r.Header.MemberId
}

// allKnow waits until every member lists a peer URL: an older one answers with the list as far as it has followed.
func (c *cluster) allKnow(t *testing.T, url string) {
	t.Helper()
	for i := range c.configs {
		client := c.client(i, "", "")
		eventually(t, "a member knows the peer URL "+url, func() error {
			list, err := client.MemberList(within(t))
			if text := fmt.Sprint(list); err == nil && !strings.Contains(text, url) {
				err = errors.New(text)
			}
			return err
		})
	}
}

func stuckLearner(t *testing.T, c *cluster, admin *clientv3.Client) {
	nowhere := freeURL(t)
	var added *clientv3.MemberAddResponse
	eventually(t, "a learner can be added", func() (err error) {
		added, err = admin.MemberAddAsLearner(within(t), []string{nowhere.String()})
		return err
	})
	c.allKnow(t, nowhere.String())
	d := c.diagnose(t, nil)
	f := finding(t, d, sdk.Warning, "a learner was added and has never started: peer URL "+nowhere.Host)
	says(t, f, "member id: "+hex(added.Member.ID), "connection refused", "member remove "+hex(added.Member.ID))
	others(t, d, sdk.Warning, f.Title)
	if _, err := admin.MemberRemove(within(t), added.Member.ID); err != nil {
		t.Fatal(err)
	}
}

// eventually tries until there is no error.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after a minute not: %s: %v", what, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// corruptMember changes a letter of a value in the database of a stopped member, as a bad disk does, and later back.
func corruptMember(t *testing.T, c *cluster, _ *clientv3.Client) {
	c.rot(t, 1)
	d := c.diagnose(t, nil)
	f := finding(t, d, sdk.Critical, "the data of m1 ("+c.host(1)+") differ from those of the majority")
	says(t, f, c.host(0)+": hash: ", c.host(1)+": hash: ", c.host(2)+": hash: ", "member remove "+hex(c.id(t, 1)), "member add m1 --peer-urls="+c.configs[1].AdvertisePeerUrls[0].String(), "snapshot save")
	others(t, d, sdk.Warning, f.Title)
	differing(t, c, 1)
	tool := map[bool]string{true: "etcdctl snapshot status", false: "etcdutl snapshot status"}[c.runs34(t)]
	says(t, f, tool)
	if said := checked(c.diagnose(t, plugintest.Config{"hash_up_to": sdk.Bytes(1 << 10)}), "hashes of the data"); !strings.Contains(said, `more than hash_up_to = "1KiB"`) {
		t.Errorf("of a database that is too large: %s", said)
	}
	c.rot(t, 1)
	if said := checked(c.diagnose(t, nil), "hashes of the data"); !strings.Contains(said, "all equal") {
		t.Errorf("after repair: %s", said)
	}
}

// rot flips a bit of the last value of member i, while it is stopped. Twice it is as before.
func (c *cluster) rot(t *testing.T, i int) {
	t.Helper()
	c.stop(i)
	db, err := bbolt.Open(filepath.Join(c.configs[i].Dir, "member", "snap", "db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("key"))
		cursor := b.Cursor()
		for k, v := cursor.Last(); k != nil; k, v = cursor.Prev() {
			if at := strings.Index(strings.ToLower(string(v)), "newer"); at >= 0 {
				changed := slices.Clone(v)
				changed[at] ^= 0x20
				return b.Put(slices.Clone(k), changed)
			}
		}
		return errors.New("the value is not there")
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	c.run(i)
	c.ready()
	c.agrees(t, i)
}

func pausedLeader(t *testing.T, c *cluster, admin *clientv3.Client) {
	if c.binary == "" {
		t.Skip("an embedded etcd has no process to stop; on others it is done")
	}
	r, err := admin.Status(within(t), c.url(0))
	if err != nil {
		t.Fatal(err)
	}
	leader := slices.IndexFunc([]int{0, 1, 2}, func(i int) bool { return c.id(t, i) == r.Leader })
	other := (leader + 1) % 3
	c.pause(leader)
	defer c.resume(leader)
	beside := c.client(other, "", "")
	eventually(t, "another leads", func() error {
		now, err := beside.Status(within(t), c.url(other))
		if err == nil && (now.Leader == 0 || now.Leader == r.Leader) {
			return fmt.Errorf("leader %x", now.Leader)
		}
		return err
	})
	c.agrees(t, other)
	d := c.diagnose(t, nil)
	f := finding(t, d, sdk.Warning, fmt.Sprintf("member m%d (%s) does not answer: it takes connections and does not answer", leader, c.host(leader)))
	says(t, f, c.host(leader)+": connection: taken", c.host(leader)+": status: no answer in time", "SIGSTOP", "one more member fails")
	others(t, d, sdk.Warning, f.Title)
	c.resume(leader)
	c.agrees(t, leader)
}

// agrees waits until a member answers a read that needs the others: an election may go before.
func (c *cluster) agrees(t *testing.T, i int) {
	t.Helper()
	client := c.client(i, "", "")
	eventually(t, "the members agree", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := client.Get(ctx, "x")
		return err
	})
}

func lostQuorum(t *testing.T, c *cluster, _ *clientv3.Client) {
	c.stop(1)
	c.agrees(t, 0)
	d := c.diagnose(t, nil)
	f := finding(t, d, sdk.Warning, "member m1 ("+c.host(1)+") does not answer: connection refused")
	says(t, f, "one more member fails", "journalctl -u etcd", c.host(1)+": peer URL "+c.configs[1].AdvertisePeerUrls[0].String())
	others(t, d, sdk.Warning, f.Title)
	c.stop(2)
	d = c.diagnose(t, plugintest.Config{"member_timeout": 3 * time.Second})
	f = finding(t, d, sdk.Critical, "the quorum is lost: 1 of 3 voting members answer, and 2 are needed")
	if d.Findings[0].Title != f.Title {
		t.Errorf("the first finding is %q", d.Findings[0].Title)
	}
	says(t, f, c.host(0)+": serializable read: answered", c.host(0)+": linearizable read: ", c.host(1)+": status: connection refused", "--consistency=s", "snapshot save quorum-lost.db")
	others(t, d, sdk.Critical, f.Title)
	c.run(1)
	c.run(2)
	c.ready()
	for i := range 3 {
		c.agrees(t, i)
	}
	others(t, c.diagnose(t, nil), sdk.Critical)
}

func fullDatabase(t *testing.T, c *cluster, admin *clientv3.Client) {
	for i := 0; ; i++ {
		_, err := admin.Put(within(t), fmt.Sprintf("/registry/events/%d", i%3), strings.Repeat("x", 100<<10))
		if err != nil && strings.Contains(err.Error(), "database space exceeded") {
			break
		}
		if i == 1000 {
			t.Fatal("100 MB fit into a quota of 4 MiB")
		}
		if i > 40 { // the size that etcd compares is that of its last commit, each 100 ms
			time.Sleep(20 * time.Millisecond)
		}
	}
	d := c.diagnose(t, nil)
	f := finding(t, d, sdk.Critical, "the database is full: alarm NOSPACE is raised")
	says(t, f, "alarm:NOSPACE", c.host(2)+": database size: ", " of 4 MiB, ", `keys under "/registry/": `, `keys under "config.": 1`, "alarm disarm")
	others(t, d, sdk.Warning, f.Title, "requests fail with ResourceExhausted", "the database reaches its quota")

	// The steps are done as they are printed: that is the repair.
	r, err := admin.Status(within(t), c.url(0))
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, n := range f.Next {
		if _, rest, ok := strings.Cut(n.Command, "--endpoints="); ok && strings.Contains(n.Command, " defrag") {
			order = append(order, strings.Fields(rest)[0])
		}
	}
	leader := slices.IndexFunc([]int{0, 1, 2}, func(i int) bool { return c.id(t, i) == r.Leader })
	if len(order) != 3 || order[2] != c.url(leader) {
		t.Errorf("defragmentation in the order %q, and %s leads", order, c.url(leader))
	}
	if _, err := admin.Compact(within(t), r.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	for _, url := range order {
		if _, err := admin.Defragment(within(t), url); err != nil {
			t.Fatal(err)
		}
	}
	d = c.diagnose(t, nil)
	finding(t, d, sdk.Critical, "alarm NOSPACE is still raised, though there is space again")
	if _, err := admin.AlarmDisarm(within(t), &clientv3.AlarmMember{}); err != nil {
		t.Fatal(err)
	}
	others(t, c.diagnose(t, nil), sdk.Warning)
}

func userWithoutRole(t *testing.T, c *cluster, _ *clientv3.Client) {
	c.login()
	d := c.diagnose(t, plugintest.Config{"username": "monitor", "password": "s3cret-word"})
	f := finding(t, d, sdk.Info, `user "monitor" may not ask for HashKV, with which the members' data are compared: it needs the role "root"`)
	says(t, f, "permission denied", "--user=root user grant-role monitor root")
	others(t, d, sdk.Warning)
	if got := checked(d, "linearizable read at m0 ("+c.host(0)+")"); got != "answered" {
		t.Errorf("the read: %s", got)
	}
	if strings.Contains(text(d), "s3cret") {
		t.Error("the password is in the report")
	}
	limited(t, c)
}

func TestCertificatesThatExpireAreFound(t *testing.T) {
	t.Parallel()
	c, tls := startTLS(t, 1)
	d := c.diagnose(t, plugintest.Config{"tls": tls})
	f := finding(t, d, sdk.Warning, "certificate of the client URL of m0 ("+c.host(0)+") expires in ")
	says(t, f, c.url(0)+": valid until: 20")
	says(t, finding(t, d, sdk.Warning, "certificate of the peer URL of m0 ("+c.host(0)+") expires in "), c.configs[0].AdvertisePeerUrls[0].String()+": valid until: 20")
	finding(t, d, sdk.Warning, "the certificate that we show expires in ")
	others(t, d, sdk.Warning, "certificate of the", "the certificate that we show")
	if got := checked(d, "certificates"); got != "3 looked at" {
		t.Errorf("certificates: %s", got)
	}
	later := c.diagnose(t, plugintest.Config{"tls": tls, "certificate_warning": time.Minute})
	others(t, later, sdk.Warning)
}
