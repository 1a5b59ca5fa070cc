package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

var etcd = sdk.Source(open, sdk.Job("etcd"))

// every makes Collect follow on Collect.
func every(interval, timeout time.Duration) plugintest.Option {
	return plugintest.Settings(sdk.SourceSettings{Job: "etcd", Interval: interval, Timeout: timeout, LimitSeries: 100_000})
}

// The timeouts are generous where nothing is to time out: the race detector and other tests take their share.
var (
	once  = every(time.Hour, 2*time.Minute)
	often = every(100*time.Millisecond, 2*time.Minute)
)

// watched gives a component's cycles one by one, where one packet may hold several.
type watched struct {
	*plugintest.Component
	rest plugintest.Samples
}

func watch(t *testing.T, cfg plugintest.Config, options ...plugintest.Option) *watched {
	t.Helper()
	return &watched{Component: plugintest.Open(t, etcd, cfg, options...)}
}

// Cycle returns the samples of the next Collect.
func (w *watched) Cycle() (cycle plugintest.Samples) {
	if len(w.rest) == 0 {
		w.rest = w.Component.Cycle()
	}
	at := w.rest[0].Time
	for _, s := range w.rest {
		if s.Time.Before(at) {
			at = s.Time
		}
	}
	all := w.rest
	w.rest = nil
	for _, s := range all {
		if s.Time.Equal(at) {
			cycle = append(cycle, s)
		} else {
			w.rest = append(w.rest, s)
		}
	}
	return cycle
}

// one asserts that exactly one series with these labels is there, and returns its value.
func one(t *testing.T, samples plugintest.Samples, name string, pairs ...string) float64 {
	t.Helper()
	found := live(samples).Find(name, pairs...)
	if len(found) != 1 {
		t.Fatalf("%d series %s%q, not one", len(found), name, pairs)
	}
	return found[0].Value
}

// live leaves out staleness markers.
func live(samples plugintest.Samples) (out plugintest.Samples) {
	for _, s := range samples {
		if !isStale(s.Value) {
			out = append(out, s)
		}
	}
	return out
}

func sum(samples plugintest.Samples) (total float64) {
	for _, s := range live(samples) {
		total += s.Value
	}
	return total
}

// ups lists the series of up, sorted.
func ups(samples plugintest.Samples) (lines []string) {
	for _, s := range live(samples).Find("up") {
		lines = append(lines, fmt.Sprintf("%s %v", s.Labels.Get("instance"), s.Value))
	}
	slices.Sort(lines)
	return lines
}

func (c *cluster) ups(values ...int) (lines []string) {
	for i, v := range values {
		lines = append(lines, fmt.Sprintf("%s %d", c.host(i), v))
	}
	slices.Sort(lines)
	return lines
}

// until collects until the samples are as wanted.
func until(t *testing.T, c *watched, what string, ok func(plugintest.Samples) bool) plugintest.Samples {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		samples := c.Cycle()
		if ok(samples) {
			return samples
		}
		if time.Now().After(deadline) {
			t.Fatalf("after a minute there is still not: %s; up is %q, %v", what, ups(samples), c.Health().Text)
		}
	}
}

