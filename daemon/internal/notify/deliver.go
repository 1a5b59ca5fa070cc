package notify

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

const (
	maxInFlight    = 4 // messages to one receiver at the same time
	deliverTimeout = time.Minute
	firstPause     = time.Second
	longestPause   = 5 * time.Minute
)

// message is a notification on its way: it does not change until it is delivered, refused, or its group is gone.
type message struct {
	ID               id
	Notification     sdk.Notification
	Firing, Resolved []uint64 // fingerprints, sorted
	Count            uint64   // the how-manieth of its group
	Pending          Pending
}

// newMessage says what a group says now. last is what its receiver was told before.
func (n *Notifier) newMessage(g *group, last *entry, firing, resolved []uint64, alerts []sdk.Alert) *message {
	note := sdk.Notification{GroupKey: g.id.Group, Receiver: g.id.Receiver, ExternalURL: n.o.ExternalURL, GroupLabels: g.labels}
	note.Summarize(alerts)
	m := &message{ID: g.id, Firing: firing, Resolved: resolved, Count: 1}
	if last != nil {
		m.Count = last.Count + 1
		if len(last.Firing) > 0 { // after everything had resolved, a new story begins
			note.Previous = last.Receipt
		}
	}
	note.IdempotencyKey = idempotencyKey(g.id, m.Count, alerts)
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

// lane bounds what is in flight to one receiver.
type lane struct {
	busy    int
	waiting []*group
}

// send puts a message on its way.
func (n *Notifier) send(g *group, m *message) {
	g.message, n.dirty = m, true
	n.try(g)
}

// try attempts delivery now, or when the receiver's lane is free.
func (n *Notifier) try(g *group) {
	if n.ctx.Err() != nil {
		return
	}
	l := n.lanes[g.id.Receiver]
	if l == nil {
		l = &lane{}
		n.lanes[g.id.Receiver] = l
	}
	if l.busy == maxInFlight {
		l.waiting = append(l.waiting, g)
		return
	}
	l.busy++
	n.o.Clock.Go(&n.wg, func() {
		for g := g; g != nil; g = n.next(l) {
			n.attempt(g)
			n.save()
		}
	})
}

// next is the group whose message is attempted next; nil frees the place in the lane.
func (n *Notifier) next(l *lane) *group {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(l.waiting) == 0 || n.ctx.Err() != nil {
		l.busy--
		return nil
	}
	g := l.waiting[0]
	l.waiting = l.waiting[1:]
	return g
}

// attempt delivers a group's message once. It is on disk before that, so that a restart tries the same message again.
func (n *Notifier) attempt(g *group) {
	n.mu.Lock()
	m := g.message
	n.mu.Unlock()
	if m == nil || n.ctx.Err() != nil {
		return
	}
	n.save()
	ctx, cancel := context.WithTimeout(n.ctx, deliverTimeout)
	receipt, err := n.o.Deliver(ctx, g.id.Receiver, m.Notification)
	cancel()
	n.mu.Lock()
	defer n.mu.Unlock()
	counts := n.stats.Receivers[g.id.Receiver]
	switch {
	case g.message != m || err != nil && n.ctx.Err() != nil:
		return // the routes have changed, or the daemon stops
	case err == nil:
		counts.Sent++
		if m.Pending.Attempts > 0 {
			n.o.Log.Info("notified at last", "receiver", g.id.Receiver, "group", g.id.Group, "attempts", m.Pending.Attempts+1)
		}
		n.delivered(g, m, receipt)
	case sdk.AsProblem(err).Permanent:
		counts.Refused++
		n.o.Log.Error("a notification was refused; it is not tried again", "receiver", g.id.Receiver, "group", g.id.Group, "error", err)
		n.delivered(g, m, sdk.Receipt{})
	default:
		counts.Failed++
		n.later(g, m, err)
	}
	n.stats.Receivers[g.id.Receiver] = counts
}

// later sets a message's next attempt: full jitter, or not before the receiver asks to.
func (n *Notifier) later(g *group, m *message, err error) {
	pause := rand.N(min(firstPause<<min(m.Pending.Attempts, 16), longestPause))
	pause = max(pause, sdk.AsProblem(err).RetryAfter)
	if m.Pending.Error != err.Error() {
		n.o.Log.Warn("a notification failed and will be tried again", "receiver", g.id.Receiver, "group", g.id.Group, "error", err)
	}
	m.Pending.Attempts++
	m.Pending.Error, m.Pending.Next = err.Error(), n.o.Wall().Add(pause)
	n.o.Clock.AfterFunc(pause, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if g.message == m && n.ctx.Err() == nil {
			m.Pending.Next = time.Time{}
			n.try(g)
		}
	})
}

// drop gives a message up whose group is gone.
func (n *Notifier) drop(m *message) {
	counts := n.stats.Receivers[m.ID.Receiver]
	counts.Dropped++
	n.stats.Receivers[m.ID.Receiver] = counts
	n.dirty = true
	n.o.Log.Warn("a notification was dropped: no route leads to its receiver any more", "receiver", m.ID.Receiver, "group", m.ID.Group)
}
