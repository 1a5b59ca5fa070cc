package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	etcds "github.com/magpie-monitoring/magpie/examples/03-etcd-demo/cluster"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// The test binary is the members of clusters, and the program that is killed.
func TestMain(m *testing.M) {
	etcds.RunMember()
	if filepath.Base(os.Args[0]) == "magpie-bench" {
		main()
	}
	os.Exit(m.Run())
}

func startEtcd(t *testing.T, o etcds.Options) *etcds.Cluster {
	t.Helper()
	o.Dir, o.Members = t.TempDir(), 1
	c, err := etcds.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// benched runs a command line against a cluster.
func benched(t *testing.T, c *etcds.Cluster, args ...string) (r result, said string, code int) {
	t.Helper()
	var out, say bytes.Buffer
	words := []string{"etcd", "-endpoints", strings.Join(c.URLs(), ","), "-json"}
	if ca, cert, key := c.Files(); ca != "" {
		words = append(words, "-ca-file", ca, "-cert-file", cert, "-key-file", key)
	}
	code = run(t.Context(), append(words, args...), &out, &say)
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
	}
	return r, say.String(), code
}

// left is how many keys and leases are on a cluster.
func left(t *testing.T, c *etcds.Cluster) (keys int64, leases int) {
	t.Helper()
	client, err := c.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	k, err := client.Get(t.Context(), "", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		t.Fatal(err)
	}
	l, err := client.Leases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return k.Count, len(l.Leases)
}

func TestEveryWorkloadIsMeasuredAndLeavesNothing(t *testing.T) {
	t.Parallel()
	all := map[string]etcds.Options{"3.7": {TLS: true}, "3.4": {Program: plugintest.Program(t, "etcd")}}
	if os.Getenv("MAGPIE_SOAK") != "" { // make etcds builds them
		all["3.5"], all["3.6"] = etcds.Options{Program: "../../bin/etcd-3.5"}, etcds.Options{Program: "../../bin/etcd-3.6"}
	}
	for name, options := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startEtcd(t, options)
			for workload, kinds := range map[string]string{"write": "put", "read": "get", "mixed": "get put", "watch": "event put", "lease": "grant, keep alive, revoke"} {
				r, said, code := benched(t, c, "-workload", workload, "-rate", "200", "-clients", "110", "-duration", "1s", "-keys", "50", "-value-size", "100B")
				if code != 0 || said != "" || !r.Passed {
					t.Errorf("%s: exit %d: %s", workload, code, said)
				}
				var names []string
				for _, q := range r.Requests {
					names = append(names, q.Kind)
					sum := int64(0)
					for _, b := range q.Histogram {
						sum += b.Count
					}
					if q.Count == 0 || q.Errors != 0 || sum != q.Count || !(q.Fastest <= q.P50 && q.P50 <= q.P99 && q.P99 <= q.P999 && q.P999 <= q.Slowest) {
						t.Errorf("%s: %+v", workload, q)
					}
				}
				if got := strings.Join(names, " "); got != kinds {
					t.Errorf("%s: requests %q, want %q", workload, got, kinds)
				}
				if workload == "write" && len(r.Disks) == 0 {
					t.Error("nothing is said of disks")
				}
				if keys, leases := left(t, c); keys != 0 || leases != 0 {
					t.Errorf("%s leaves %d keys and %d leases", workload, keys, leases)
				}
			}
		})
	}
}

