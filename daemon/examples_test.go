package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// What a user finds in the repository: the configuration at its top, and those of examples/.

func TestEveryExampleIsValid(t *testing.T) {
	t.Parallel()
	examples, err := filepath.Glob("../examples/[0-9]*/config.hcl") // plugins/ holds those of authors outside
	shared, _ := filepath.Glob("../examples/packs/*")               // whose own tests take long: make check runs them
	examples = append(examples, shared...)
	if err != nil || len(examples) == 0 {
		t.Fatal("no examples: ", err)
	}
	for i, path := range examples {
		examples[i] = strings.TrimSuffix(path, "/config.hcl") // a program among them has none
	}
	for _, path := range append(examples, "../config.hcl") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			absolute, err := filepath.Abs(path)
			if err != nil {
				t.Fatal(err)
			}
			stdout, stderr, code := command(t, t.TempDir(), "check", absolute)
			if code != 0 || stderr != "" || !strings.Contains(stdout, "is valid") {
				t.Errorf("exit %d\n%s%s", code, stdout, stderr)
			}
			packs, _ := filepath.Glob(filepath.Join(absolute, "packs/*"))
			for _, alone := range packs {
				if stdout, stderr, code := command(t, t.TempDir(), "check", alone); code != 0 || stderr != "" || !strings.Contains(stdout, "is valid as a pack") {
					t.Errorf("exit %d\n%s%s", code, stdout, stderr)
				}
				for _, with := range []string{absolute, alone} {
					if stdout, stderr, code := command(t, t.TempDir(), "test", with); code != 0 {
						t.Errorf("test %s: exit %d\n%s%s", with, code, stdout, stderr)
					}
				}
			}
			if _, err := os.Stat(filepath.Join(path, "README.md")); err != nil && filepath.Base(path) != "config.hcl" {
				t.Error("an example says what one should see: ", err)
			}
		})
	}
}

func TestTheFirstExampleIsTheConfigurationAtTheTopAndAnEtcd(t *testing.T) {
	t.Parallel()
	top, err := os.ReadFile("../config.hcl")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("../examples/01-etcd/config.hcl")
	if err != nil {
		t.Fatal(err)
	}
	if string(top) != string(example) {
		t.Error("config.hcl and examples/01-etcd/config.hcl differ: copy the first over the second")
	}
}