func TestAllMembersAreFoundFromOneEndpoint(t *testing.T) {
	t.Parallel()
	c := start(t, 3, nil)
	p := watch(t, plugintest.Config{"endpoints": []string{c.url(1)}}, often)
	samples := until(t, p, "all up and of one mind", func(s plugintest.Samples) bool {
		leader := hex(uint64(c.servers[0].Server.Leader()))
		return slices.Equal(ups(s), c.ups(1, 1, 1)) && len(s.Find("etcd_status_leader", "leader", leader)) == 3 && sum(s.Find("etcd_health")) == 3
	})
	leaders := 0.0
	for i := range 3 {
		host := c.host(i)
		for name, want := range map[string]float64{
			"etcd_status_success": 1, "etcd_status_has_leader": 1, "etcd_status_is_learner": 0, "etcd_status_errors": 0, "etcd_health": 1,
			"etcd_member_started": 1, "etcd_member_learner": 0, "etcd_status_db_size_quota_bytes": 2 << 30,
		} {
			if got := one(t, samples, name, "instance", host, "job", "etcd"); got != want {
				t.Errorf("%s of member %d is %v, want %v", name, i, got, want)
			}
		}
		for _, name := range []string{"etcd_status_db_size_bytes", "etcd_status_db_size_in_use_bytes", "etcd_status_raft_term", "etcd_status_raft_index", "etcd_status_raft_applied_index"} {
			if got := one(t, samples, name, "instance", host); got <= 0 {
				t.Errorf("%s of member %d is %v", name, i, got)
			}
		}
		for _, alarm := range []string{"NOSPACE", "CORRUPT"} {
			if got := one(t, samples, "etcd_status_alarms", "instance", host, "alarm", alarm); got != 0 {
				t.Errorf("member %d has %v alarms %s", i, got, alarm)
			}
		}
		id := hex(uint64(c.servers[i].Server.MemberID()))
		one(t, samples, "etcd_member_info", "instance", host, "member", c.configs[i].Name, "member_id", id)
		one(t, samples, "etcd_status_info", "instance", host, "member_id", id, "version", "3.7.3")
		leaders += one(t, samples, "etcd_status_is_leader", "instance", host)
	}
	if leaders != 1 {
		t.Errorf("%v members take themselves for the leader", leaders)
	}
}

func TestThePageIsPassedThroughUnchanged(t *testing.T) {
	t.Parallel()
	c := start(t, 1, nil)
	samples := watch(t, plugintest.Config{"endpoints": c.urls()}, once).Cycle()
	// What etcd-mixin's rules select by name; grpc_server_handled_total and the peers' metrics come with traffic.
	for _, name := range []string{
		"etcd_server_has_leader", "etcd_server_leader_changes_seen_total", "etcd_disk_wal_fsync_duration_seconds_bucket",
		"etcd_disk_backend_commit_duration_seconds_bucket", "etcd_mvcc_db_total_size_in_bytes", "etcd_mvcc_db_total_size_in_use_in_bytes",
		"etcd_server_quota_backend_bytes", "etcd_server_proposals_failed_total", "grpc_server_handled_total",
	} {
		found := samples.Find(name, "job", "etcd", "instance", c.host(0))
		if len(found) == 0 {
			t.Errorf("no %s", name)
			continue
		}
		family, isBucket := strings.CutSuffix(name, "_bucket")
		if f := found[0].Family; f == nil || f.Name != family || f.Help == "" || isBucket != (f.Type == sdk.HistogramType) {
			t.Errorf("the family of %s is %+v", name, f)
		}
	}
	if n := len(samples); n < 1000 {
		t.Errorf("%d samples: the page has more", n)
	}
}

func TestAStoppedMemberIsDownAloneAndComesBack(t *testing.T) {
	t.Parallel()
	c := start(t, 3, nil)
	p := watch(t, plugintest.Config{"endpoints": c.urls()}, often)
	until(t, p, "all up", func(s plugintest.Samples) bool { return slices.Equal(ups(s), c.ups(1, 1, 1)) })

	c.stop(2)
	down := until(t, p, "the third down", func(s plugintest.Samples) bool { return slices.Equal(ups(s), c.ups(1, 1, 0)) })
	if got := one(t, down, "etcd_status_success", "instance", c.host(2)); got != 0 {
		t.Errorf("etcd_status_success of the stopped member is %v", got)
	}
	if got := one(t, down, "etcd_health", "instance", c.host(2)); got != 0 {
		t.Errorf("etcd_health of the stopped member is %v", got)
	}
	one(t, down, "etcd_member_info", "instance", c.host(2), "member", "m2")
	quiet := p.Cycle()
	if found := quiet.Find("etcd_server_has_leader", "instance", c.host(2)); len(found) != 0 {
		t.Errorf("the stopped member still has its page: %v", found)
	}
	one(t, quiet, "etcd_server_has_leader", "instance", c.host(0))

	c.run(2)
	c.ready()
	back := until(t, p, "all up again", func(s plugintest.Samples) bool { return slices.Equal(ups(s), c.ups(1, 1, 1)) })
	one(t, back, "etcd_server_has_leader", "instance", c.host(2))
	until(t, p, "its status", func(s plugintest.Samples) bool {
		return one(t, s, "etcd_status_success", "instance", c.host(2)) == 1 && one(t, s, "etcd_health", "instance", c.host(2)) == 1
	})
}

