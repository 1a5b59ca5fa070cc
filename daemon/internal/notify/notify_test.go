package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/magpie-monitoring/magpie/sdk"
)

// A world is what surrounds a Notifier: receivers, a disk, and a clock on the wall.
type world struct {
	t        *testing.T
	mu       sync.Mutex
	fails    map[string]error // receivers that do not take messages
	hangs    map[string]bool  // receivers that do not answer
	got      []got            // deliveries and attempts
	disk     []byte
	atSend   []byte // what was on disk when a message was attempted
	noDisk   error
	saves    int
	step     time.Duration // by which the wall clock was set
	log      bytes.Buffer
	receipts int
}

type got struct {
	receiver string
	note     sdk.Notification
	ok       bool
	at       time.Time
}

func newWorld(t *testing.T) *world {
	return &world{t: t, fails: map[string]error{}, hangs: map[string]bool{}}
}

func (w *world) notifier() *Notifier {
	return New(Options{
		Deliver: w.deliver,
		Load:    func(string) ([]byte, error) { w.mu.Lock(); defer w.mu.Unlock(); return w.disk, nil },
		Save: func(_ string, b []byte) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.saves++
			if w.noDisk == nil {
				w.disk = b
			}
			return w.noDisk
		},
		ExternalURL: "http://magpie.example", Log: hclog.New(&hclog.LoggerOptions{Output: &w.log, Mutex: &w.mu}),
		Wall: w.wall,
	})
}

func (w *world) wall() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return time.Now().Add(w.step) }

func (w *world) deliver(ctx context.Context, receiver string, n sdk.Notification) (sdk.Receipt, error) {
	w.mu.Lock()
	w.atSend = w.disk
	hangs, err := w.hangs[receiver], w.fails[receiver]
	w.got = append(w.got, got{receiver, n, err == nil && !hangs, time.Now()})
	w.receipts++
	receipt := sdk.Receipt{ID: fmt.Sprint("thread ", w.receipts)}
	w.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return sdk.Receipt{}, ctx.Err()
	}
	return receipt, err
}

// attempts are all messages since the last call of taken.
func (w *world) attempts() []got { w.mu.Lock(); defer w.mu.Unlock(); return slices.Clone(w.got) }

func (w *world) count() int { w.mu.Lock(); defer w.mu.Unlock(); return w.saves }

// said is the log.
func (w *world) said() string { w.mu.Lock(); defer w.mu.Unlock(); return w.log.String() }

// taken returns the messages that were delivered since the last call: receiver, status, and the alerts.
func (w *world) taken() (list []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, g := range w.got {
		if g.ok {
			list = append(list, g.String())
		}
	}
	w.got = nil
	return list
}

func (g got) String() string {
	text := fmt.Sprintf("%s %s:", g.receiver, g.note.Status)
	for _, a := range g.note.Alerts {
		text += " " + a.Labels["alertname"] + a.Labels["instance"]
		if a.Status == sdk.Resolved {
			text += "-"
		}
	}
	return text
}

func (w *world) want(messages ...string) {
	w.t.Helper()
	if list := w.taken(); !slices.Equal(list, messages) {
		w.t.Errorf("at %v delivered\n%q, want\n%q", time.Now(), list, messages)
	}
}

func (w *world) set(change func()) { w.mu.Lock(); defer w.mu.Unlock(); change() }

// firing makes an alert of text such as "High a team=db": its name, its instance, more labels.
func firing(text string) Alert {
	fields := strings.Fields(text)
	labels := map[string]string{"alertname": fields[0]}
	for i, f := range fields[1:] {
		name, value, ok := strings.Cut(f, "=")
		if !ok && i == 0 {
			name, value = "instance", f
		}
		labels[name] = value
	}
	return Alert{Alert: sdk.Alert{Status: sdk.Firing, Labels: labels, StartsAt: time.Now(), Value: 1, Annotations: map[string]string{"summary": text}}, ValidFor: 1000 * time.Hour}
}

func resolved(text string) Alert {
	a := firing(text)
	a.Status, a.EndsAt = sdk.Resolved, time.Now()
	return a
}

func simple(receivers ...string) *Route {
	return &Route{Notify: receivers, GroupBy: []string{"alertname"}, GroupWait: 30 * time.Second, GroupInterval: 5 * time.Minute, RepeatInterval: 4 * time.Hour}
}

func mustRoute(t *testing.T, n *Notifier, r *Route) {
	t.Helper()
	if err := n.SetRoute(r); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, name string, f func(t *testing.T, w *world)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { f(t, newWorld(t)) })
	})
}

// notifying is a world with a Notifier that has a route.
func notifying(t *testing.T, route *Route, f func(t *testing.T, w *world, n *Notifier)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := w.notifier()
		defer n.Stop()
		mustRoute(t, n, route)
		f(t, w, n)
	})
}

