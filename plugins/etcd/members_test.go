package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

func TestAnEndpointThatIsNoEtcdDoesNotMatterWhileAnotherAnswers(t *testing.T) {
	t.Parallel()
	c := start(t, 1, nil)
	wrong := httptest.NewServer(http.NotFoundHandler())
	defer wrong.Close()
	p := watch(t, plugintest.Config{"endpoints": []string{wrong.URL, c.url(0)}}, often)
	for range 3 {
		if got, want := ups(p.Cycle()), c.ups(1); !slices.Equal(got, want) {
			t.Fatalf("up is %q, want %q", got, want)
		}
	}
	if h := p.Health(); len(h.Errors) != 0 || h.Text != "1 of 1 members answer" {
		t.Errorf("%v", h)
	}
}

func TestWhenNobodyAnswersTheEndpointsAreDownAndTheErrorBlamesTheTarget(t *testing.T) {
	t.Parallel()
	a, b := freeURL(t), freeURL(t)
	p := watch(t, plugintest.Config{"endpoints": []string{a.String(), b.String()}}, once)
	samples := p.Cycle()
	want := []string{a.Host + " 0", b.Host + " 0"}
	slices.Sort(want)
	if got := ups(samples); !slices.Equal(got, want) {
		t.Errorf("up is %q, want %q", got, want)
	}
	h := p.Health()
	if h.Errors["target"] == 0 || len(h.Errors) != 1 {
		t.Errorf("errors by blame: %v", h.Errors)
	}
	for _, part := range []string{"no endpoint gives the member list: ", a.String() + ": ", b.String() + ": ", "connection refused"} {
		if !strings.Contains(h.LastError.Text, part) {
			t.Errorf("the error %q does not say %q", h.LastError.Text, part)
		}
	}
}

func TestTheLastListHoldsWhileTheQuorumIsLost(t *testing.T) {
	t.Parallel()
	c := start(t, 3, nil)
	settings := every(100*time.Millisecond, 8*time.Second)
	p := watch(t, plugintest.Config{"endpoints": []string{c.url(0)}}, settings)
	until(t, p, "all up", func(s plugintest.Samples) bool { return slices.Equal(ups(s), c.ups(1, 1, 1)) })
	c.stop(1)
	c.stop(2)
	lost := until(t, p, "two down", func(s plugintest.Samples) bool {
		return slices.Equal(ups(s), c.ups(1, 0, 0)) && one(t, s, "etcd_status_has_leader", "instance", c.host(0)) == 0
	})
	if got := one(t, lost, "etcd_health", "instance", c.host(0)); got != 0 {
		t.Errorf("etcd_health without a quorum is %v", got)
	}
	if found := live(lost).Find("etcd_status_leader", "instance", c.host(0)); len(found) != 0 {
		t.Errorf("a leader without a quorum: %v", found)
	}
	if got := one(t, lost, "etcd_status_errors", "instance", c.host(0)); got != 1 {
		t.Errorf("%v errors in the status, want the one that says that there is no leader", got)
	}
	// One that starts now has no older list: it takes what the member itself knows.
	late := watch(t, plugintest.Config{"endpoints": []string{c.url(0)}}, settings)
	until(t, late, "all three", func(s plugintest.Samples) bool { return slices.Equal(ups(s), c.ups(1, 0, 0)) })
}

func TestALearnerAndAMemberThatNeverStarted(t *testing.T) {
	t.Parallel()
	c := start(t, 3, nil)
	admin := c.client(0, "", "")
	learner := newMember(t, "m3", nil)
	var added *clientv3.MemberAddResponse
	for deadline := time.Now().Add(time.Minute); ; {
		var err error
		if added, err = admin.MemberAddAsLearner(within(t), []string{learner.AdvertisePeerUrls[0].String()}); err == nil {
			break
		}
		if time.Now().After(deadline) || !errors.Is(err, rpctypes.ErrUnhealthy) { // it wants all members connected for 5 s
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	peer := learner.AdvertisePeerUrls[0].Host
	p := watch(t, plugintest.Config{"endpoints": c.urls()}, often)
	samples := until(t, p, "the learner in the list", func(s plugintest.Samples) bool { return len(ups(s)) == 4 })
	id := hex(added.Member.ID)
	for name, want := range map[string]float64{"up": 0, "etcd_member_info": 1, "etcd_member_started": 0, "etcd_member_learner": 1} {
		if got := one(t, samples, name, "instance", peer); got != want {
			t.Errorf("%s of the member that never started is %v, want %v", name, got, want)
		}
	}
	one(t, samples, "etcd_member_info", "instance", peer, "member_id", id)
	if text := p.Health().Text; !strings.Contains(text, "3 of 4 members answer: "+peer+": the member was added to the cluster, but never started") {
		t.Errorf("the status is %q", text)
	}

	learner.ClusterState = embed.ClusterStateFlagExisting
	learner.InitialCluster = c.configs[0].InitialCluster + ",m3=" + learner.AdvertisePeerUrls[0].String()
	c.configs = append(c.configs, learner)
	c.servers, c.processes = append(c.servers, nil), append(c.processes, nil)
	c.run(3)
	c.ready()
	samples = until(t, p, "the learner up", func(s plugintest.Samples) bool { return slices.Equal(ups(s), c.ups(1, 1, 1, 1)) })
	for name, want := range map[string]float64{"etcd_member_started": 1, "etcd_member_learner": 1, "etcd_status_is_learner": 1, "etcd_status_success": 1} {
		if got := one(t, samples, name, "instance", c.host(3)); got != want {
			t.Errorf("%s of the learner is %v, want %v", name, got, want)
		}
	}

	if _, err := admin.MemberRemove(within(t), added.Member.ID); err != nil {
		t.Fatal(err)
	}
	until(t, p, "the removed member gone", func(s plugintest.Samples) bool { return slices.Equal(ups(s), c.ups(1, 1, 1)) })
}

func TestMembersThatCannotBeAskedAreStillTargets(t *testing.T) {
	t.Parallel()
	list := []*etcdserverpb.Member{
		{ID: 1, Name: "a", ClientURLs: []string{"http://localhost:2379"}, PeerURLs: []string{"http://10.0.0.1:2380"}},
		{ID: 2, Name: "b", ClientURLs: []string{"http://localhost:2379"}, PeerURLs: []string{"http://10.0.0.2:2380"}},
		{ID: 3, Name: "c", ClientURLs: []string{"unix://sock"}, PeerURLs: []string{"http://10.0.0.2:2380"}},
		{ID: 4, PeerURLs: []string{"http://10.0.0.4:2380"}},
		{ID: 5, Name: "e", ClientURLs: []string{"http://127.0.0.1:2379", "http://10.0.0.5:2379"}},
		{ID: 5, Name: "e", ClientURLs: []string{"http://127.0.0.1:2379", "http://10.0.0.5:2379"}},
	}
	var got []string
	for _, m := range membersOf(list, []string{"http://10.0.0.5:2379"}) {
		got = append(got, fmt.Sprintf("%s %q %v", m.instance, m.url, m.problem))
	}
	want := []string{
		`localhost:2379 "http://localhost:2379" <nil>`,
		`10.0.0.2:2380 "" the member advertises the same client URL http://localhost:2379 as member 1`,
		`3 "" the member advertises no client URL with http:// or https:// and a port, but ["unix://sock"]`,
		`10.0.0.4:2380 "" the member was added to the cluster, but never started`,
		`10.0.0.5:2379 "http://10.0.0.5:2379" <nil>`,
		`5 "" the member advertises the same client URL http://10.0.0.5:2379 as member 5`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
