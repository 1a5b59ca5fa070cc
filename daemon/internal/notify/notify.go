// Package notify tells people of alerts, with the semantics of Alertmanager: a tree of routes says who is told of an
// alert, alerts of one route with equal group labels become one message, and a log of what was told decides whether there
// is something new to say.
//
// The unit here is the group of one receiver: it has members, a timer (group wait, then group interval), the last thing
// that was told, and at most one message on its way. So a receiver that does not answer holds nobody else up. A message
// that was tried once is not changed any more: it is tried again, with the same idempotency key and a pause that grows to
// 5 minutes, until it is delivered or refused as permanent; what happened meanwhile is told right after it.
//
// The alerts, the log and the messages on their way are saved at every change and restored at start. An alert that nobody
// renews within its ValidFor has resolved. Timers are monotonic; wall time is for people only.
//
// Bounds: 50,000 alerts (more are refused and counted), each in one group for each receiver of its routes; 500 alerts in a
// message; 4 messages in flight to one receiver.
//
// The files:
//
//	notify.go  what is handed in and out; alerts find their groups
//	route.go   routes and matchers
//	inhibit.go alerts that are not told while others fire
//	group.go   one group of one receiver: when there is something to tell
//	deliver.go a message, and its way
//	saved.go   the state on disk
package notify

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/clock"
)

const maxAlerts = 50_000

// Options are what notifying needs.
type Options struct {
	// Deliver hands a message to a receiver. An error that is not Permanent is tried again.
	Deliver func(ctx context.Context, receiver string, n sdk.Notification) (sdk.Receipt, error)
	// Load reads what Save kept; nil where there is nothing.
	Load func(key string) ([]byte, error)
	Save func(key string, value []byte) error

	ExternalURL string
	Log         hclog.Logger     // nil: none
	Clock       clock.Clock      // nil: the machine's
	Wall        func() time.Time // the clock on the wall; nil: as Clock
}

// Alert is one alert as it is now. Status says whether it fires; a firing one that is not put again within ValidFor has
// resolved. Its maps must not change any more.
type Alert struct {
	sdk.Alert
	ValidFor time.Duration
	Notify   []string // receivers of its own: a route before all others, with the grouping and timing of the first route
}

// Notifier holds the alerts and their groups.
type Notifier struct {
	o      Options
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup // deliveries
	saving sync.Mutex     // held while the state is written; taken before mu

	mu   sync.Mutex
	own  *route // of alerts with receivers of their own
	root *route // nil: nobody is told of the others

	inhibitions []*inhibition

	alerts   map[uint64]*alert
	groups   map[id]*group
	log      map[id]*entry
	messages map[id]*message // restored, until their groups are there
	lanes    map[string]*lane
	dirty    bool
	stats    State
}

// id names a group of a receiver.
type id struct{ Group, Receiver string }

// alert is an Alert that is known. It is a member of groups until they have told its end.
type alert struct {
	Alert
	fingerprint uint64
	until       time.Time // monotonic: renewed by then, or resolved
	groups      map[id]*group
	was         []id // groups that it was a member of when it was saved, until they are made again
}