// runCopy runs a copy of a configuration, a file or a directory, with some of its texts replaced: the daemon's own port at
// least, which may be taken on this machine.
func runCopy(t *testing.T, path string, oldnew ...string) *magpie {
	t.Helper()
	m := &magpie{TB: t, dir: t.TempDir(), args: []string{"."}}
	under := filepath.Dir(path)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		under = path
	}
	listen := plugintest.FreeAddress(t)
	replacer := strings.NewReplacer(append(oldnew, "127.0.0.1:9470", listen)...)
	err := filepath.WalkDir(path, func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		to := filepath.Join(m.dir, strings.TrimPrefix(file, under))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		return os.WriteFile(to, []byte(replacer.Replace(string(text))), 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	m.run()
	t.Cleanup(func() {
		m.cmd.Process.Signal(syscall.SIGTERM)
		<-m.done
		if t.Failed() {
			t.Logf("the daemon's log:\n%s", m.logged())
		}
	})
	return m
}

// A healthy machine: every rule is evaluated without an error, and none of them fires.
func (m *magpie) quiet(rules []string) {
	m.Helper()
	type rule struct {
		Name, State, Health, LastError string
	}
	var answer struct {
		Data struct {
			Groups []struct{ Rules []rule }
		}
	}
	var all []rule
	m.eventually("every rule is evaluated", func() bool {
		answer.Data.Groups, all = nil, nil
		json.Unmarshal(m.get("/api/v1/rules"), &answer)
		for _, g := range answer.Data.Groups {
			all = append(all, g.Rules...)
		}
		return len(all) > 0 && !slices.ContainsFunc(all, func(r rule) bool { return r.Health == "unknown" })
	})
	for _, r := range all {
		if r.Health != "ok" || r.State == "firing" {
			m.Errorf("%+v", r)
		}
	}
	for _, name := range rules {
		if !slices.ContainsFunc(all, func(r rule) bool { return r.Name == name }) {
			m.Errorf("there is no rule %s", name)
		}
	}
}

func TestTheConfigurationAtTheTopShowsThisMachineWithinTenSeconds(t *testing.T) {
	t.Parallel()
	m := runCopy(t, "../config.hcl")
	began := time.Now()
	m.value("node_load1")
	within(t, "node_load1 had a value", time.Since(began), 10*time.Second)
	m.value(`up{job="node"} == 1`)
	m.value(`up{job="magpie"} == 1`)
	m.value("magpie_build_info")
	m.quiet([]string{"HostFilesystemAlmostFull", "HostMemoryShort", "TargetDown", "MagpiePipelineStuck"})
}

func TestTheFirstExampleWatchesAnEtcd(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	pack, err := filepath.Abs(etcdPack)
	if err != nil {
		t.Fatal(err)
	}
	m := runCopy(t, "../examples/01-etcd", "http://127.0.0.1:2379", "http://"+c.Instance(0)+",http://"+c.Instance(1), "../packs/etcd", pack)
	m.value("node_load1")
	m.eventually("all three members have a leader", func() bool {
		return len(m.query(`etcd_server_has_leader{job="etcd", cluster="main"} == 1`)) == 3
	})
	m.quiet([]string{"etcdMembersDown", "etcdNoLeader", "etcdDatabaseQuotaLowSpace"})
	// Each alert reads series that this etcd has: the others would never fire.
	for _, selector := range []string{
		"etcd_status_alarms", "etcd_health == 1", "etcd_server_leader_changes_seen_total", "etcd_server_proposals_failed_total",
		`etcd_disk_wal_fsync_duration_seconds_bucket{le="+Inf"}`, `etcd_disk_backend_commit_duration_seconds_bucket{le="+Inf"}`,
		`etcd_network_peer_round_trip_time_seconds_bucket{le="+Inf"}`, "etcd_mvcc_db_total_size_in_bytes", "etcd_mvcc_db_total_size_in_use_in_bytes",
		"etcd_server_quota_backend_bytes", `grpc_server_handled_total{grpc_method="Range"}`, `etcd_server_request_duration_seconds_bucket{le="+Inf"}`,
	} {
		m.eventually("there is "+selector, func() bool { return len(m.query(selector)) > 0 }) // some only once the members have spoken
	}
	c.Stop(2)
	m.eventually("the lost member is pending", func() bool { return m.alert("etcdMembersDown", c.Instance(2)) == "pending" })
	if got := m.query("ALERTS{alertname=~'etcdInsufficientMembers|etcdNoLeader'}"); len(got) != 0 {
		t.Errorf("two of three members are a quorum: %v", got)
	}
}

func TestTheSecondExampleWatchesItselfByAPack(t *testing.T) {
	t.Parallel()
	m := runCopy(t, "../examples/02-pack")
	m.value(`up{job="magpie", place="here"} == 1`)
	m.value(`magpie_component_up{component="pack.magpie.source.prometheus.daemons[\"here\"]"} == 1`)
	m.quiet([]string{"MagpieDown", "MagpieComponentDown", "MagpiePipelineStuck", "MagpieSamplesLost"})
	var list struct {
		Dashboards []struct{ Name, Title string }
	}
	json.Unmarshal(m.get("/api/magpie/v1/dashboards"), &list)
	if len(list.Dashboards) != 1 || list.Dashboards[0].Name != "pack.magpie.magpie" || list.Dashboards[0].Title != "Magpie" {
		t.Errorf("%+v", list)
	}
	// Each of the dashboard's queries is of series that there are.
	file, err := os.ReadFile("../examples/02-pack/packs/magpie/dashboards/magpie.json")
	if got := m.get("/api/magpie/v1/dashboards/pack.magpie.magpie"); err != nil || string(got) != string(file) {
		t.Errorf("%v: %.200s", err, got)
	}
	for _, selector := range []string{"magpie_source_samples_total", "magpie_pipeline_lag_seconds", "magpie_plugin_proportional_memory_bytes", "magpie_component_up"} {
		m.eventually("there is "+selector, func() bool { return len(m.query(selector+`{place=~"here"}`)) > 0 })
	}
	out, stderr, code := m.cli("show", "pack.magpie")
	if code != 0 || !strings.Contains(out, "# pack.magpie[\"here\"]") && !strings.Contains(out, "# overridden at config.hcl:42:14") {
		t.Errorf("exit %d\n%s%s", code, out, stderr)
	}
}
