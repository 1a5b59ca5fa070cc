package main

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

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
	if a, b := order(samples), order(p.Cycle()); !slices.Equal(a, b) {
		t.Errorf("the order of the metrics is not always the same, which makes the stream large:\n%q\n%q", a, b)
	}
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

// order lists the plugin's own series as they come, without the targets, which come in no order.
func order(samples plugintest.Samples) (names []string) {
	first := samples[0].Labels.Get("instance")
	for _, s := range live(samples).Find("up") {
		first = min(first, s.Labels.Get("instance"))
	}
	for _, s := range live(samples) {
		name := s.Labels.Get(sdk.NameLabel)
		if s.Labels.Get("instance") == first && (strings.HasPrefix(name, "etcd_status_") || strings.HasPrefix(name, "etcd_member_")) {
			names = append(names, name+s.Labels.Get("alarm"))
		}
	}
	return names
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
	down := until(t, p, "the third down", func(s plugintest.Samples) bool { // it may stop within a cycle, when some has been answered
		return slices.Equal(ups(s), c.ups(1, 1, 0)) && one(t, s, "etcd_status_success", "instance", c.host(2)) == 0 && one(t, s, "etcd_health", "instance", c.host(2)) == 0
	})
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
		if i > 50 { // the size that etcd compares is that of its last commit, each 100 ms
			time.Sleep(20 * time.Millisecond)
		}
		if i == 1000 {
			t.Fatal("100 MB fit into a quota of 1 MiB")
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
