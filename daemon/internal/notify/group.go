package notify

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/clock"
)

// group is the alerts of one route with equal group labels, for one receiver.
type group struct {
	id      id
	route   *route
	labels  map[string]string
	members map[uint64]*alert
	tick    clock.Timer // the next flush: after the group wait, then every group interval
	message *message    // on its way; nil: none
	due     bool        // a flush came while a message was on its way
}

// entry is what a receiver was told last of a group: the notification log.
type entry struct {
	ID       id
	At       time.Time // monotonic; wall time on disk
	Firing   []uint64  // fingerprints, sorted
	Resolved []uint64
	Count    uint64 // messages so far
	Receipt  sdk.Receipt
}

func has(sorted []uint64, fingerprint uint64) bool {
	_, found := slices.BinarySearch(sorted, fingerprint)
	return found
}

func subset(part, whole []uint64) bool {
	return !slices.ContainsFunc(part, func(fp uint64) bool { return !has(whole, fp) })
}

// newGroup makes a group for its first alert. One that is old already (after a restart, or new routes) has waited enough.
func (n *Notifier) newGroup(at id, r *route, labels map[string]string, first *alert) *group {
	g := &group{id: at, route: r, labels: labels, members: map[uint64]*alert{}}
	wait := r.GroupWait
	if first.StartsAt.Add(wait).Before(n.o.Wall()) {
		wait = 0
	}
	g.tick = n.o.Clock.AfterFunc(wait, func() { n.flush(g) })
	n.groups[at] = g
	if m := n.messages[at]; m != nil {
		delete(n.messages, at)
		n.send(g, m)
	}
	return g
}

// flush tells what is new, and sets the timer for the next time.
func (n *Notifier) flush(g *group) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ctx.Err() != nil || n.groups[g.id] != g {
		return
	}
	g.tick.Reset(g.route.GroupInterval)
	if g.due = g.message != nil; !g.due {
		n.tell(g)
	}
}

// tell makes a message of the group if its receiver does not know all that it says. Members whose end is known leave. Inhibited ones are
// as if they were not there, their ends too, as in Alertmanager.
func (n *Notifier) tell(g *group) {
	var firing, resolved, ended []uint64
	inhibited := map[*alert]bool{}
	now := n.o.Clock.Now()
	for fp, a := range g.members {
		if a.Status == sdk.Firing && now.After(a.until) { // nobody renewed it
			a.Status, a.EndsAt = sdk.Resolved, n.wall(a.until)
			n.index(a)
			n.dirty = true
		}
		switch mute := n.inhibited(a); {
		case mute && a.Status == sdk.Firing:
			inhibited[a] = true
		case mute:
			ended = append(ended, fp)
		case a.Status == sdk.Firing:
			firing = append(firing, fp)
		default:
			resolved = append(resolved, fp)
		}
	}
	if n.close(g, ended); len(firing)+len(resolved) == 0 {
		return
	}
	slices.Sort(firing)
	slices.Sort(resolved)
	if last := n.log[g.id]; !news(last, firing, resolved, g.route.RepeatInterval, now) {
		n.close(g, resolved)
	} else {
		n.send(g, n.newMessage(g, last, firing, resolved, n.outward(g, inhibited)))
	}
}

// news decides as Alertmanager's DedupStage.needsUpdate does (notify/dedup_stage.go), with send_resolved on.
func news(last *entry, firing, resolved []uint64, repeat time.Duration, now time.Time) bool {
	switch {
	case last == nil:
		return len(firing) > 0
	case !subset(firing, last.Firing):
		return true
	case len(firing) == 0:
		return len(last.Firing) > 0
	case !subset(resolved, last.Resolved):
		return true
	}
	return last.At.Before(now.Add(-repeat))
}

// close takes out the members whose end was told, unless they fire again.
func (n *Notifier) close(g *group, resolved []uint64) {
	for _, fp := range resolved {
		if a := g.members[fp]; a != nil && a.Status == sdk.Resolved {
			n.leave(a, g)
			n.forget(a)
		}
	}
}

// delivered logs a message as told. What happened since then is told now.
func (n *Notifier) delivered(g *group, m *message, receipt sdk.Receipt) {
	n.log[g.id] = &entry{ID: g.id, At: n.o.Clock.Now(), Firing: m.Firing, Resolved: m.Resolved, Count: m.Count, Receipt: receipt}
	g.message, n.dirty = nil, true
	n.close(g, m.Resolved)
	if g.due && n.groups[g.id] == g {
		g.due = false
		n.tell(g)
	}
}

// outward is the members, but for some, as a notification shows them: firing ones first, then by labels.
func (n *Notifier) outward(g *group, but map[*alert]bool) []sdk.Alert {
	type keyed struct {
		sdk.Alert
		key string
	}
	list := make([]keyed, 0, len(g.members))
	for a := range maps.Values(g.members) {
		if but[a] {
			continue
		}
		list = append(list, keyed{a.Alert.Alert, labelsText(a.Labels)})
	}
	slices.SortFunc(list, func(a, b keyed) int {
		return cmp.Or(cmp.Compare(a.Status, b.Status), cmp.Compare(a.key, b.key))
	})
	alerts := make([]sdk.Alert, len(list))
	for i := range list {
		alerts[i] = list[i].Alert
	}
	return alerts
}