func TestWhatItWritesIsBounded(t *testing.T) {
	t.Parallel()
	c := startEtcd(t, etcds.Options{Set: map[string]any{"unsafe-no-fsync": true, "quota-backend-bytes": 32 << 20}})
	r, said, code := benched(t, c, "-workload", "write", "-rate", "100000", "-clients", "4", "-duration", "1m", "-bytes", "1MiB")
	if code != 0 || !strings.Contains(r.Note, "-bytes") || r.Requests[0].Count > 1<<20/1024 {
		t.Errorf("exit %d, %s, %+v", code, said, r)
	}
	for args, want := range map[string]string{
		"-clients 0":                             "-clients is 1 to 2000",
		"-clients 2001":                          "-clients is 1 to 2000",
		"-rate -1":                               "-rate is 0 to 100000",
		"-duration 11m -rate 1":                  "-duration is 1s to 10m0s",
		"-keys 1000001":                          "-keys is 1 to 1000000",
		"-value-size 2MiB":                       "-value-size is at most 1MiB",
		"-bytes 5GiB":                            "-bytes is 1 to 4GiB",
		"-prefix /":                              "-prefix has four characters at least",
		"-load s -rate 10":                       "-load says -rate, -clients and -duration",
		"-load huge":                             "-load is s, m, l or xl",
		"-workload nothing":                      "-workload is one of write, read, mixed, watch, lease",
		"-workload read -load s":                 "-load is for writes",
		"-reads 101 -workload mixed":             "-reads is a percentage",
		"-user root":                             "needs a password",
		"source.etcd.a source.etcd.b":            "one component at a time",
		"-workload write -load l":                "more than half of the ",
		"-workload write -rate 0 -bytes 1GiB":    "more than half of the ",
		"-endpoints 10.0.0.1:2379":               "is no URL",
		"-endpoints http://127.0.0.1:1 -rate 10": "asking http://127.0.0.1:1 for the members",
	} {
		if r, said, code := benched(t, c, strings.Fields(args)...); code != 1 || !strings.Contains(said, want) || len(r.Requests) != 0 {
			t.Errorf("%s: exit %d, %q, want %q", args, code, said, want)
		}
	}
	if keys, leases := left(t, c); keys != 0 || leases != 0 {
		t.Errorf("%d keys and %d leases are left", keys, leases)
	}
	client, err := c.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Put(t.Context(), "/magpie-bench/mine", "x"); err != nil {
		t.Fatal(err)
	}
	if _, said, code := benched(t, c, "-rate", "1", "-duration", "1s"); code != 1 || !strings.Contains(said, "there are 1 keys under /magpie-bench/") {
		t.Errorf("over somebody's keys: exit %d, %s", code, said)
	}
	if keys, _ := left(t, c); keys != 1 {
		t.Error("somebody else's key was deleted")
	}
}

// TestAFullClusterIsNotWrittenTo: neither from the beginning nor once it becomes so.
func TestAFullClusterIsNotWrittenTo(t *testing.T) {
	t.Parallel()
	c := startEtcd(t, etcds.Options{Set: map[string]any{"unsafe-no-fsync": true, "quota-backend-bytes": 8 << 20}})
	fill, err := etcds.Named("fill-quota")
	if err != nil {
		t.Fatal(err)
	}
	running := make(chan string)
	go func() {
		_, said, code := benched(t, c, "-rate", "5", "-clients", "2", "-duration", "1m", "-keys", "2", "-value-size", "10B")
		running <- fmt.Sprint(code, said)
	}()
	for keys := int64(0); keys == 0; keys, _ = left(t, c) {
		time.Sleep(20 * time.Millisecond)
	}
	broken, err := fill.Do(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if said := <-running; !strings.HasPrefix(said, "1") || !strings.Contains(said, "it was ended early: "+c.URL(0)) {
		t.Errorf("the run that was under way: %s", said)
	}
	if _, said, code := benched(t, c, "-rate", "1", "-duration", "1s"); code != 1 || !strings.Contains(said, "has an alarm") {
		t.Errorf("with an alarm: exit %d, %s", code, said)
	}
	if err := broken.Repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, said, code := benched(t, c, "-rate", "5", "-duration", "1s", "-value-size", "10B"); code != 0 {
		t.Errorf("after the repair: exit %d, %s", code, said)
	}
}

// TestNothingIsLeftBehind of a run that is interrupted, at once, and of one that is killed, when its lease ends.
func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	c := startEtcd(t, etcds.Options{Set: map[string]any{"unsafe-no-fsync": true}})
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		p := &exec.Cmd{Path: self, Args: []string{"magpie-bench", "etcd", "-endpoints", c.URL(0), "-rate", "50", "-clients", "3", "-duration", "5m"}, Stdout: &out, Stderr: &out}
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		for keys := int64(0); keys == 0; keys, _ = left(t, c) {
			time.Sleep(20 * time.Millisecond)
		}
		p.Process.Signal(signal)
		p.Wait()
		keys, leases := left(t, c)
		if signal == syscall.SIGINT && (keys != 0 || leases != 0 || !strings.Contains(out.String(), "it was interrupted") || !strings.Contains(out.String(), "put: ") || p.ProcessState.ExitCode() != 1) {
			t.Errorf("after an interrupt %d keys and %d leases are left; exit %d\n%s", keys, leases, p.ProcessState.ExitCode(), out.String())
		}
		if signal == syscall.SIGKILL {
			ends(t, c, keys)
		}
	}
}

