package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

func TestTheProbeActsAsAClientAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	c := start(t, 3, nil)
	p := watch(t, plugintest.Config{"endpoints": c.urls(), "probe": plugintest.Config{"prefix": "watcher/"}}, often)
	writes := map[string]bool{}
	until(t, p, "every operation at every member", func(s plugintest.Samples) bool {
		for _, m := range live(s).Find("etcd_probe_duration_seconds_count", "operation", "delete") {
			writes[m.Labels.Get("instance")] = m.Value > 0
		}
		return len(writes) == 3 && len(live(s).Find("etcd_probe_duration_seconds_count", "operation", "linearizable_read")) == 3
	})
	samples := p.Cycle()
	for _, operation := range []string{"linearizable_read", "serializable_read", "put", "watch", "delete"} {
		if got := one(t, samples, "etcd_probe_success", "operation", operation, "instance", c.host(1)); got != 1 {
			t.Errorf("etcd_probe_success of %s is %v", operation, got)
		}
		all := one(t, samples, "etcd_probe_duration_seconds_bucket", "operation", operation, "instance", c.host(1), "le", "+Inf")
		if n := one(t, samples, "etcd_probe_duration_seconds_count", "operation", operation, "instance", c.host(1)); n != all || n < 1 {
			t.Errorf("%s: count %v, +Inf bucket %v", operation, n, all)
		}
	}
	admin := c.client(0, "", "")
	leases, err := admin.Leases(within(t))
	if err != nil || len(leases.Leases) != 1 {
		t.Errorf("%d leases, want one: %v", len(leases.Leases), err)
	}

	// What a probe leaves that is killed between put and delete goes with its lease: the least that etcd grants, here.
	killed := newProbe(&ProbeConfig{Prefix: "killed/"}, nil, 0)
	killed.ttl = time.Second
	if err := killed.keepLease(within(t), admin); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Put(within(t), "killed/x", "", clientv3.WithLease(killed.lease)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the key is gone", func() error {
		r, err := admin.Get(within(t), "killed/", clientv3.WithPrefix())
		if err == nil && r.Count != 0 {
			return fmt.Errorf("%d keys", r.Count)
		}
		return err
	})
	if err := killed.keepLease(within(t), admin); err != nil {
		t.Errorf("a lease that is gone is not taken anew: %v", err)
	}
}

