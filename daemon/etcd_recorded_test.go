package main

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/magpie-monitoring/magpie/examples/03-etcd-demo/cluster"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// The pack's rules on series of real clusters that break: promtool and magpie see the same alerts. The series are recorded, two seconds to a
// step, and told to both as one step a minute, so that what waits for minutes fires too. MAGPIE_RECORD=1 records them anew, with -run Recorded.

const recordedStep = 2 * time.Second

// The breaks of a recording, in order, and the alerts that fire at some time of it.
var recordedBreaks = []string{"stop-member", "lose-quorum", "compact", "fill-quota"}

func TestTheRulesOfThePackEtcdFireOnRecordedClustersAsTheyDoUnderPromtool(t *testing.T) {
	t.Parallel()
	promtool := plugintest.Program(t, "promtool")
	text, rules := readEtcdRules(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "etcd.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set := readRuleSet(t, path)
	for _, version := range []string{"3.4", "3.7"} {
		t.Run(version, func(t *testing.T) {
			if os.Getenv("MAGPIE_RECORD") != "" {
				record(t, version, rules)
			}
			one := &ruleTestOne{Interval: "59s13ms"} // as in rulesets_test.go: both versions see the same then
			minutes := 0
			for _, s := range readRecorded(t, version) {
				one.Series = append(one.Series, s)
				minutes = max(minutes, steps(t, s.Values))
			}
			f := &ruleTestFile{RuleFiles: []string{path}, Every: "61s", Order: set.groups, Tests: []*ruleTestOne{one}}
			for at := 4; at < minutes; at += 4 {
				for _, name := range set.alerts {
					one.Alerts = append(one.Alerts, &fileAlert{At: fmt.Sprint(at, "m"), Name: name})
				}
			}
			fired := 0
			f.compare(t, promtool, 0, &fired)
			ever := map[string]bool{}
			for _, a := range one.Alerts {
				if len(a.Alerts) > 0 {
					ever[a.Name] = true
				}
			}
			t.Logf("%d series over %d steps; %d alerts fired, %d times in all: %v", len(one.Series), minutes, len(ever), fired, keysOf(ever))
			for _, name := range []string{"etcdMembersDown", "etcdInsufficientMembers", "etcdNoLeader", "etcdAlarm", "etcdDatabaseQuotaLowSpace", "etcdUnhealthy"} {
				if !ever[name] {
					t.Errorf("%s does not fire: the recording is not what it should be", name)
				}
			}
		})
	}
}

func keysOf(m map[string]bool) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func recordedPath(version string) string { return "testdata/etcd-" + version + ".series" }

// readRecorded reads a series and its values from each line, in promtool's notation.
func readRecorded(t *testing.T, version string) (all []fileSeries) {
	t.Helper()
	text, err := os.ReadFile(recordedPath(version))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		series, values, ok := strings.Cut(strings.TrimSpace(line), "} ")
		if ok && !strings.HasPrefix(line, "#") {
			all = append(all, fileSeries{series + "}", values})
		}
	}
	return all
}

func steps(t *testing.T, values string) (n int) {
	t.Helper()
	_, parsed, err := parser.NewParser(parser.Options{}).ParseSeriesDesc("x " + values)
	if err != nil {
		t.Fatal(err)
	}
	return len(parsed)
}

