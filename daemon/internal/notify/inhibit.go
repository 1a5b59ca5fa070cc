package notify

import (
	"slices"
	"strconv"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Inhibition keeps alerts from being told while others fire, as one of Alertmanager's inhibit_rules does: a target is not told while there
// is a source with the same values of the labels Equal; a label that neither has is the same. An alert that is both source and target is
// inhibited by those that are sources only.
type Inhibition struct {
	Source, Target []sdk.Matcher
	Equal          []string
}

// inhibition is an Inhibition that is ready.
type inhibition struct {
	Inhibition
	source, target matchers
	firing         map[string]map[*alert]bool // sources, by what key says of them
}

func compileInhibition(i Inhibition) (*inhibition, error) {
	source, _, err := compileMatchers(i.Source)
	if err != nil {
		return nil, err
	}
	target, _, err := compileMatchers(i.Target)
	return &inhibition{i, source, target, map[string]map[*alert]bool{}}, err
}

// key is equal for labels whose sources inhibit the same targets.
func (i *inhibition) key(labels map[string]string, target bool) string {
	var b strings.Builder
	for _, name := range i.Equal {
		b.WriteString(labels[name] + "\xff")
	}
	return b.String() + strconv.FormatBool(target)
}

// index notes whether an alert inhibits others now.
func (n *Notifier) index(a *alert) {
	for _, i := range n.inhibitions {
		if !i.source.match(a.Labels) {
			continue
		}
		key := i.key(a.Labels, i.target.match(a.Labels))
		if sources := i.firing[key]; a.Status != sdk.Firing {
			delete(sources, a)
			if len(sources) == 0 {
				delete(i.firing, key)
			}
		} else if sources == nil {
			i.firing[key] = map[*alert]bool{a: true}
		} else {
			sources[a] = true
		}
	}
}

// inhibits reports whether an alert may keep others from being told.
func (n *Notifier) inhibits(a *alert) bool {
	return a.Status == sdk.Firing && slices.ContainsFunc(n.inhibitions, func(i *inhibition) bool { return i.source.match(a.Labels) })
}

// inhibited reports whether an alert is not told now.
func (n *Notifier) inhibited(a *alert) bool {
	now := n.o.Clock.Now()
	live := func(sources map[*alert]bool) bool {
		for s := range sources {
			if !now.After(s.until) {
				return true
			}
		}
		return false
	}
	return slices.ContainsFunc(n.inhibitions, func(i *inhibition) bool {
		return i.target.match(a.Labels) && (live(i.firing[i.key(a.Labels, false)]) || !i.source.match(a.Labels) && live(i.firing[i.key(a.Labels, true)]))
	})
}
