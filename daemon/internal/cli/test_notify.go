package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/daemon/internal/engine"
	"github.com/magpie-monitoring/magpie/daemon/internal/notify"
	"github.com/magpie-monitoring/magpie/daemon/internal/rule"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/clock"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// sentNotification is a notification that a test saw.
type sentNotification struct {
	At       string            `json:"at"` // since the beginning
	Notifier string            `json:"notifier"`
	Status   string            `json:"status"`
	Group    map[string]string `json:"group"`
	Alerts   []sentAlert       `json:"alerts"`
	at       time.Duration
}

type sentAlert struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// telling is the daemon's own routes, groups and inhibitions, on a clock that a test moves. Every notifier takes what it is sent at once.
type telling struct {
	c        *ruleCase
	clock    *clock.Manual
	notifier *notify.Notifier
	sent     []sentNotification
	looked   int // so many were looked at
}

func (c *ruleCase) tell() (*telling, error) {
	t := &telling{c: c, clock: clock.NewManual(c.begin)}
	t.notifier = notify.New(notify.Options{
		Deliver: t.deliver, Clock: t.clock, ExternalURL: c.url,
		Load: func(string) ([]byte, error) { return nil, nil }, Save: func(string, []byte) error { return nil },
	})
	return t, t.notifier.SetRoute(c.route, c.inhibitions...)
}

func (t *telling) stop() { t.notifier.Stop() }

// put tells the notifier of alerts as the engine does.
func (t *telling) put(alerts []rule.Alert) { t.notifier.Put(engine.Outward(alerts, t.c.labels)) }

func (t *telling) deliver(_ context.Context, receiver string, n sdk.Notification) (sdk.Receipt, error) {
	at := t.clock.Now().Sub(t.c.begin)
	s := sentNotification{At: at.String(), Notifier: receiver, Status: string(n.Status), Group: n.GroupLabels, at: at}
	for _, a := range n.Alerts {
		s.Alerts = append(s.Alerts, sentAlert{string(a.Status), a.Labels, a.Annotations})
	}
	t.sent = append(t.sent, s)
	return sdk.Receipt{}, nil
}

// since moves the clock to a time, and gives what was sent until then that nobody has looked at.
func (t *telling) since(at time.Duration) []sentNotification {
	t.clock.MoveTo(t.c.begin.Add(at))
	t.clock.Settle()
	news := t.sent[t.looked:]
	t.looked = len(t.sent)
	slices.SortStableFunc(news, func(a, b sentNotification) int { // what is sent at the same time is in no order
		return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.Notifier, b.Notifier), strings.Compare(allPairs(a.Group), allPairs(b.Group)))
	})
	return news
}

// names are the names of the alerts that are in a state.
func (s *sentNotification) names(status string) (names []string) {
	for _, a := range s.Alerts {
		if a.Status == status {
			names = append(names, a.Labels["alertname"])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// text shows a notification, with its alerts in lines of their own.
func (s *sentNotification) text(alerts bool) string {
	text := fmt.Sprintf("%s at %s: %s, group %s, firing [%s], resolved [%s]", s.Notifier, s.At, s.Status, allPairs(s.Group),
		strings.Join(s.names("firing"), ", "), strings.Join(s.names("resolved"), ", "))
	for _, a := range s.Alerts {
		if alerts {
			text += "\n      " + alertLine(a.Status, a.Labels["alertname"], a.Labels, a.Annotations)
		}
	}
	return text
}

// allPairs are labels with the name of the alert, by which groups are made too.
func allPairs(m map[string]string) string {
	var parts []string
	for _, k := range language.Sorted(m) {
		parts = append(parts, fmt.Sprintf("%s=%q", k, m[k]))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// wantedText shows what a notification block asks for, as text shows one that is there.
func wantedText(w *language.NotificationBlock) string {
	text := strings.Join(w.Notifier, " or ")
	if w.At != "" {
		text += " at " + w.At
	}
	text += ": " + w.Status
	if w.Group != nil {
		text += ", group " + allPairs(w.Group)
	}
	if w.Firing != nil {
		text += ", firing [" + strings.Join(w.Firing, ", ") + "]"
	}
	if w.Resolved != nil {
		text += ", resolved [" + strings.Join(w.Resolved, ", ") + "]"
	}
	for _, a := range w.Alerts {
		text += "\n      " + alertLine(a.Status, a.Name, a.Labels, a.Annotations)
	}
	return text
}

// is reports whether a notification is one that a block asks for.
func (s *sentNotification) is(w *language.NotificationBlock) bool {
	at, _ := time.ParseDuration(w.At)
	same := func(want []string, status string) bool {
		return want == nil || slices.Equal(slices.Sorted(slices.Values(want)), s.names(status))
	}
	return slices.Contains(w.Notifier, s.Notifier) && (w.At == "" || at == s.at) && w.Status == s.Status && (w.Group == nil || maps.Equal(w.Group, s.Group)) &&
		same(w.Firing, "firing") && same(w.Resolved, "resolved") &&
		!slices.ContainsFunc(w.Alerts, func(want language.NotifiedAlertBlock) bool {
			return !slices.ContainsFunc(s.Alerts, func(a sentAlert) bool {
				return a.Labels["alertname"] == want.Name && a.Status == want.Status && holds(a.Labels, want.Labels) && holds(a.Annotations, want.Annotations)
			})
		})
}

// expectedSent compares what was sent with an expect block.
func expectedSent(place string, e language.ExpectBlock, sent []sentNotification) (all []failure) {
	if e.Notified != nil {
		var got []string
		for _, s := range sent {
			got = append(got, s.Notifier)
		}
		slices.Sort(got)
		want := slices.Sorted(slices.Values(e.Notified))
		if got = slices.Compact(got); !slices.Equal(got, want) {
			all = append(all, failure{place, fmt.Sprintf("until %s these notifiers were told:\n%s", e.At, difference(want, got))})
		}
	}
	for _, w := range e.Notifications {
		if slices.ContainsFunc(sent, func(s sentNotification) bool { return s.is(&w) }) {
			continue
		}
		var got []string
		for _, s := range sent {
			got = append(got, s.text(w.Alerts != nil))
		}
		all = append(all, failure{place, fmt.Sprintf("until %s no such notification was sent:\n%s", e.At, difference([]string{wantedText(&w)}, got))})
	}
	return all
}