func TestAGroupWaitsThenTellsWhatIsNewAndItsEndOnce(t *testing.T) {
	notifying(t, simple("r"), func(t *testing.T, w *world, n *Notifier) {
		n.Put([]Alert{firing("High a")})
		time.Sleep(10 * time.Second)
		n.Put([]Alert{firing("High b"), firing("Low c")})
		time.Sleep(19 * time.Second)
		w.want()
		time.Sleep(2 * time.Second)
		w.want("r firing: Higha Highb")
		time.Sleep(10 * time.Second)
		w.want("r firing: Lowc")
		time.Sleep(20 * time.Minute)
		w.want() // nothing new
		n.Put([]Alert{firing("High d")})
		time.Sleep(5*time.Minute + time.Second)
		w.want("r firing: Higha Highb Highd")
		n.Put([]Alert{resolved("High a")})
		time.Sleep(5 * time.Minute)
		w.want("r firing: Highb Highd Higha-")
		n.Put([]Alert{resolved("High b"), resolved("High d"), resolved("High a")})
		time.Sleep(5 * time.Minute)
		w.want("r resolved: Highb- Highd-")
		n.Put([]Alert{resolved("High a"), resolved("High b"), resolved("High d")}) // told again, as rules do
		time.Sleep(time.Hour)
		w.want()
		if s := n.Snapshot(); len(s.Groups) != 1 || s.Alerts != 1 || s.Receivers["r"].Sent != 5 {
			t.Errorf("%+v", s)
		}
		n.Put([]Alert{firing("High a")})
		time.Sleep(31 * time.Second)
		w.want("r firing: Higha")
	})
}

func TestWhatFiresIsRepeatedAfterTheRepeatInterval(t *testing.T) {
	notifying(t, simple("r"), func(t *testing.T, w *world, n *Notifier) {
		n.Put([]Alert{firing("High a")})
		time.Sleep(time.Minute)
		first := w.attempts()[0].note
		w.want("r firing: Higha")
		time.Sleep(3*time.Hour + 59*time.Minute)
		w.want()
		time.Sleep(6 * time.Minute) // at the first flush after the interval
		again := w.attempts()[0].note
		w.want("r firing: Higha")
		if first.IdempotencyKey == again.IdempotencyKey {
			t.Error("a repetition has the key of the first message: receivers would drop it")
		}
	})
}

func TestRoutesAndGroups(t *testing.T) {
	tree := simple("root")
	child := func(notify string, goOn bool, match ...sdk.Matcher) *Route {
		r := simple(notify)
		r.Match, r.Continue = match, goOn
		return r
	}
	tree.Routes = []*Route{
		child("audit", true, sdk.Matcher{Label: "team", Op: "=~", Value: "d.|web"}),
		child("db", false, sdk.Matcher{Label: "team", Op: "=", Value: "db"}, sdk.Matcher{Label: "env", Op: "!=", Value: "test"}),
		child("rest", false, sdk.Matcher{Label: "team", Op: "!~", Value: "d.*|"}),
	}
	tree.Routes[1].Routes = []*Route{child("pager", false, sdk.Matcher{Label: "severity", Op: "=", Value: "page"})}
	tree.Routes[2].GroupBy = []string{"..."}
	tree.Routes[1].GroupBy = nil
	own := firing("High e team=db")
	own.Notify = []string{"me", "you"}
	for _, c := range []struct {
		name   string
		alerts []Alert
		want   []string
	}{
		{"no child matches", []Alert{firing("High a")}, []string{"root firing: Higha"}},
		{"continue", []Alert{firing("High a team=db")}, []string{"audit firing: Higha", "db firing: Higha"}},
		{"continue and the root's own", []Alert{firing("High a team=db env=test")}, []string{"audit firing: Higha"}},
		{"grandchild", []Alert{firing("High a team=db severity=page")}, []string{"audit firing: Higha", "pager firing: Higha"}},
		{"anchored", []Alert{firing("High a team=xweb")}, []string{"rest firing: Higha"}},
		{"by all labels", []Alert{firing("High a team=x"), firing("High b team=x")}, []string{"rest firing: Higha", "rest firing: Highb"}},
		{"by no label", []Alert{firing("High a team=db"), firing("Low b team=db")}, []string{"audit firing: Higha", "audit firing: Lowb", "db firing: Higha Lowb"}},
		{"by one label", []Alert{firing("High a"), firing("High b"), firing("Low a")}, []string{"root firing: Higha Highb", "root firing: Lowa"}},
		{"receivers of its own", []Alert{own}, []string{"me firing: Highe", "you firing: Highe"}},
	} {
		run(t, c.name, func(t *testing.T, w *world) {
			n := w.notifier()
			defer n.Stop()
			mustRoute(t, n, tree)
			n.Put(c.alerts)
			time.Sleep(time.Minute)
			list := w.taken()
			slices.Sort(list)
			if !slices.Equal(list, c.want) {
				t.Errorf("%q, want %q", list, c.want)
			}
		})
	}
	run(t, "nobody", func(t *testing.T, w *world) {
		n := w.notifier()
		defer n.Stop()
		mustRoute(t, n, nil)
		n.Put([]Alert{firing("High a"), own})
		time.Sleep(time.Minute)
		if s := n.Snapshot(); s.Unrouted != 1 || s.Alerts != 1 || len(w.attempts()) != 2 {
			t.Errorf("%+v", s)
		}
	})
	run(t, "wrong matchers", func(t *testing.T, w *world) {
		n := w.notifier()
		defer n.Stop()
		for _, m := range []sdk.Matcher{{Label: "a", Op: "=~", Value: "("}, {Label: "a", Op: "~", Value: "x"}, {Label: "a", Op: "", Value: "x"}} {
			if err := n.SetRoute(&Route{Routes: []*Route{{Match: []sdk.Matcher{m}}}}); err == nil {
				t.Errorf("%v was taken", m)
			}
		}
	})
}