// ends asserts that all keys hang on a lease that ends, without waiting the minute.
func ends(t *testing.T, c *etcds.Cluster, keys int64) {
	t.Helper()
	client, err := c.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	all, err := client.Leases(context.Background())
	if err != nil || len(all.Leases) != 1 || keys == 0 {
		t.Fatalf("%d keys and the leases %v, %v", keys, all, err)
	}
	l, err := client.TimeToLive(context.Background(), all.Leases[0].ID, clientv3.WithAttachedKeys())
	if err != nil || int64(len(l.Keys)) != keys || l.TTL < 1 || l.TTL > leaseFor {
		t.Errorf("%d keys, and the lease has %d for %d s: %v", keys, len(l.Keys), l.TTL, err)
	}
}

func TestAComponentOfTheConfigurationSaysWhere(t *testing.T) {
	t.Parallel()
	text := `{"hcl": "", "blocks": [{"address": "source.etcd.main", "type": "source", "attributes": {
		"endpoints": {"value": ["https://10.0.0.1:2379", "https://10.0.0.2:2379"]}, "username": {"value": "bench"}, "password": {"value": null, "sensitive": true}},
		"blocks": [{"type": "probe"}, {"type": "tls", "attributes": {"ca_file": {"value": "ca.pem"}, "cert_file": {"value": "c.pem"}, "key_file": {"value": "k.pem"}}}]}]}`
	a := access{}
	if err := a.shown("source.etcd.main", []byte(text)); err != nil {
		t.Fatal(err)
	}
	if a.endpoints != "https://10.0.0.1:2379,https://10.0.0.2:2379" || a.user != "bench" || a.tls.CAFile != "ca.pem" || a.tls.CertFile != "c.pem" || a.tls.KeyFile != "k.pem" {
		t.Errorf("%+v", a)
	}
	if err := a.shown("source.etcd.other", []byte(text)); err == nil || !strings.Contains(err.Error(), "has no endpoints") {
		t.Error(err)
	}
	a = access{endpoints: "http://127.0.0.1:1"} // what is given goes before
	if err := a.shown("source.etcd.main", []byte(text)); err != nil || a.endpoints != "http://127.0.0.1:1" {
		t.Errorf("%v, %+v", err, a)
	}
}

func TestTheLimitsAreThoseOfEtcdctl(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                   string
		n                      int
		each, slowest, seconds float64
		fails                  string
	}{
		{"well", 9000, 0.005, 0.4, 60, ""},
		{"just enough", 8101, 0.005, 0.4, 60, ""},
		{"too few", 8100, 0.005, 0.4, 60, "throughput is 135 writes/s of 150"},
		{"one too slow", 9000, 0.005, 0.6, 60, "the slowest request took 600 ms"},
	} {
		m := &measured{}
		for range c.n - 1 {
			m.add("put", time.Duration(c.each*1e9), nil)
		}
		m.add("put", time.Duration(c.slowest*1e9), nil)
		r := newResult(&settings{workload: "write", load: "s", rate: 150}, m, time.Duration(c.seconds*1e9), nil)
		failed := ""
		for _, v := range r.Verdicts {
			if !v.Passed {
				failed += v.Text
			}
		}
		if r.Passed != (c.fails == "") || !strings.HasPrefix(failed, c.fails) {
			t.Errorf("%s: %+v", c.name, r.Verdicts)
		}
		var text bytes.Buffer
		if r.text(&text); !strings.Contains(text.String(), "as etcdctl check perf judges:") || !strings.Contains(text.String(), "█") {
			t.Error(text.String())
		}
	}
}

func TestPercentilesAreWithinAHundredthOfADecade(t *testing.T) {
	t.Parallel()
	m := &measured{}
	for i := range 10_000 {
		m.add("x", time.Duration(i+1)*10*time.Microsecond, nil) // to 100 ms
	}
	for p, want := range map[float64]float64{0.5: 0.05, 0.9: 0.09, 0.99: 0.099, 1: 0.1} {
		if got := m.kinds["x"].percentile(p); got < want || got > want*1.024 {
			t.Errorf("the percentile %v is %v, want %v", p, got, want)
		}
	}
}

func FuzzMetricsPage(f *testing.F) {
	f.Add([]byte("# HELP x\nx_bucket{le=\"0.1\"} 3\nx_bucket{le=\"+Inf\"} 4\nx_count 4\n"))
	f.Fuzz(func(t *testing.T, page []byte) {
		values := map[string]float64{}
		readPage(bytes.NewReader(page), values)
		percentile99(nil, values, "x")
	})
}