func TestAMemberThatHangsIsDownInTimeAndHoldsUpNobody(t *testing.T) {
	t.Parallel()
	hung, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer hung.Close()
	c := start(t, 3, func(m *embed.Config) {
		if m.Name == "m1" {
			m.AdvertiseClientUrls = []url.URL{{Scheme: "http", Host: hung.Addr().String()}}
		}
	})
	cfg := plugintest.Config{"endpoints": []string{c.url(1), c.url(0)}}
	p := watch(t, cfg, every(time.Hour, 20*time.Second))
	began := time.Now()
	samples := p.Cycle()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the cycle took %v, more than its timeout", took)
	}
	if got, want := ups(samples), c.ups(1, 0, 1); !slices.Equal(got, want) {
		t.Errorf("up is %q, want %q", got, want)
	}
	for _, i := range []int{0, 2} {
		if d := one(t, samples, "scrape_duration_seconds", "instance", c.host(i)); d > 5 {
			t.Errorf("member %d was held up for %v s", i, d)
		}
	}
	if text := p.Health().Text; !strings.Contains(text, "2 of 3 members answer: "+hung.Addr().String()+": no answer in time") {
		t.Errorf("the status is %q", text)
	}
}

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

func TestTLSWithClientCertificates(t *testing.T) {
	t.Parallel()
	certs := certificates(t)
	c := start(t, 3, func(m *embed.Config) {
		m.ListenClientUrls[0].Scheme, m.AdvertiseClientUrls[0].Scheme = "https", "https"
		m.ClientTLSInfo = certs
	})
	tls := plugintest.Config{"ca_file": certs.TrustedCAFile, "cert_file": certs.CertFile, "key_file": certs.KeyFile}
	secure := watch(t, plugintest.Config{"endpoints": c.urls()[:1], "tls": tls}, often)
	until(t, secure, "page, status and health of all three", func(s plugintest.Samples) bool {
		return slices.Equal(ups(s), c.ups(1, 1, 1)) && sum(s.Find("etcd_status_success")) == 3 && sum(s.Find("etcd_health")) == 3
	})
	delete(tls, "cert_file")
	delete(tls, "key_file")
	p := watch(t, plugintest.Config{"endpoints": c.urls()[:1], "tls": tls}, once)
	if got, want := ups(p.Cycle()), []string{c.host(0) + " 0"}; !slices.Equal(got, want) {
		t.Errorf("without a certificate up is %q, want %q", got, want)
	}
	if h := p.Health(); h.Errors["target"] == 0 || !strings.Contains(h.LastError.Text, "certificate required") {
		t.Errorf("without a certificate: %v", h)
	}
}

func TestAUserWithAPassword(t *testing.T) {
	t.Parallel()
	c := start(t, 3, nil)
	c.login()
	known := watch(t, plugintest.Config{"endpoints": c.urls(), "username": "monitor", "password": "s3cret-word"}, often)
	until(t, known, "page and status of all three", func(s plugintest.Samples) bool {
		return slices.Equal(ups(s), c.ups(1, 1, 1)) && sum(s.Find("etcd_status_success")) == 3
	})
	for fix, cfg := range map[string]plugintest.Config{
		"Check username and password.":                                   {"endpoints": c.urls(), "username": "monitor", "password": "wr0ng-word"},
		"This cluster has authentication on: set username and password.": {"endpoints": c.urls()},
	} {
		p := watch(t, cfg, once)
		p.Cycle()
		h := p.Health()
		if h.Errors["config"] == 0 || h.LastError.Fix != fix || strings.Contains(h.LastError.Text+h.Text, "wr0ng") {
			t.Errorf("%v: %v", cfg, h)
		}
	}
}

