package notify

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

func equals(label, value string) []sdk.Matcher {
	return []sdk.Matcher{{Label: label, Op: "=", Value: value}}
}

// severe makes an alert of a cluster.
func severe(name, severity, cluster string) Alert {
	a := firing(name)
	a.Labels["severity"], a.Labels["cluster"] = severity, cluster
	return a
}

func ended(a Alert) Alert {
	a.Status, a.EndsAt = sdk.Resolved, time.Now()
	return a
}

var criticalOverWarning = Inhibition{Source: equals("severity", "critical"), Target: equals("severity", "warning"), Equal: []string{"cluster", "nobody has it"}}

func TestAnAlertIsNotToldWhileAnotherInhibitsIt(t *testing.T) {
	run(t, "inhibit", func(t *testing.T, w *world) {
		n := w.notifier()
		defer n.Stop()
		route := simple("r")
		route.GroupBy = []string{"alertname"}
		if err := n.SetRoute(route, criticalOverWarning); err != nil {
			t.Fatal(err)
		}
		down, slow := severe("Down", "critical", "x"), severe("Slow", "warning", "x")
		n.Put([]Alert{down})
		time.Sleep(time.Second)
		n.Put([]Alert{slow, severe("Slow", "warning", "y")})
		time.Sleep(time.Minute)
		w.want("r firing: Down", "r firing: Slow") // of cluster y
		if s := n.Snapshot(); s.Inhibited != 1 || s.Alerts != 3 {
			t.Errorf("%d of %d are inhibited", s.Inhibited, s.Alerts)
		}
		n.Put([]Alert{ended(down)})
		time.Sleep(10 * time.Minute)
		w.want("r resolved: Down-", "r firing: Slow Slow")
		n.Put([]Alert{down})
		time.Sleep(10 * time.Minute)
		w.want("r firing: Down") // nothing is told of what is inhibited now
		n.Put([]Alert{ended(slow)})
		time.Sleep(10 * time.Minute)
		n.Put([]Alert{ended(down)})
		time.Sleep(10 * time.Minute)
		w.want("r resolved: Down-") // that Slow ended while it was inhibited is not told, as in Alertmanager
	})
}

func TestASourceInhibitsThoughNobodyIsToldOfIt(t *testing.T) {
	run(t, "unrouted", func(t *testing.T, w *world) {
		n := w.notifier()
		root, warnings := simple(), simple("r")
		root.Notify, warnings.Match = nil, equals("severity", "warning")
		root.Routes = []*Route{warnings}
		if err := n.SetRoute(root, criticalOverWarning); err != nil {
			t.Fatal(err)
		}
		down := severe("Down", "critical", "x")
		down.ValidFor = time.Hour
		n.Put([]Alert{down, severe("Slow", "warning", "x")})
		time.Sleep(10 * time.Minute)
		w.want()
		n.Stop()
		n = w.notifier() // after a restart too
		defer func() { n.Stop() }()
		if err := n.SetRoute(root, criticalOverWarning); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		w.want()
		time.Sleep(time.Hour) // nobody renewed it
		w.want("r firing: Slow")
		n.Put([]Alert{severe("Slow", "warning", "x"), severe("Other", "warning", "y")})
		time.Sleep(time.Hour)
		if s := n.Snapshot(); s.Alerts != 2 || s.Inhibited != 0 || len(n.inhibitions[0].firing) != 0 {
			t.Errorf("what nobody renewed is not forgotten: %+v, %v", s, n.inhibitions[0].firing)
		}
	})
}

// Alertmanager's API says of each alert whether it is inhibited.
func TestTheSameAlertsAreInhibitedAsInAlertmanager(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 11))
		matchers := func() (list []sdk.Matcher) {
			for range 1 + r.IntN(2) {
				m := sdk.Matcher{Label: []string{"a", "b", "c"}[r.IntN(3)], Op: []string{"=", "!=", "=~", "!~"}[r.IntN(4)]}
				m.Value = []string{"1", "2", "1|2", ".+", ""}[r.IntN(5)]
				list = append(list, m)
			}
			return list
		}
		var inhibitions []Inhibition
		text := "inhibit_rules:\n"
		for range 3 {
			i := Inhibition{Source: append(matchers(), sdk.Matcher{Label: "d", Op: "=~", Value: "[0-3]"}), Target: matchers(), Equal: [][]string{nil, {"a"}, {"b", "d"}}[r.IntN(3)]}
			inhibitions = append(inhibitions, i)
			text += fmt.Sprintf("- source_matchers: %s\n  target_matchers: %s\n  equal: [%s]\n", matchersYAML(i.Source), matchersYAML(i.Target), strings.Join(i.Equal, ", "))
		}
		address, _ := alertmanagerWith(t, simple("r0"), 1, text)
		n := New(Options{Load: func(string) ([]byte, error) { return nil, nil }, Save: func(string, []byte) error { return nil }})
		t.Cleanup(n.Stop)
		quiet := simple("r0")
		quiet.GroupWait = time.Hour // nothing is delivered
		if err := n.SetRoute(quiet, inhibitions...); err != nil {
			t.Fatal(err)
		}
		for range 40 {
			a := firing("A")
			a.Labels = map[string]string{"alertname": "A"}
			for _, name := range []string{"a", "b", "c", "d"} {
				if value := r.IntN(4); value > 0 {
					a.Labels[name] = fmt.Sprint(value)
				}
			}
			a.StartsAt = a.StartsAt.UTC().Truncate(time.Millisecond)
			post(t, address, a)
			n.Put([]Alert{a})
		}
		var ours []string
		n.mu.Lock()
		for a := range maps.Values(n.alerts) {
			if n.inhibited(a) {
				ours = append(ours, labelsText(a.Labels))
			}
		}
		all := len(n.alerts)
		n.mu.Unlock()
		slices.Sort(ours)
		theirs := func() (list []string) {
			resp, err := http.Get("http://" + address + "/api/v2/alerts")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var alerts []struct {
				Labels map[string]string
				Status struct{ InhibitedBy []string }
			}
			if err := json.NewDecoder(resp.Body).Decode(&alerts); err != nil {
				t.Fatal(err)
			}
			for _, a := range alerts {
				if len(a.Status.InhibitedBy) > 0 {
					list = append(list, labelsText(a.Labels))
				}
			}
			slices.Sort(list)
			return list
		}
		var got []string
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) { // it hears of alerts a moment later
			if got = theirs(); slices.Equal(got, ours) || time.Now().After(deadline) {
				break
			}
		}
		if !slices.Equal(got, ours) {
			t.Errorf("%s\nAlertmanager inhibits %d:\n%s\nwe %d:\n%s", text, len(got), strings.Join(got, "\n"), len(ours), strings.Join(ours, "\n"))
		}
		t.Logf("series %d: %d of %d alerts are inhibited", seed, len(ours), all)
	}
}

func matchersYAML(list []sdk.Matcher) string {
	var texts []string
	for _, m := range list {
		texts = append(texts, fmt.Sprintf("'%s%s%q'", m.Label, m.Op, m.Value))
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

// withMore adds text to a configuration.
func withMore(t *testing.T, path, text string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		path = filepath.Join(t.TempDir(), "alertmanager.yml")
		err = os.WriteFile(path, append(b, text...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}
