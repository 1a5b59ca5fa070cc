package notify

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

// The bounds of one message; what is left out is counted in it.
const (
	maxListed = 500
	maxText   = 64 << 10 // bytes
)

// newMessage renders what a group says now. last is what its receiver was told before.
func (n *Notifier) newMessage(g *group, last *entry, firing, resolved []uint64) *message {
	alerts := n.outward(g)
	note := sdk.Notification{
		GroupKey: g.id.Group, Receiver: g.id.Receiver, Status: sdk.Resolved, ExternalURL: n.o.ExternalURL, GroupLabels: g.labels,
		CommonLabels: shared(alerts, func(a sdk.Alert) map[string]string { return a.Labels }),
		CommonAnnots: shared(alerts, func(a sdk.Alert) map[string]string { return a.Annotations }),
		Alerts:       alerts[:min(len(alerts), maxListed)],
	}
	note.Truncated = len(alerts) - len(note.Alerts)
	if len(firing) > 0 {
		note.Status = sdk.Firing
	}
	m := &message{ID: g.id, Firing: firing, Resolved: resolved, Count: 1}
	if last != nil {
		m.Count = last.Count + 1
		if len(last.Firing) > 0 { // after everything had resolved, a new story begins
			note.Previous = last.Receipt
		}
	}
	note.IdempotencyKey = idempotencyKey(g.id, m.Count, alerts)
	note.Title = title(note, len(firing))
	note.Text = text(note)
	m.Notification = note
	m.Pending = Pending{IdempotencyKey: note.IdempotencyKey, Since: n.o.Wall().UTC()}
	return m
}

// idempotencyKey is the same for the same state of the same alerts, told for the same time.
func idempotencyKey(of id, count uint64, alerts []sdk.Alert) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %d", of.Group, of.Receiver, count)
	for _, a := range alerts {
		fmt.Fprintf(h, " %s %s %d", a.Fingerprint, a.Status, a.StartsAt.Unix())
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:16])
}

// shared is what all maps have in common.
func shared(alerts []sdk.Alert, of func(sdk.Alert) map[string]string) map[string]string {
	common := map[string]string{}
	for i, a := range alerts {
		if i == 0 {
			maps.Copy(common, of(a))
		}
		maps.DeleteFunc(common, func(name, value string) bool {
			v, ok := of(a)[name]
			return !ok || v != value
		})
	}
	return common
}

// title is [FIRING:2] name (values of the other common labels).
func title(n sdk.Notification, firing int) string {
	status := strings.ToUpper(string(n.Status))
	if firing > 0 {
		status += fmt.Sprintf(":%d", firing)
	}
	rest := maps.Clone(n.CommonLabels)
	name := rest["alertname"]
	delete(rest, "alertname")
	if name == "" {
		name = fmt.Sprintf("%d alerts", len(n.Alerts)+n.Truncated)
	}
	out := "[" + status + "] " + name
	if len(rest) > 0 {
		out += " (" + strings.Join(values(rest), " ") + ")"
	}
	return strings.ReplaceAll(out, "\n", " ")
}

// text is an entry for each alert: its labels beyond the common ones, its annotations, since when, and where to look.
func text(n sdk.Notification) string {
	var b strings.Builder
	for i, a := range n.Alerts {
		if b.Len() > maxText {
			fmt.Fprintf(&b, "… and %d more\n", len(n.Alerts)-i+n.Truncated)
			return b.String()
		}
		fmt.Fprintf(&b, "[%s] %s\n", strings.ToUpper(string(a.Status)), describe(a, n.CommonLabels))
		for _, name := range slices.Sorted(maps.Keys(a.Annotations)) {
			fmt.Fprintf(&b, "  %s: %s\n", name, strings.ReplaceAll(strings.TrimSpace(a.Annotations[name]), "\n", "\n    "))
		}
		fmt.Fprintf(&b, "  value %.6g since %s", a.Value, a.StartsAt.UTC().Format("2006-01-02 15:04:05 UTC"))
		if a.Status == sdk.Resolved {
			fmt.Fprintf(&b, " until %s", a.EndsAt.UTC().Format("2006-01-02 15:04:05 UTC"))
		}
		fmt.Fprintf(&b, "\n  %s\n", a.GeneratorURL)
	}
	if n.Truncated > 0 {
		fmt.Fprintf(&b, "… and %d more\n", n.Truncated)
	}
	return b.String()
}

// describe names an alert among others.
func describe(a sdk.Alert, common map[string]string) string {
	own := []string{a.Labels["alertname"]}
	for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
		if _, same := common[name]; !same && name != "alertname" {
			own = append(own, fmt.Sprintf("%s=%q", name, a.Labels[name]))
		}
	}
	return strings.Join(own, " ")
}

// values are a map's values in the order of its keys.
func values(m map[string]string) (list []string) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		list = append(list, m[name])
	}
	return list
}
