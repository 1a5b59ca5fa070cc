package main

import (
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

func TestMembersOfDifferentVersionsAreNamedAndTheLeaderIsUpgradedLast(t *testing.T) {
	t.Parallel()
	for running, want := range map[string]string{
		"3.6.16 3.6.16 3.6.16": "",
		"3.6.16 3.7.3 3.6.16":  "info: 3.6.16 at m0 (m0:2379), m2 (m2:2379); 3.7.3 at m1 (m1:2379). Upgrade m2 (m2:2379) to 3.7.3, m0 (m0:2379) to 3.7.3",
		"3.5.10 3.5.9 3.5.10":  "info: 3.5.9 at m1 (m1:2379); 3.5.10 at m0 (m0:2379), m2 (m2:2379). Upgrade m1 (m1:2379) to 3.5.10",
		"3.7.3 3.5.9 3.6.0":    "warning: 3.5.9 at m1 (m1:2379); 3.6.0 at m2 (m2:2379); 3.7.3 at m0 (m0:2379). Upgrade m1 (m1:2379) to the next minor version, m2 (m2:2379) to the next minor version",
	} {
		x := &exam{DiagnoserConfig: &DiagnoserConfig{}, report: sdk.NewReport("diagnoser.etcd.main", sdk.Question{}, nil)}
		for i, version := range strings.Fields(running) { // the first leads
			name := "m" + string(rune('0'+i))
			m := &member{name: name, id: uint64(i + 1), instance: name + ":2379", url: "http://" + name + ":2379"}
			x.members = append(x.members, &seen{member: m, status: &etcdserverpb.StatusResponse{Version: version, Leader: 1}})
		}
		x.versions()
		got := ""
		for _, f := range x.report.End(nil).Findings {
			var steps []string
			for _, s := range f.Next {
				steps = append(steps, strings.TrimSuffix(strings.TrimPrefix(s.Text, "Upgrade "), ", and wait until it is healthy again"))
			}
			got += string(f.Severity) + ": " + strings.TrimPrefix(f.Title, "the members run different versions of etcd: ") + ". Upgrade " + strings.Join(steps, ", ")
		}
		if got != want {
			t.Errorf("%s:\n%s, want\n%s", running, got, want)
		}
	}
	all := []string{"3.10.0", "3.4.23", "3.6.0-rc.1", "3.6.0", "3.5.9", "3.5.35"}
	slices.SortFunc(all, compareVersions)
	if got := strings.Join(all, " "); got != "3.4.23 3.5.9 3.5.35 3.6.0 3.6.0-rc.1 3.10.0" {
		t.Error(got)
	}
}

// A question that is given up is counted as one that failed, by etcd up to 3.6: whoever answers is the only one to be asked.
func TestOneMemberIsAskedForTheListWhileItAnswers(t *testing.T) {
	t.Parallel()
	c := start(t, 1, nil)
	beside, err := net.Listen("tcp", plugintest.FreeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	go func() {
		for {
			taken, err := beside.Accept()
			if err != nil {
				return
			}
			asked.Add(1)
			taken.Close()
		}
	}()
	defer beside.Close()
	access := &Access{Reach: Reach{Endpoints: []string{c.url(0), "http://" + beside.Addr().String()}}, DiscoverMembers: true}
	clients, err := newClients(&access.Reach)
	if err != nil {
		t.Fatal(err)
	}
	defer clients.keep(nil)
	r := &roster{access: access, clients: clients, wait: time.Minute, alone: time.Minute}
	if list, err := r.listFrom(within(t), access.Endpoints); err != nil || len(list) != 1 || asked.Load() != 0 {
		t.Errorf("%v, %v; the other one was asked %d times", list, err, asked.Load())
	}
	slices.Reverse(access.Endpoints)
	if list, err := r.listFrom(within(t), access.Endpoints); err != nil || len(list) != 1 || asked.Load() == 0 {
		t.Errorf("%v, %v; the first one was asked %d times", list, err, asked.Load())
	}
}