// New restores what an earlier process saved. Nothing is sent before the first SetRoute.
func New(o Options) *Notifier {
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	if o.Clock == nil {
		o.Clock = clock.Machine{}
	}
	if o.Wall == nil {
		o.Wall = o.Clock.Now
	}
	n := &Notifier{
		o: o, alerts: map[uint64]*alert{}, groups: map[id]*group{}, log: map[id]*entry{}, messages: map[id]*message{},
		lanes: map[string]*lane{}, stats: State{Receivers: map[string]Counts{}},
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.load()
	return n
}

// SetRoute replaces the tree of routes, and the inhibitions; nil tells nobody but receivers that alerts name themselves. Groups that are
// the same under the new tree go on; messages on their way to others are dropped. An error (a wrong regular expression)
// changes nothing.
func (n *Notifier) SetRoute(r *Route, inhibitions ...Inhibition) error {
	own := &Route{GroupWait: 30 * time.Second, GroupInterval: 5 * time.Minute, RepeatInterval: 4 * time.Hour}
	var root *route
	if r != nil {
		var err error
		if root, err = compile(r, ""); err != nil {
			return err
		}
		own = &Route{GroupBy: r.GroupBy, GroupWait: r.GroupWait, GroupInterval: r.GroupInterval, RepeatInterval: r.RepeatInterval}
	}
	var ready []*inhibition
	for _, i := range inhibitions {
		compiled, err := compileInhibition(i)
		if err != nil {
			return err
		}
		ready = append(ready, compiled)
	}
	n.mu.Lock()
	n.own, n.root, n.inhibitions = &route{Route: own, key: "notify"}, root, ready
	for _, a := range n.alerts {
		n.place(a)
	}
	for _, m := range n.messages {
		n.drop(m)
	}
	clear(n.messages)
	n.mu.Unlock()
	n.save()
	return nil
}

// Put takes alerts that are new, renewed, changed or resolved. Firing ones are durable when it returns.
func (n *Notifier) Put(alerts []Alert) {
	n.mu.Lock()
	for _, a := range alerts {
		n.put(a)
	}
	n.mu.Unlock()
	n.save()
}

func (n *Notifier) put(in Alert) {
	fp := fingerprint(in.Labels)
	a := n.alerts[fp]
	switch {
	case a == nil && in.Status == sdk.Resolved:
		return // nobody heard of it
	case a == nil && len(n.alerts) >= maxAlerts:
		if n.stats.Refused++; n.stats.Refused == 1 {
			n.o.Log.Error("there are too many alerts: new ones are refused until others have resolved", "most", maxAlerts)
		}
		return
	case a == nil:
		a = &alert{fingerprint: fp, groups: map[id]*group{}}
		n.alerts[fp] = a
	case a.Status == sdk.Resolved && in.Status == sdk.Resolved:
		return // the same end, told again
	case a.Status != in.Status:
		n.dirty = true
	}
	a.Alert = in
	a.Fingerprint = hex(fp)
	a.until = n.o.Clock.Now().Add(in.ValidFor)
	n.place(a)
}

// place puts an alert into the groups that its labels ask for now, and takes it from all others.
func (n *Notifier) place(a *alert) {
	if n.own == nil {
		return // restored, and no routes are known yet
	}
	n.index(a)
	wanted := map[id]bool{}
	for _, r := range n.routes(a) {
		labels := r.groupLabels(a.Labels)
		for _, receiver := range r.receivers(a) {
			at := id{r.key + ":" + labelsText(labels), receiver}
			wanted[at] = true
			if a.Status == sdk.Resolved && a.groups[at] == nil && !slices.Contains(a.was, at) {
				continue // this group never heard that it fires
			}
			g := n.groups[at]
			if g == nil {
				g = n.newGroup(at, r, labels, a)
			}
			g.route = r
			if g.members[a.fingerprint] != a {
				g.members[a.fingerprint], a.groups[at] = a, g
				n.dirty = true
			}
		}
	}
	if len(wanted) == 0 {
		n.stats.Unrouted++
	}
	a.was = nil
	for at, g := range a.groups {
		if !wanted[at] {
			n.leave(a, g)
		}
	}
	n.forget(a)
}

func (n *Notifier) routes(a *alert) []*route {
	switch {
	case len(a.Notify) > 0:
		return []*route{n.own}
	case n.root != nil:
		return n.root.find(a.Labels)
	}
	return nil
}

// leave takes an alert out of a group; a group without members ends.
func (n *Notifier) leave(a *alert, g *group) {
	delete(g.members, a.fingerprint)
	delete(a.groups, g.id)
	n.dirty = true
	if len(g.members) > 0 {
		return
	}
	g.tick.Stop()
	delete(n.groups, g.id)
	if g.message != nil {
		n.drop(g.message)
		g.message = nil
	}
	if e := n.log[g.id]; e != nil && len(e.Firing) == 0 {
		delete(n.log, g.id)
	}
}

// forget drops an alert that no group has to tell of, unless it keeps others from being told.
func (n *Notifier) forget(a *alert) {
	if len(a.groups) == 0 && n.alerts[a.fingerprint] == a && !n.inhibits(a) {
		delete(n.alerts, a.fingerprint)
	}
}

// Stop ends all timers and deliveries; what is on its way is saved and tried again by the next process.
func (n *Notifier) Stop() {
	n.cancel()
	n.mu.Lock()
	for _, g := range n.groups {
		g.tick.Stop()
	}
	n.mu.Unlock()
	n.wg.Wait()
	n.save()
}

// State is what people may see.
type State struct {
	Groups    []GroupState
	Receivers map[string]Counts
	Alerts    int
	Inhibited int    // of them, not told now
	Refused   uint64 // alerts, since there were too many
	Unrouted  uint64 // times that an alert was put that no route sends to anybody
	SaveError string // why the state could not be saved last; "": it is saved
}

// Counts of a receiver's messages, since start.
type Counts struct {
	Sent    uint64
	Failed  uint64 // attempts that will be repeated
	Refused uint64 // with a Permanent error, not tried again
	Dropped uint64 // on their way when the routes changed
}

// GroupState is one group of one receiver.
type GroupState struct {
	Key      string
	Receiver string
	Labels   map[string]string
	Alerts   []sdk.Alert // firing ones first, then by labels
	ToldAt   time.Time   // zero: nothing was told yet
	Pending  *Pending    // nil: no message is on its way
}

// Pending is a message that is not delivered.
type Pending struct {
	IdempotencyKey string
	Since          time.Time
	Attempts       int
	Next           time.Time // the next attempt; zero: now
	Error          string    // of the last attempt
}

// Snapshot is the state now, groups sorted by key and receiver.
func (n *Notifier) Snapshot() State {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := n.stats
	out.Alerts, out.Receivers = len(n.alerts), maps.Clone(n.stats.Receivers)
	for _, a := range n.alerts {
		if a.Status == sdk.Firing && n.inhibited(a) {
			out.Inhibited++
		}
	}
	for at, g := range n.groups {
		s := GroupState{Key: at.Group, Receiver: at.Receiver, Labels: g.labels, Alerts: n.outward(g, nil)}
		if e := n.log[at]; e != nil {
			s.ToldAt = n.wall(e.At)
		}
		if g.message != nil {
			p := g.message.Pending
			s.Pending = &p
		}
		out.Groups = append(out.Groups, s)
	}
	slices.SortFunc(out.Groups, func(a, b GroupState) int {
		return strings.Compare(a.Key+"\xff"+a.Receiver, b.Key+"\xff"+b.Receiver)
	})
	return out
}

// wall makes wall time of a monotonic time.
func (n *Notifier) wall(t time.Time) time.Time { return n.o.Wall().Add(t.Sub(n.o.Clock.Now())).UTC() }
