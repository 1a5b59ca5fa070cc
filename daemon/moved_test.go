package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
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
		"while it is down": (*magpie).restart,
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

// Rules that stood in the configuration, by themselves and in a group, go into a pack: no alert begins anew, and nobody is told anything.
func TestRulesThatMoveIntoAPackKeepTheirTimers(t *testing.T) {
	t.Parallel()
	const (
		fires = "alert \"Fires\" { expr = \"vector(1)\" }\n"
		waits = "alert \"Waits\" {\n  expr = \"vector(2)\"\n  for  = \"1h\"\n}\n"
		named = "rules \"named\" {\n  alert \"Named\" { expr = \"vector(3)\" }\n}\n"
	)
	for name, change := range map[string]func(m *magpie){
		"while it runs": func(m *magpie) {
			if out, stderr, code := m.cli("apply", "-yes"); code != 0 {
				m.Fatalf("apply: exit %d\n%s%s", code, out, stderr)
			}
		},
		"while it is down": (*magpie).restart,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			box := newMailbox(t)
			said := func() string {
				box.mu.Lock()
				defer box.mu.Unlock()
				told := map[string]int{} // firing Fires: how often
				for _, message := range box.mail {
					for _, a := range message.Alerts {
						told[a.Status+" "+a.Labels["alertname"]]++
					}
				}
				return fmt.Sprint(told)
			}
			around := fmt.Sprintf(`
store "tsdb" "main" {}
notifier "webhook" "box" { url = %q }
route {
  notify         = [notifier.webhook.box]
  group_by       = ["alertname"]
  group_wait     = "0s"
  group_interval = "1s"
}
alert "Stays" { expr = "vector(4)" }
`, box.URL)
			m := start(t, around+fires+waits+named)
			first := "map[firing Fires:1 firing Named:1 firing Stays:1]"
			m.eventually("what fires is told", func() bool { return said() == first })
			waited := func() (since time.Duration) { // for how long, when it was evaluated last
				s := m.query(`timestamp(ALERTS_FOR_STATE{alertname="Waits"}) - ALERTS_FOR_STATE{alertname="Waits"}`)
				if len(s) == 1 {
					since = time.Duration(number(s[0].Value[1]) * float64(time.Second))
				}
				return since
			}
			m.eventually("one waits", func() bool { return waited() >= 4*time.Second })
			before := map[string]time.Time{"Fires": m.activeAt("Fires"), "Named": m.activeAt("Named"), "Stays": m.activeAt("Stays")}

			m.file("pack/main.hcl", fires+waits+named)
			m.write(around + "pack \"p\" { source = \"./pack\" }\nmoved {\n  from = rules.named\n  to   = pack.p.rules.named\n}\n")
			change(m)
			m.eventually("the rules of the pack are evaluated", func() bool {
				var answer struct {
					Data struct {
						Groups []struct {
							Name           string
							LastEvaluation time.Time
						}
					}
				}
				json.Unmarshal(m.get("/api/v1/rules"), &answer)
				evaluated := 0
				for _, g := range answer.Data.Groups {
					if strings.HasPrefix(g.Name, "pack.p.") && !g.LastEvaluation.IsZero() {
						evaluated++
					}
				}
				return evaluated == 2 && !m.activeAt("Waits").IsZero() && !m.activeAt("Stays").IsZero()
			})
			for name, at := range before {
				if now := m.activeAt(name); !now.Equal(at) {
					t.Errorf("%s is active since %s, and it was since %s", name, now, at)
				}
			}
			if got := waited(); got < 3*time.Second { // in whole seconds
				t.Errorf("Waits has waited %s", got)
			}
			m.eventually("they go on", func() bool { return waited() >= 7*time.Second })
			if got := said(); got != first {
				t.Errorf("told: %s", got)
			}
		})
	}
}
