// The notifier "log" writes notifications into the daemon's log: a line for each notification, with its title, and a line
// for each of its alerts, with labels, summary, value and since when. It is the notifier to begin with: nothing has to be
// set up for it.
//
// A firing alert is written at the level that its label severity names:
//
//	error     critical, error, page, emergency
//	warning   warn, warning, major
//	info      any other, or no such label
//
// The notification's own line has the level of its gravest alert. What has resolved is info. The attribute level sets one
// level for all.
package main

import (
	"cmp"
	"context"
	"log/slog"
	"strconv"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Config is the block of the notifier.
type Config struct {
	Level     string `hcl:"level,optional" check:"oneof=debug info warn error" doc:"Level of all lines; default: by the alert's label severity."`
	MaxAlerts int    `hcl:"max_alerts,optional" default:"50" check:"min=0" doc:"Alerts of one notification that get a line; the rest is only counted."`
}

// maxText bounds a text in a line, in bytes.
const maxText = 1 << 10

type logger struct {
	log   *slog.Logger
	fixed *slog.Level // nil: by severity
	max   int
}

func open(_ context.Context, cfg *Config, host sdk.Host) (*logger, error) {
	l := &logger{log: host.Log(), max: cfg.MaxAlerts}
	if cfg.Level != "" {
		l.fixed = new(slog.Level)
		if err := l.fixed.UnmarshalText([]byte(cfg.Level)); err != nil {
			return nil, sdk.At(&cfg.Level, err)
		}
	}
	return l, nil
}

// Notify writes the lines of one notification. It cannot fail.
func (l *logger) Notify(ctx context.Context, n sdk.Notification) (sdk.Receipt, error) {
	shown := n.Alerts[:min(len(n.Alerts), l.max)]
	gravest := slog.LevelInfo
	for _, a := range n.Alerts {
		gravest = max(gravest, severity(a))
	}
	attrs := []slog.Attr{slog.String("status", string(n.Status)), slog.Int("alerts", len(n.Alerts)+n.Truncated), slog.String("group", clip(n.GroupKey))}
	if hidden := len(n.Alerts) - len(shown) + n.Truncated; hidden > 0 {
		attrs = append(attrs, slog.Int("not_shown", hidden))
	}
	l.log.LogAttrs(ctx, l.level(gravest), clip(cmp.Or(n.Title, "a notification without a title")), attrs...)
	for _, a := range shown {
		l.log.LogAttrs(ctx, l.level(severity(a)), string(a.Status)+": "+clip(cmp.Or(a.Labels["alertname"], "an alert without a name")), attributes(a)...)
	}
	return sdk.Receipt{}, nil
}

// attributes are an alert's. Its value is text: JSON has no infinity.
func attributes(a sdk.Alert) []slog.Attr {
	var labels sdk.Labels
	for name, value := range a.Labels {
		if name != "alertname" {
			labels = labels.Set(name, value)
		}
	}
	attrs := []slog.Attr{slog.String("labels", clip(labels.String()))}
	if text := cmp.Or(a.Annotations["summary"], a.Annotations["description"], a.Annotations["message"]); text != "" {
		attrs = append(attrs, slog.String("summary", clip(text)))
	}
	attrs = append(attrs, slog.String("value", strconv.FormatFloat(a.Value, 'g', 6, 64)), slog.Time("since", a.StartsAt.UTC()))
	if a.Status == sdk.Resolved {
		attrs = append(attrs, slog.Time("until", a.EndsAt.UTC()))
	}
	return attrs
}

func (l *logger) level(found slog.Level) slog.Level {
	if l.fixed != nil {
		return *l.fixed
	}
	return found
}

// severity is the level of an alert. The values of the label are those that rules in the wild use.
func severity(a sdk.Alert) slog.Level {
	if a.Status == sdk.Resolved {
		return slog.LevelInfo
	}
	switch strings.ToLower(a.Labels["severity"]) {
	case "critical", "error", "page", "emergency":
		return slog.LevelError
	case "warning", "warn", "major":
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// clip bounds a text.
func clip(text string) string {
	if len(text) > maxText {
		return strings.ToValidUTF8(text[:maxText], "") + " …"
	}
	return text
}

var _ sdk.Messenger = (*logger)(nil)