func TestTheProbesLeaseIsGivenBack(t *testing.T) {
	t.Parallel()
	c := start(t, 1, nil)
	s, err := open(t.Context(), &Config{Access: Access{Reach: Reach{Endpoints: c.urls()}}, Probe: &ProbeConfig{Prefix: "p/"}}, noHost{})
	if err != nil {
		t.Fatal(err)
	}
	m := &member{url: c.url(0), instance: c.host(0)}
	if err := s.probe.write(within(t), m, &probed{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	leases, err := c.client(0, "", "").Leases(within(t))
	if err != nil || len(leases.Leases) != 0 {
		t.Errorf("%v, %v", leases, err)
	}
}

func TestTheExpiryOfCertificatesIsCollected(t *testing.T) {
	t.Parallel()
	c, tls := startTLS(t, 1)
	samples := watch(t, plugintest.Config{"endpoints": c.urls(), "tls": tls}, once).Cycle()
	for _, url := range []string{"client", "peer"} {
		left := time.Until(time.Unix(int64(one(t, samples, "etcd_certificate_expiry_timestamp_seconds", "url", url)), 0))
		if left < 30*time.Minute || left > time.Hour {
			t.Errorf("the certificate of the %s URL is said to expire in %v; it does within an hour", url, left)
		}
	}
	if one(t, samples, "etcd_peer_url_answers") != 1 {
		t.Error("the peer URL is said not to answer")
	}
}

func TestAWrongPeerURLIsSeenAsSoonAsTheListHasIt(t *testing.T) {
	t.Parallel()
	c := start(t, 3, nil)
	p := watch(t, plugintest.Config{"endpoints": c.urls()}, often)
	until(t, p, "all peer URLs answer", func(s plugintest.Samples) bool {
		urls := live(s).Find("etcd_peer_url_answers")
		return len(urls) == 3 && sum(urls) == 3
	})
	members, err := c.client(0, "", "").MemberList(within(t))
	if err != nil {
		t.Fatal(err)
	}
	url := freeURL(t)
	nowhere := url.String()
	if _, err := c.client(0, "", "").MemberUpdate(within(t), members.Members[1].ID, []string{nowhere}); err != nil {
		t.Fatal(err)
	}
	until(t, p, "the wrong one does not", func(s plugintest.Samples) bool {
		urls := live(s).Find("etcd_peer_url_answers")
		return len(urls) == 3 && sum(urls) == 2 && sum(live(s).Find("etcd_peer_url_answers", "peer_url", nowhere)) == 0
	})
}

// collected asserts what the source sees of a cluster that is well.
func collected(t *testing.T, c *cluster) {
	p := watch(t, plugintest.Config{"endpoints": c.urls(), "hash_interval": time.Hour}, often)
	samples := until(t, p, "all up, and their data compared", func(s plugintest.Samples) bool {
		return slices.Equal(ups(s), c.ups(1, 1, 1)) && len(live(s).Find("etcd_hash_differs")) == 3
	})
	if n := sum(samples.Find("etcd_hash_differs")); n != 0 {
		t.Errorf("%v members differ", n)
	}
	passes := live(samples).Find("etcd_health_check", "path", "readyz", "check", "data_corruption")
	if want := map[bool]int{true: 0, false: 3}[c.runs34(t)]; len(passes) != want || sum(passes) != float64(want) {
		t.Errorf("%d members say that their check for corruption passes, want %d", len(passes), want)
	}
}

// differing asserts that the source says that one member's data differ.
func differing(t *testing.T, c *cluster, odd int) {
	p := watch(t, plugintest.Config{"endpoints": c.urls(), "hash_interval": time.Hour}, often)
	samples := until(t, p, "the data compared", func(s plugintest.Samples) bool { return len(live(s).Find("etcd_hash_differs")) == 3 })
	for i := range 3 {
		if got := one(t, samples, "etcd_hash_differs", "instance", c.host(i)); got != number(i == odd) {
			t.Errorf("etcd_hash_differs of member %d is %v", i, got)
		}
	}
}

// limited asserts that a user without a role is told what it needs, and sees the rest.
func limited(t *testing.T, c *cluster) {
	user := plugintest.Config{"endpoints": c.urls(), "username": "monitor", "password": "s3cret-word"}
	for name, change := range map[string]func(plugintest.Config){
		"HashKV needs the role root":                   func(cfg plugintest.Config) { cfg["hash_interval"] = time.Hour },
		`the user may not write under "magpie/probe/"`: func(cfg plugintest.Config) { cfg["probe"] = plugintest.Config{} },
	} {
		cfg := plugintest.Config{}
		for k, v := range user {
			cfg[k] = v
		}
		change(cfg)
		p := watch(t, cfg, often)
		samples := until(t, p, name, func(s plugintest.Samples) bool { return strings.Contains(p.Health().Text, name) })
		if sum(samples.Find("etcd_status_success")) != 3 || !slices.Equal(ups(samples), c.ups(1, 1, 1)) {
			t.Errorf("%s: the rest is not collected: %q", name, ups(samples))
		}
	}
}

func TestChecksAreReadLineByLine(t *testing.T) {
	t.Parallel()
	got := fmt.Sprint(parseChecks("readyz", strings.NewReader("[+]data_corruption ok\n[-]linearizable_read failed: timeout\n[x]y z\nok\n[+]\n[+]bare\n")))
	if want := "[{readyz data_corruption true} {readyz linearizable_read false}]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func FuzzParseChecks(f *testing.F) {
	f.Add("[+]data_corruption ok\n[-]x failed: y\n")
	f.Add("[+]\xff 0")
	f.Fuzz(func(t *testing.T, body string) {
		for _, c := range parseChecks("livez", strings.NewReader(body)) {
			if c.name == "" || len(c.name) > 64 {
				t.Errorf("%q", c.name)
			}
		}
	})
}

func FuzzReading(f *testing.F) {
	f.Add("# TYPE etcd_a counter\netcd_a{b=\"c\"} 1\netcd_h_bucket{le=\"0.1\"} 3\netcd_h_bucket{le=\"+Inf\"} 4\n")
	f.Fuzz(func(t *testing.T, body string) {
		r, err := parseReading([]byte(body))
		if err != nil {
			return
		}
		for name := range r.series {
			r.sum(name)
			percentile99(nil, r, strings.TrimSuffix(name, "_bucket"))
			percentile99(r, r, strings.TrimSuffix(name, "_bucket"))
		}
	})
}

func TestThePercentileIsPrometheus(t *testing.T) {
	t.Parallel()
	page := func(counts ...int) *reading {
		text := ""
		for i, le := range []string{"0.1", "0.5", "1", "+Inf"} {
			text += fmt.Sprintf("etcd_x_bucket{le=%q} %d\n", le, counts[i])
		}
		r, err := parseReading([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if got, n := percentile99(page(100, 100, 100, 100), page(100, 150, 200, 200), "etcd_x"); fmt.Sprintf("%.2f %v", got, n) != "0.99 100" {
		t.Errorf("%v of %v", got, n)
	}
	if got, _ := percentile99(nil, page(1, 1, 1, 100), "etcd_x"); got != 1 {
		t.Errorf("beyond the last bound: %v", got)
	}
}
