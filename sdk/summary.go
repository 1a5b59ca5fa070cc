package sdk

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The bounds of one notification; what is left out is counted in it.
const (
	maxListed = 500      // alerts
	maxText   = 64 << 10 // bytes
)

// Summarize fills in what follows from the alerts: the status, what they have in common, the title and the text. At most 500
// of them are kept.
func (n *Notification) Summarize(alerts []Alert) {
	firing := 0
	for _, a := range alerts {
		if a.Status == Firing {
			firing++
		}
	}
	if n.Status = Resolved; firing > 0 {
		n.Status = Firing
	}
	n.CommonLabels = shared(alerts, func(a Alert) map[string]string { return a.Labels })
	n.CommonAnnots = shared(alerts, func(a Alert) map[string]string { return a.Annotations })
	n.Alerts = alerts[:min(len(alerts), maxListed)]
	n.Truncated = len(alerts) - len(n.Alerts)
	n.Title, n.Text = n.title(firing), n.text()
}

// AddDiagnosis adds a diagnosis, to the text too.
func (n *Notification) AddDiagnosis(d Diagnosed) {
	n.Diagnoses = append(n.Diagnoses, d)
	lines := append([]string{d.Address + ": " + d.Headline}, d.Findings...)
	text := strings.TrimSpace(strings.Join(lines, "\n  ") + "\n  " + d.URL)
	if len(n.Text)+len(text) < maxText {
		n.Text = strings.TrimSpace(n.Text) + "\n\n" + text
	}
}

// shared is what all maps have in common.
func shared(alerts []Alert, of func(Alert) map[string]string) map[string]string {
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
func (n *Notification) title(firing int) string {
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
		out += " (" + strings.Join(valuesOf(rest), " ") + ")"
	}
	return strings.ReplaceAll(out, "\n", " ")
}

// text is an entry for each alert: its labels beyond the common ones, its annotations, since when, and where to look.
func (n *Notification) text() string {
	var b strings.Builder
	for i, a := range n.Alerts {
		if b.Len() > maxText {
			fmt.Fprintf(&b, "… and %d more\n", len(n.Alerts)-i+n.Truncated)
			return b.String()
		}
		fmt.Fprintf(&b, "[%s] %s\n", strings.ToUpper(string(a.Status)), nameAmong(a, n.CommonLabels))
		for _, name := range slices.Sorted(maps.Keys(a.Annotations)) {
			fmt.Fprintf(&b, "  %s: %s\n", name, strings.ReplaceAll(strings.TrimSpace(a.Annotations[name]), "\n", "\n    "))
		}
		fmt.Fprintf(&b, "  value %.6g since %s", a.Value, a.StartsAt.UTC().Format("2006-01-02 15:04:05 UTC"))
		if a.Status == Resolved {
			fmt.Fprintf(&b, " until %s", a.EndsAt.UTC().Format("2006-01-02 15:04:05 UTC"))
		}
		fmt.Fprintf(&b, "\n  %s\n", a.GeneratorURL)
	}
	if n.Truncated > 0 {
		fmt.Fprintf(&b, "… and %d more\n", n.Truncated)
	}
	return b.String()
}

// nameAmong names an alert among others.
func nameAmong(a Alert, common map[string]string) string {
	own := []string{a.Labels["alertname"]}
	for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
		if _, same := common[name]; !same && name != "alertname" {
			own = append(own, fmt.Sprintf("%s=%q", name, a.Labels[name]))
		}
	}
	return strings.Join(own, " ")
}

// valuesOf are a map's values in the order of its keys.
func valuesOf(m map[string]string) (list []string) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		list = append(list, m[name])
	}
	return list
}