func TestAStoppedMemberDoesNotKeepTheOthersWaitingForItsLogin(t *testing.T) {
	t.Parallel()
	c := start(t, 3, nil)
	c.login()
	c.stop(1)
	p := watch(t, plugintest.Config{"endpoints": c.urls(), "username": "monitor", "password": "s3cret-word"}, often)
	until(t, p, "the second down", func(s plugintest.Samples) bool {
		return slices.Equal(ups(s), c.ups(1, 0, 1)) && strings.Contains(p.Health().Text, c.host(1)+`: Get "`+c.url(1)+`/metrics": dial tcp`)
	})
	if text := p.Health().Text; strings.Contains(text, errNoAnswer.Error()) {
		t.Errorf("it waits: %s", text)
	}
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
	c.servers = append(c.servers, nil)
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

func TestAnAlarmIsRead(t *testing.T) {
	t.Parallel()
	c := start(t, 1, func(m *embed.Config) { m.QuotaBackendBytes = 1 << 20 })
	client := c.client(0, "", "")
	for i := 0; ; i++ {
		if _, err := client.Put(within(t), fmt.Sprintf("key-%d", i), strings.Repeat("x", 100<<10)); err != nil {
			if !strings.Contains(err.Error(), "database space exceeded") {
				t.Fatal(err)
			}
			break
		}
		if i == 100 {
			t.Fatal("10 MB fit into a quota of 1 MiB")
		}
	}
	p := watch(t, plugintest.Config{"endpoints": c.urls()}, often)
	samples := until(t, p, "the alarm", func(s plugintest.Samples) bool {
		return one(t, s, "etcd_status_alarms", "alarm", "NOSPACE") == 1
	})
	for name, want := range map[string]float64{"up": 1, "etcd_health": 0, "etcd_status_errors": 0, "etcd_status_db_size_quota_bytes": 1 << 20} {
		if got := one(t, samples, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if text := p.Health().Text; !strings.Contains(text, "not healthy: ALARM NOSPACE") {
		t.Errorf("the status is %q", text)
	}
}

func TestMetricsThatAreServedElsewhere(t *testing.T) {
	t.Parallel()
	elsewhere := freeURL(t)
	c := start(t, 1, func(m *embed.Config) { m.ListenClientHttpUrls = []url.URL{elsewhere} })
	bare := watch(t, plugintest.Config{"endpoints": c.urls()}, once)
	if got, want := ups(bare.Cycle()), c.ups(0); !slices.Equal(got, want) {
		t.Errorf("without metrics_endpoints up is %q, want %q", got, want)
	}
	stranger := watch(t, plugintest.Config{"endpoints": c.urls(), "metrics_endpoints": map[string]string{"m7": elsewhere.String()}}, once)
	stranger.Cycle()
	if h := stranger.Health(); h.Errors["config"] != 1 || !strings.Contains(h.Text, `metrics_endpoints names "m7", and no member has that name or host:port`) {
		t.Errorf("%v", h)
	}
	for _, key := range []string{"m0", c.host(0)} {
		p := watch(t, plugintest.Config{"endpoints": c.urls(), "metrics_endpoints": map[string]string{key: elsewhere.String()}}, once)
		samples := p.Cycle()
		if got, want := ups(samples), c.ups(1); !slices.Equal(got, want) || one(t, samples, "etcd_health") != 1 {
			t.Errorf("with metrics_endpoints[%q] up is %q, want %q: %s", key, got, want, p.Health().Text)
		}
	}
}

func TestProbeAsksEveryEndpoint(t *testing.T) {
	t.Parallel()
	c := start(t, 1, nil)
	dead := freeURL(t)
	for want, endpoints := range map[string][]string{
		"":                                   {c.url(0)},
		dead.String() + ": connection error": {c.url(0), dead.String()},
	} {
		cfg := &Config{Endpoints: endpoints, DiscoverMembers: true}
		s, err := open(t.Context(), cfg, noHost{})
		if err != nil {
			t.Fatal(err)
		}
		err = s.Probe(within(t))
		if got := fmt.Sprint(err); want == "" && err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("probing %q gives %q, want %q", endpoints, got, want)
		}
		if err != nil && sdk.AsProblem(err).Blame != sdk.BlameConfig {
			t.Errorf("it blames %q", sdk.AsProblem(err).Blame)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// noHost is a host that gives a source no settings, as for a probe.
type noHost struct{ sdk.Host }

func (noHost) Source() sdk.SourceSettings { return sdk.SourceSettings{} }

func TestAMistakeInTheBlockIsFoundOffline(t *testing.T) {
	t.Parallel()
	good := []string{"http://a:2379"}
	for _, c := range []struct {
		cfg  plugintest.Config
		want string
	}{
		{plugintest.Config{"endpoints": good}, ""},
		{plugintest.Config{"endpoints": []string{}}, "endpoints: endpoints is empty: give the client URL of at least one member"},
		{plugintest.Config{"endpoints": []string{"a:2379"}}, `endpoints[0]: endpoint "a:2379" does not start with http://host or https://host`},
		{plugintest.Config{"endpoints": []string{"http://[::1"}}, `endpoints[0]: endpoint "http://[::1" is no URL: write http://host:port or https://host:port`},
		{plugintest.Config{"endpoints": []string{"http://a"}}, `endpoints[0]: endpoint "http://a" has no port: etcd's is usually 2379`},
		{plugintest.Config{"endpoints": []string{"http://a:1/metrics"}}, `endpoints[0]: endpoint "http://a:1/metrics" goes on after the port: write http://a:1`},
		{plugintest.Config{"endpoints": []string{"http://me:pw@a:1"}}, `endpoints[0]: endpoint "http://me:xxxxx@a:1" holds a user: write it into username and password`},
		{plugintest.Config{"endpoints": []string{"http://a:1", "http://b:1", "http://a:1/"}}, "endpoints[2]: endpoint http://a:1 is there twice: remove one"},
		{plugintest.Config{"endpoints": good, "username": "me"}, "username: username needs a password beside it"},
		{plugintest.Config{"endpoints": good, "password": "pw"}, "password: password needs a username beside it"},
		{plugintest.Config{"endpoints": good, "username": "me", "password": "pw"}, "warning: endpoints: the password goes over the network in clear text: no endpoint is https://"},
		{plugintest.Config{"endpoints": good, "tls": plugintest.Config{"ca_file": "x"}}, "warning: tls: tls has no effect on the endpoints: none is https://"},
		{plugintest.Config{"endpoints": []string{"https://a:1"}, "tls": plugintest.Config{"cert_file": "x"}}, "tls: cert_file and key_file go together: one of them is missing"},
		{plugintest.Config{"endpoints": good, "metrics_endpoints": map[string]string{"m0": "b:2381"}}, `metrics_endpoints: metrics endpoint of "m0": "b:2381" does not start with http://host or https://host`},
	} {
		var got []string
		for _, d := range plugintest.Validate(t, etcd, c.cfg) {
			text := fmt.Sprintf("%s: %s", d.Path, d.Text)
			if d.Warning {
				text = "warning: " + text
			}
			got = append(got, text)
		}
		if strings.Join(got, "\n") != c.want {
			t.Errorf("%v\n got %q\nwant %q", c.cfg, got, c.want)
		}
	}
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

func TestErrorsOfAStatusAreTakenApart(t *testing.T) {
	t.Parallel()
	alarms, others := countErrors([]string{
		"memberID:8630161756594109333 alarm:NOSPACE ", // etcd 3.4 to 3.6
		"memberID:8630161756594109333  alarm:NOSPACE", // 3.7
		"alarm:CORRUPT",
		"etcdserver: no leader",
	})
	if alarms["NOSPACE"] != 2 || alarms["CORRUPT"] != 1 || others != 1 {
		t.Errorf("alarms %v, %v others", alarms, others)
	}
}
