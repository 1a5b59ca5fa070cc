package main

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
)

// calledBefore and calledNow are the same but for every name.
const calledBefore = `
source "host" "old" { job = "node" }
store "tsdb" "old" {}
pipeline "old" {
  from = [source.host.old]
  to   = [store.tsdb.old]
}
rules "old" {
  alert "Seen" { expr = "node_load1 >= 0" }
}
`

const calledNow = `
source "host" "new" {
  for_each = toset(["one"])
  job      = "node"
}
store "tsdb" "new" {}
pipeline "new" {
  from = [source.host.new]
  to   = [store.tsdb.new]
}
rules "new" {
  alert "Seen" { expr = "node_load1 >= 0" }
}
moved {
  from = source.host.old
  to   = source.host.new["one"]
}
moved {
  from = store.tsdb.old
  to   = store.tsdb.new
}
moved {
  from = pipeline.old
  to   = pipeline.new
}
moved {
  from = rules.old
  to   = rules.new
}
`

// activeSince is when the alert of the tests became active; "" while it is not.
func (m *magpie) activeSince() string {
	var answer struct {
		Data struct {
			Alerts []struct{ ActiveAt, State string }
		}
	}
	if err := json.Unmarshal(m.get("/api/v1/alerts"), &answer); err != nil || len(answer.Data.Alerts) != 1 || answer.Data.Alerts[0].State != "firing" {
		return ""
	}
	return answer.Data.Alerts[0].ActiveAt
}

func TestWhatIsMovedKeepsItsDataItsPlaceAndItsTimers(t *testing.T) {
	t.Parallel()
	for name, reload := range map[string]func(m *magpie){
		"while it runs": func(m *magpie) {
			out, _, code := m.cli("plan")
			if code != 2 || !strings.Contains(out, `> source.host.new["one"]`) || !strings.Contains(out, "move from store.tsdb.old") || strings.Contains(out, "create\n") || strings.Contains(out, "remove\n") {
				m.Errorf("plan: exit %d\n%s", code, out)
			}
			m.cmd.Process.Signal(syscall.SIGHUP)
		},
		"while it is down": func(m *magpie) {
			m.cmd.Process.Signal(syscall.SIGTERM)
			<-m.done
			m.run()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := start(t, calledBefore)
			since := ""
			m.eventually("the alert fires", func() bool { since = m.activeSince(); return since != "" })
			m.eventually("there are some samples", func() bool { return number(m.value("count_over_time(node_load1[5m])")) >= 3 })
			m.write(calledNow)
			if reload(m); t.Failed() {
				return
			}
			m.eventually("the new names run", func() bool {
				out, _, _ := m.cli("status")
				return strings.Contains(out, `source.host.new["one"]`) && strings.Contains(out, "pipeline.new → store.tsdb.new") && !strings.Contains(out, ".old")
			})
			m.eventually("the alert is there", func() bool { return m.activeSince() != "" })
			if got := m.activeSince(); got != since {
				t.Errorf("the alert is active since %s, and it was since %s", got, since)
			}
			m.eventually("new samples come behind the old ones", func() bool {
				s := m.query("count_over_time(node_load1[5m])")
				return len(s) == 1 && number(s[0].Value[1]) > 5
			})
			if strings.Contains(m.logged(), "[ERROR]") || strings.Contains(m.logged(), "resolved") {
				t.Error("something went wrong on the way")
			}
		})
	}
}

func TestAKeyThatGoesTakesOnlyItsOwn(t *testing.T) {
	t.Parallel()
	config := func() string {
		return "variable \"keys\" { type = set(string) }\nsource \"host\" \"h\" {\n for_each = var.keys\n labels = { key = each.key }\n}\nstore \"tsdb\" \"main\" {}\n"
	}
	m := start(t, config(), "-var", `keys=["a", "b", "c"]`)
	m.eventually("all are seen", func() bool { return len(m.query("node_load1")) == 3 })
	before := m.pids()
	out, _, code := m.cli("plan", "-var", `keys=["a", "c"]`)
	if code != 2 || !strings.Contains(out, `- source.host.h["b"]`) || !strings.Contains(out, "1 to remove; 3 keep running untouched") {
		t.Errorf("plan: exit %d\n%s", code, out)
	}
	m.cmd.Process.Signal(syscall.SIGHUP)
	if after := m.pids(); after["host"] != before["host"] || len(m.query("node_load1")) != 3 {
		t.Errorf("%v, and it was %v", after, before)
	}
}