func TestAnAlertThatNobodyRenewsResolvesByItself(t *testing.T) {
	notifying(t, simple("r"), func(t *testing.T, w *world, n *Notifier) {
		a := firing("High a")
		a.ValidFor = 4 * time.Minute
		for range 10 {
			n.Put([]Alert{a})
			time.Sleep(3 * time.Minute)
		}
		w.want("r firing: Higha")
		ended := time.Now().Add(time.Minute)
		time.Sleep(6 * time.Minute)
		if e := w.attempts()[0].note.Alerts[0].EndsAt; !e.Equal(ended) {
			t.Errorf("ended at %v, want %v", e, ended)
		}
		w.want("r resolved: Higha-")
	})
}

func TestAClockThatIsSetNotifiesOfNothing(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour, 24 * time.Hour, -24 * time.Hour} {
		run(t, step.String(), func(t *testing.T, w *world) {
			n := w.notifier()
			defer n.Stop()
			mustRoute(t, n, simple("r", "down"))
			w.set(func() { w.fails["down"] = errors.New("down") })
			a := firing("High a")
			a.ValidFor = 4 * time.Minute
			for i := range 60 {
				if i == 10 {
					w.set(func() { w.step = step })
				}
				a.StartsAt = a.StartsAt.Add(w.step) // rules show other times then
				n.Put([]Alert{a})
				time.Sleep(time.Minute)
			}
			w.want("r firing: Higha")
			if c := n.Snapshot().Receivers["down"]; c.Failed < 8 || c.Failed > 40 {
				t.Errorf("%+v", c)
			}
		})
	}
}

func TestNewRoutesKeepGroupsThatAreTheSame(t *testing.T) {
	notifying(t, simple("r", "old"), func(t *testing.T, w *world, n *Notifier) {
		w.set(func() { w.fails["old"] = errors.New("down") })
		n.Put([]Alert{firing("High a")})
		time.Sleep(time.Minute)
		w.want("r firing: Higha")
		changed := simple("r", "new")
		changed.GroupInterval = time.Minute
		mustRoute(t, n, changed)
		time.Sleep(time.Second)
		w.want("new firing: Higha") // old enough to be told at once
		s := n.Snapshot()
		if len(s.Groups) != 2 || s.Receivers["old"].Dropped != 1 || !strings.Contains(w.said(), "was dropped") {
			t.Errorf("%+v", s)
		}
		n.Put([]Alert{resolved("High a")})
		time.Sleep(5 * time.Minute)
		w.want("new resolved: Higha-", "r resolved: Higha-")
		if s := n.Snapshot(); s.Alerts != 0 || len(s.Groups) != 0 || len(n.log) != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAnAlertWhoseOwnReceiversChangeMoves(t *testing.T) {
	notifying(t, simple("r"), func(t *testing.T, w *world, n *Notifier) {
		a := firing("High a")
		a.Notify = []string{"me"}
		n.Put([]Alert{a})
		time.Sleep(time.Minute)
		w.want("me firing: Higha")
		a.Notify = nil
		n.Put([]Alert{a})
		time.Sleep(time.Minute)
		w.want("r firing: Higha")
		if s := n.Snapshot(); len(s.Groups) != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestThereIsAMostOfAlerts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := w.notifier()
		defer n.Stop()
		r := simple("r")
		r.GroupBy = nil
		mustRoute(t, n, r)
		alerts := make([]Alert, maxAlerts+5)
		for i := range alerts {
			alerts[i] = firing(fmt.Sprint("High ", i))
		}
		n.Put(alerts)
		time.Sleep(time.Minute)
		s := n.Snapshot()
		if s.Alerts != maxAlerts || s.Refused != 5 || len(w.attempts()) != 1 || w.attempts()[0].note.Truncated != maxAlerts-500 || len(w.attempts()[0].note.Alerts) != 500 {
			t.Errorf("%d alerts, %d refused, %d messages", s.Alerts, s.Refused, len(w.attempts()))
		}
	})
}
