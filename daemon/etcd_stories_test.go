package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// etcdStory is one way in which a cluster breaks: the alert that fires, and what the diagnosis says it is.
type etcdStory struct {
	name            string
	breaks, repairs func()
	alert, instance string
	cause           string
	beside          []string // critical alerts that come of the same
}

// TestWhatBreaksAnEtcdIsAlertedDiagnosedAndResolved tells the rows of the diagnosis table with the rules of examples/03-etcd-rules,
// whose waits and windows are cut. The suite tells the first; `make soak` all of them, with nothing beside that is counted with them: embedded
// members of one process share their metrics.
func TestWhatBreaksAnEtcdIsAlertedDiagnosedAndResolved(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../examples/03-etcd-rules/rules.hcl")
	if err != nil {
		t.Fatal(err)
	}
	rules := regexp.MustCompile(`(?m)^(\s+for\s+=) "\w+"$`).ReplaceAllString(string(text), `$1 "1s"`)
	rules = strings.ReplaceAll(rules, "[5m])", "[20s])")
	c := startCluster(t, func(m *embed.Config) { m.QuotaBackendBytes = 4 << 20 })
	box := newMailbox(t)
	soak := os.Getenv("MAGPIE_SOAK") != ""
	hashes := map[bool]string{true: "2s", false: "0s"}[soak]
	m := start(t, fmt.Sprintf(`
source "etcd" "main" {
  endpoints     = ["http://%s"]
  labels        = { cluster = "main" }
  timeout       = "900ms"
  hash_interval = %q
}
diagnoser "etcd" "main" {
  endpoints = ["http://%s"]
  watch_for = "500ms"
}
store "tsdb" "main" {}
notifier "webhook" "box" { url = %q }
route {
  notify         = [notifier.webhook.box]
  group_by       = ["alertname"]
  group_wait     = "1s"
  group_interval = "1s"
}
%s`, c.instance(0), hashes, c.instance(0), box.URL, rules))
	m.eventually("all three members are seen", func() bool { return len(m.query(`etcd_status_has_leader{cluster="main"} == 1`)) == 3 })

	stories := []etcdStory{{
		name:   "a member stops",
		breaks: func() { c.stop(2) }, repairs: func() { c.start(2) },
		alert: "etcdMembersDown", instance: c.instance(2), cause: "member m2 (" + c.instance(2) + ") does not answer: connection refused",
	}}
	if soak {
		stories = append(stories, c.soakStories()...)
	}
	for i, s := range stories {
		s.breaks()
		m.eventually(s.name+": "+s.alert+" fires, and the webhook is told", func() bool {
			return m.alert(s.alert, s.instance) == "firing" && box.find("firing", s.alert, s.instance) != nil
		})
		if i == 0 {
			if d := box.find("firing", s.alert, s.instance).Diagnoses; len(d) != 1 || !strings.Contains(strings.Join(d[0].Findings, "\n"), s.cause) {
				t.Errorf("%s: the notification's diagnosis: %+v", s.name, d)
			}
		}
		said, stderr, _ := m.cli("diagnose", "etcd.main")
		if !strings.Contains(said, s.cause) {
			t.Errorf("%s: the diagnosis does not say %q\n%s%s", s.name, s.cause, said, stderr)
		}
		if soak {
			for _, a := range m.query(`ALERTS{alertstate="firing", severity="critical"}`) {
				if name := a.Metric["alertname"]; name != s.alert && !slices.Contains(s.beside, name) {
					t.Errorf("%s: %s fires beside it", s.name, name)
				}
			}
		}
		s.repairs()
		m.eventually(s.name+": it is resolved", func() bool {
			return m.alert(s.alert, s.instance) == "" && box.find("resolved", s.alert, s.instance) != nil
		})
	}
}

// soakStories are the other rows.
func (c *cluster) soakStories() []etcdStory {
	cli, err := clientv3.New(clientv3.Config{Endpoints: []string{"http://" + c.instance(0)}, Logger: zap.NewNop()})
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { cli.Close() })
	ctx := context.Background()
	must := func(err error) {
		c.Helper()
		if err != nil {
			c.Error(err)
		}
	}
	revision := func() int64 {
		r, err := cli.Put(ctx, "story", "newer")
		must(err)
		return r.Header.Revision
	}
	var reading sync.WaitGroup
	stop := make(chan bool)
	return []etcdStory{{
		name:   "the quorum is lost",
		breaks: func() { c.stop(1); c.stop(2) }, repairs: func() { c.restart(1, 2) },
		alert: "etcdInsufficientMembers", cause: "the quorum is lost: 1 of 3 voting members answer", beside: []string{"etcdNoLeader"},
	}, {
		name: "the database is full",
		breaks: func() {
			for i := 0; ; i++ {
				if _, err := cli.Put(ctx, fmt.Sprint("big/", i%3), strings.Repeat("x", 100<<10)); err != nil {
					return
				}
			}
		},
		repairs: func() {
			r, err := cli.Get(ctx, "story", clientv3.WithSerializable())
			must(err)
			_, err = cli.Compact(ctx, r.Header.Revision, clientv3.WithCompactPhysical())
			must(err)
			for i := range 3 {
				_, err = cli.Defragment(ctx, "http://"+c.instance(i))
				must(err)
			}
			_, err = cli.AlarmDisarm(ctx, &clientv3.AlarmMember{})
			must(err)
		},
		alert: "etcdAlarm", cause: "the database is full: alarm NOSPACE is raised", beside: []string{"etcdDatabaseQuotaLowSpace", "etcdHighNumberOfFailedGRPCRequests"},
	}, {
		name:   "a member's data differ",
		breaks: func() { revision(); c.rot(1) }, repairs: func() { c.rot(1) },
		alert: "etcdDataDiffer", instance: c.instance(1), cause: "the data of m1 (" + c.instance(1) + ") differ from those of the majority", beside: []string{"etcdDatabaseQuotaLowSpace"},
	}, {
		name: "clients are behind a compaction",
		breaks: func() {
			_, err := cli.Compact(ctx, revision())
			must(err)
			reading.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(50 * time.Millisecond):
						cli.Get(ctx, "story", clientv3.WithRev(2))
					}
				}
			})
		},
		repairs: func() { close(stop); reading.Wait() },
		alert:   "etcdClientsBehindCompaction", instance: c.instance(0), cause: "clients ask for revisions that are compacted", beside: []string{"etcdHighNumberOfFailedGRPCRequests"},
	}}
}

// restart starts members that can only begin together.
func (c *cluster) restart(members ...int) {
	var starting sync.WaitGroup
	for _, i := range members {
		starting.Go(func() { c.start(i) })
	}
	starting.Wait()
}

// rot flips a bit of a value of member i while it is stopped, as a bad disk does. Twice it is as before.
func (c *cluster) rot(i int) {
	c.Helper()
	c.stop(i)
	defer c.start(i)
	db, err := bbolt.Open(filepath.Join(c.configs[i].Dir, "member", "snap", "db"), 0o600, nil)
	if err != nil {
		c.Error(err)
		return
	}
	defer db.Close()
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
		c.Error(err)
	}
}
