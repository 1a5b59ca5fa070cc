package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// host is a daemon's log in memory, as JSON without times.
type host struct {
	sdk.Host
	bytes.Buffer
}

func (h *host) Log() *slog.Logger {
	return slog.New(slog.NewJSONHandler(&h.Buffer, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// lines sends a notification to a notifier and returns what it writes.
func lines(t *testing.T, cfg string, n sdk.Notification) string {
	t.Helper()
	c := &Config{}
	if err := sdk.Fill(c, []byte(cfg)); err != nil {
		t.Fatal(err)
	}
	h := &host{}
	l, err := open(t.Context(), c, h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	return h.String()
}

var at = time.Date(2026, 5, 1, 10, 0, 0, 0, time.FixedZone("CEST", 2*60*60))

func alert(status sdk.AlertStatus, severity string) sdk.Alert {
	a := sdk.Alert{Status: status, Labels: map[string]string{"alertname": "HighLoad", "instance": "a:1", "severity": severity}, StartsAt: at, Value: 7.5}
	if status == sdk.Resolved {
		a.EndsAt = at.Add(time.Hour)
	}
	return a
}

func notification(alerts ...sdk.Alert) sdk.Notification {
	return sdk.Notification{Title: "[FIRING:2] HighLoad", Status: sdk.Firing, GroupKey: "{}:{}", Alerts: alerts}
}

func TestALineForTheNotificationAndOneForEachAlert(t *testing.T) {
	t.Parallel()
	critical := alert(sdk.Firing, "critical")
	critical.Annotations = map[string]string{"summary": "Too much\nto do", "description": "Other text."}
	described := alert(sdk.Firing, "warning")
	described.Annotations = map[string]string{"description": "Only this."}
	infinite := alert(sdk.Firing, "")
	infinite.Value = math.Inf(1)
	long := alert(sdk.Firing, "info")
	long.Labels = map[string]string{"x": strings.Repeat("ä", 600)}
	n := notification(critical, described, alert(sdk.Resolved, "critical"), infinite, long)
	n.Truncated = 2
	plugintest.Golden(t, "lines.jsonl", lines(t, `{}`, n))
}

// levels are those of the lines.
func levels(t *testing.T, text string) (all string) {
	t.Helper()
	for line := range strings.Lines(text) {
		var l struct{ Level string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		all += l.Level + " "
	}
	return strings.TrimSpace(all)
}

func TestTheLevelFollowsTheSeverityOrTheConfiguration(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ cfg, severity, want string }{
		{`{}`, "critical", "ERROR ERROR"}, {`{}`, "error", "ERROR ERROR"}, {`{}`, "PAGE", "ERROR ERROR"}, {`{}`, "emergency", "ERROR ERROR"},
		{`{}`, "warning", "WARN WARN"}, {`{}`, "warn", "WARN WARN"}, {`{}`, "major", "WARN WARN"},
		{`{}`, "info", "INFO INFO"}, {`{}`, "", "INFO INFO"}, {`{}`, "odd", "INFO INFO"},
		{`{"level": "debug"}`, "critical", "DEBUG DEBUG"}, {`{"level": "warn"}`, "info", "WARN WARN"}, {`{"level": "error"}`, "", "ERROR ERROR"},
	} {
		if got := levels(t, lines(t, c.cfg, notification(alert(sdk.Firing, c.severity)))); got != c.want {
			t.Errorf("%s, severity %q: %s, want %s", c.cfg, c.severity, got, c.want)
		}
	}
	mixed := notification(alert(sdk.Firing, "info"), alert(sdk.Firing, "warning"), alert(sdk.Resolved, "critical"))
	if got := levels(t, lines(t, `{}`, mixed)); got != "WARN INFO WARN INFO" {
		t.Errorf("mixed: %s", got)
	}
}

func TestOnlySoManyAlertsGetALine(t *testing.T) {
	t.Parallel()
	var alerts []sdk.Alert
	for range 60 {
		alerts = append(alerts, alert(sdk.Firing, "info"))
	}
	for cfg, want := range map[string]int{`{}`: 51, `{"max_alerts": 3}`: 4, `{"max_alerts": 0}`: 1, `{"max_alerts": 100}`: 61} {
		text := lines(t, cfg, notification(alerts...))
		if got := strings.Count(text, "\n"); got != want {
			t.Errorf("%s: %d lines, want %d", cfg, got, want)
		}
		if hidden := fmt.Sprintf(`"not_shown":%d`, 61-want); strings.Contains(text, hidden) != (want < 61) {
			t.Errorf("%s: %q is missing, or there for no reason: %s", cfg, hidden, text)
		}
	}
}

func TestItOpensAndNotifiesAsAPlugin(t *testing.T) {
	t.Parallel()
	c := plugintest.Open(t, sdk.Notifier(open), plugintest.Config{"level": "info"})
	if _, err := c.Notify(t.Context(), c.Number, notification(alert(sdk.Firing, "critical"))); err != nil {
		t.Error(err)
	}
	_, err := plugintest.TryOpen(t, sdk.Notifier(open), plugintest.Config{"level": "loud"})
	if p := sdk.AsProblem(err); p == nil || p.Path.String() != "level" {
		t.Errorf("%+v", p)
	}
}