// record breaks a real cluster while Magpie watches it with the pack, and keeps the series that the rules select.
func record(t *testing.T, version string, rules etcdRules) {
	c := startEtcd(t, cluster.Options{Program: etcdOf(t, version), Set: map[string]any{"quota-backend-bytes": 16 << 20}})
	m := &magpie{TB: t, dir: t.TempDir()}
	m.pack(etcdPack, func(text string) string { return text })
	m.file("config.hcl", fmt.Sprintf(testConfig+`
pack "etcd" {
  source   = "./packs/etcd"
  clusters = { main = { endpoints = ["%s"], hash_interval = "10s" } }
  probe    = true
  interval = %q
  timeout  = "1500ms"
}
store "tsdb" "main" {}
notifier "log" "alerts" {}
route { notify = [notifier.log.alerts] }
`, strings.Join(c.URLs(), `", "`), recordedStep))
	m.run()
	m.endWithTheTest()
	stop, err := c.Load(10)
	if err != nil {
		t.Fatal(err)
	}
	m.eventually("all members are seen", func() bool { return len(m.query(`etcd_status_has_leader == 1`)) == c.Len() })
	began := time.Now()
	time.Sleep(12 * time.Second) // a while in which it is well
	for _, name := range recordedBreaks {
		b, err := cluster.Named(name)
		if err != nil {
			t.Fatal(err)
		}
		broken, err := b.Do(t.Context(), c.Cluster)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(26 * time.Second)
		if err := broken.Repair(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(12 * time.Second)
	}
	stop()
	var lines []string
	for _, name := range metricsOf(t, rules) {
		lines = append(lines, m.recorded(name, began, time.Now())...)
	}
	slices.Sort(lines)
	head := fmt.Sprintf("# etcd %s, three members, a step every %s: well, then %s, each repaired. Written by MAGPIE_RECORD=1 go test ./daemon -run Recorded.\n", version, recordedStep, strings.Join(recordedBreaks, ", "))
	if err := os.WriteFile(recordedPath(version), []byte(head+strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// metricsOf are the metrics that rules select, but for those that rules record.
func metricsOf(t *testing.T, rules etcdRules) (names []string) {
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			expr, err := parser.NewParser(parser.Options{}).ParseExpr(r.Expr)
			if err != nil {
				t.Fatal(err)
			}
			parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
				if v, ok := n.(*parser.VectorSelector); ok && !strings.Contains(v.Name, ":") {
					names = append(names, v.Name)
				}
				return nil
			})
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// recorded are the series of a metric with their values, a line each. Series that never say more than 0 are left out where they are one of
// many: codes of requests that nobody made, buckets of peers.
func (m *magpie) recorded(name string, from, to time.Time) (lines []string) {
	m.Helper()
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Values [][2]any
			}
		}
	}
	path := fmt.Sprintf("/api/v1/query_range?query=%s&start=%d&end=%d&step=%s", url.QueryEscape(name), from.Unix(), to.Unix(), recordedStep)
	if err := json.Unmarshal(m.get(path), &answer); err != nil {
		m.Fatal(err)
	}
	many := strings.HasSuffix(name, "_bucket") || strings.HasPrefix(name, "grpc_")
	for _, s := range answer.Data.Result {
		values, something := make([]float64, int(to.Sub(from)/recordedStep)+1), false
		for i := range values {
			values[i] = math.NaN()
		}
		for _, v := range s.Values {
			at, x := v[0].(float64), number(v[1])
			values[min(len(values)-1, int((at-float64(from.Unix()))/recordedStep.Seconds()+0.5))] = x
			something = something || x != 0
		}
		if many && !something {
			continue
		}
		var pairs []string
		for k, v := range s.Metric {
			if k != "__name__" {
				pairs = append(pairs, k+"="+strconv.Quote(v))
			}
		}
		slices.Sort(pairs)
		lines = append(lines, name+"{"+strings.Join(pairs, ",")+"} "+notation(values))
	}
	return lines
}

// notation writes values as promtool reads them: stale and _ for none, 1x3 for four times the same.
func notation(values []float64) string {
	var words []string
	for i := 0; i < len(values); {
		same := 1
		for i+same < len(values) && (values[i+same] == values[i] || math.IsNaN(values[i]) && math.IsNaN(values[i+same])) {
			same++
		}
		word := strconv.FormatFloat(values[i], 'g', -1, 64)
		switch {
		case math.IsNaN(values[i]) && i > 0 && same > 1:
			word = fmt.Sprintf("stale _x%d", same-1)
		case math.IsNaN(values[i]) && i > 0:
			word = "stale"
		case math.IsNaN(values[i]):
			word = fmt.Sprintf("_x%d", same)
		case same > 1:
			word = fmt.Sprintf("%sx%d", word, same-1)
		}
		words = append(words, word)
		i += same
	}
	return strings.Join(words, " ")
}
