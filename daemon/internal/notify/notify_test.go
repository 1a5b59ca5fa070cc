package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
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

func TestAGroupWaitsThenTellsWhatIsNewAndItsEndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := w.notifier()
		defer n.Stop()
		mustRoute(t, n, simple("r"))
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
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := w.notifier()
		defer n.Stop()
		mustRoute(t, n, simple("r"))
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
	child := func(notify string, goOn bool, match ...Matcher) *Route {
		r := simple(notify)
		r.Match, r.Continue = match, goOn
		return r
	}
	tree.Routes = []*Route{
		child("audit", true, Matcher{"team", "=~", "d.|web"}),
		child("db", false, Matcher{"team", "=", "db"}, Matcher{"env", "!=", "test"}),
		child("rest", false, Matcher{"team", "!~", "d.*|"}),
	}
	tree.Routes[1].Routes = []*Route{child("pager", false, Matcher{"severity", "=", "page"})}
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
		for _, m := range []Matcher{{"a", "=~", "("}, {"a", "~", "x"}, {"a", "", "x"}} {
			if err := n.SetRoute(&Route{Routes: []*Route{{Match: []Matcher{m}}}}); err == nil {
				t.Errorf("%v was taken", m)
			}
		}
	})
}

func TestAReceiverThatIsDownForAnHourLosesNothingAndHoldsNobodyUp(t *testing.T) {
	for name, down := range map[string]func(w *world){
		"fails": func(w *world) { w.fails["down"] = errors.New("connection refused") },
		"hangs": func(w *world) { w.hangs["down"] = true },
	} {
		run(t, name, func(t *testing.T, w *world) {
			n := w.notifier()
			defer n.Stop()
			mustRoute(t, n, simple("down", "up"))
			w.set(func() { down(w) })
			n.Put([]Alert{firing("High a")})
			time.Sleep(time.Minute)
			w.want("up firing: Higha")
			n.Put([]Alert{firing("High b")}) // fires and resolves while the receiver is down
			time.Sleep(10 * time.Minute)
			n.Put([]Alert{resolved("High b"), firing("High c")})
			time.Sleep(49 * time.Minute)
			attempts := slices.DeleteFunc(w.attempts(), func(g got) bool { return g.receiver != "down" })
			for _, g := range attempts {
				if g.note.IdempotencyKey != attempts[0].note.IdempotencyKey || g.String() != "down firing: Higha" {
					t.Errorf("another message: %v", g)
				}
			}
			if len(attempts) < 8 || len(attempts) > 40 {
				t.Errorf("%d attempts in an hour", len(attempts))
			}
			p := n.Snapshot().Groups[0].Pending
			if p == nil || p.Attempts < 8 || p.Error == "" {
				t.Errorf("%+v", p)
			}
			w.want("up firing: Higha Highb", "up firing: Higha Highc Highb-")
			w.set(func() { clear(w.fails); clear(w.hangs) })
			time.Sleep(6*time.Minute + time.Second)
			w.want("down firing: Higha", "down firing: Higha Highc Highb-")
			if n.Snapshot().Groups[0].Pending != nil {
				t.Error("still pending")
			}
			if c := strings.Count(w.said(), "will be tried again"); c != 1 {
				t.Errorf("said %d times\n%s", c, w.said())
			}
		})
	}
}

func TestARefusedMessageIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := w.notifier()
		defer n.Stop()
		mustRoute(t, n, simple("r"))
		w.set(func() { w.fails["r"] = sdk.Permanent(errors.New("no such channel")) })
		n.Put([]Alert{firing("High a")})
		time.Sleep(time.Hour)
		if s := n.Snapshot(); len(w.attempts()) != 1 || s.Receivers["r"] != (Counts{Refused: 1}) || !strings.Contains(w.said(), "no such channel") {
			t.Errorf("%d attempts, %+v", len(w.attempts()), s)
		}
		w.set(func() { clear(w.fails) })
		n.Put([]Alert{firing("High b")})
		time.Sleep(6 * time.Minute)
		w.want("r firing: Higha Highb")
	})
}

func TestAReceiverMayAskToBeTriedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := w.notifier()
		defer n.Stop()
		mustRoute(t, n, simple("r"))
		w.set(func() { w.fails["r"] = sdk.RetryAfter(errors.New("too many requests"), 20*time.Minute) })
		n.Put([]Alert{firing("High a")})
		time.Sleep(20 * time.Minute)
		if len(w.attempts()) != 1 {
			t.Errorf("%d attempts", len(w.attempts()))
		}
		time.Sleep(time.Minute)
		if len(w.attempts()) != 2 {
			t.Errorf("%d attempts", len(w.attempts()))
		}
	})
}

func TestOnlyAFewMessagesAreInFlightToOneReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := w.notifier()
		defer n.Stop()
		mustRoute(t, n, simple("r", "other"))
		w.set(func() { w.hangs["r"] = true })
		for i := range 100 {
			n.Put([]Alert{firing(fmt.Sprint("High", i))})
		}
		time.Sleep(40 * time.Second)
		counts := map[string]int{}
		for _, g := range w.attempts() {
			counts[g.receiver]++
		}
		if counts["r"] != maxInFlight || counts["other"] != 100 {
			t.Error(counts)
		}
		w.set(func() { clear(w.hangs) })
		time.Sleep(10 * time.Minute)
		if s := n.Snapshot().Receivers["r"]; s.Sent != 100 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAnAlertThatNobodyRenewsResolvesByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := w.notifier()
		defer n.Stop()
		mustRoute(t, n, simple("r"))
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

func TestARestartRepeatsNothingAndForgetsNothing(t *testing.T) {
	restart := func(w *world, n *Notifier) *Notifier {
		n.Stop()
		w.taken()
		n = w.notifier()
		mustRoute(w.t, n, simple("r"))
		return n
	}
	run(t, "after delivery", func(t *testing.T, w *world) {
		n := w.notifier()
		mustRoute(t, n, simple("r"))
		n.Put([]Alert{firing("High a"), firing("High b")})
		time.Sleep(time.Minute)
		w.want("r firing: Higha Highb")
		n = restart(w, n)
		defer n.Stop()
		time.Sleep(time.Hour)
		n.Put([]Alert{firing("High a")})
		time.Sleep(2 * time.Hour)
		w.want()
		time.Sleep(time.Hour + 6*time.Minute) // the repeat interval goes on over the restart
		w.want("r firing: Higha Highb")
		n.Put([]Alert{resolved("High a"), resolved("High b")})
		time.Sleep(6 * time.Minute)
		w.want("r resolved: Higha- Highb-")
	})
	run(t, "in the group wait", func(t *testing.T, w *world) {
		n := w.notifier()
		mustRoute(t, n, simple("r"))
		n.Put([]Alert{firing("High a")})
		time.Sleep(10 * time.Second)
		n = restart(w, n)
		defer n.Stop()
		time.Sleep(31 * time.Second)
		w.want("r firing: Higha")
	})
	run(t, "killed between delivery and log", func(t *testing.T, w *world) {
		n := w.notifier()
		mustRoute(t, n, simple("r"))
		n.Put([]Alert{firing("High a")})
		time.Sleep(31 * time.Second)
		key := w.attempts()[0].note.IdempotencyKey
		n.Stop()
		w.set(func() { w.disk = w.atSend })
		w.taken()
		n = w.notifier()
		defer n.Stop()
		mustRoute(t, n, simple("r"))
		time.Sleep(time.Minute)
		if len(w.attempts()) != 1 || w.attempts()[0].note.IdempotencyKey != key {
			t.Errorf("not the same message again: %v", w.attempts())
		}
	})
	run(t, "while the receiver is down", func(t *testing.T, w *world) {
		n := w.notifier()
		mustRoute(t, n, simple("r"))
		w.set(func() { w.fails["r"] = errors.New("down") })
		n.Put([]Alert{firing("High a")})
		time.Sleep(time.Minute)
		first := w.attempts()[0].note
		n.Put([]Alert{resolved("High a"), firing("High b")})
		time.Sleep(time.Minute)
		n.Put([]Alert{resolved("High b"), firing("High c")})
		n = restart(w, n)
		time.Sleep(10 * time.Minute)
		n = restart(w, n)
		defer n.Stop()
		w.set(func() { clear(w.fails) })
		time.Sleep(6 * time.Minute)
		if again := w.attempts()[0].note; again.IdempotencyKey != first.IdempotencyKey || again.Text != first.Text || !again.Alerts[0].StartsAt.Equal(first.Alerts[0].StartsAt) {
			t.Errorf("%+v\n%+v", again, first)
		}
		w.want("r firing: Higha", "r firing: Highc Higha- Highb-")
	})
	run(t, "nothing is sent before routes are known", func(t *testing.T, w *world) {
		n := w.notifier()
		mustRoute(t, n, simple("r"))
		w.set(func() { w.fails["r"] = errors.New("down") })
		n.Put([]Alert{firing("High a")})
		time.Sleep(time.Minute)
		n.Stop()
		w.set(func() { clear(w.fails) })
		w.taken()
		n = w.notifier()
		defer n.Stop()
		n.Put([]Alert{firing("High b")})
		time.Sleep(time.Hour)
		w.want()
		mustRoute(t, n, simple("r"))
		time.Sleep(time.Second)
		w.want("r firing: Higha", "r firing: Higha Highb")
	})
	run(t, "what nobody renews after it", func(t *testing.T, w *world) {
		n := w.notifier()
		mustRoute(t, n, simple("r"))
		a := firing("High a")
		a.ValidFor = 4 * time.Minute
		n.Put([]Alert{a})
		time.Sleep(time.Minute)
		n.Stop()
		w.taken()
		time.Sleep(time.Hour)
		n = w.notifier()
		defer n.Stop()
		mustRoute(t, n, simple("r"))
		time.Sleep(time.Minute)
		w.want()
		time.Sleep(6 * time.Minute)
		w.want("r resolved: Higha-")
	})
}

func TestNewRoutesKeepGroupsThatAreTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := w.notifier()
		defer n.Stop()
		mustRoute(t, n, simple("r", "old"))
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
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := w.notifier()
		defer n.Stop()
		mustRoute(t, n, simple("r"))
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

func TestTheReceiptThreadsMessagesOfOneStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := w.notifier()
		mustRoute(t, n, simple("r"))
		n.Put([]Alert{firing("High a")})
		time.Sleep(time.Minute)
		n.Stop()
		n = w.notifier()
		defer n.Stop()
		mustRoute(t, n, simple("r"))
		n.Put([]Alert{firing("High b")})
		time.Sleep(6 * time.Minute)
		n.Put([]Alert{resolved("High a"), resolved("High b")})
		time.Sleep(6 * time.Minute)
		n.Put([]Alert{firing("High a")})
		time.Sleep(time.Minute)
		var previous []string
		for _, g := range w.attempts() {
			previous = append(previous, g.note.Previous.ID)
		}
		if want := []string{"", "thread 1", "thread 2", ""}; !slices.Equal(previous, want) {
			t.Errorf("%q, want %q", previous, want)
		}
	})
}

func TestADiskThatFailsIsSaidAndStopsNoMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.noDisk = errors.New("no space left")
		n := w.notifier()
		defer n.Stop()
		mustRoute(t, n, simple("r"))
		n.Put([]Alert{firing("High a")})
		time.Sleep(time.Minute)
		w.want("r firing: Higha")
		if s := n.Snapshot().SaveError; s != "no space left" || strings.Count(w.said(), s) != 1 {
			t.Errorf("%q\n%s", s, w.said())
		}
		w.set(func() { w.noDisk = nil })
		n.Put([]Alert{firing("High b")})
		if n.Snapshot().SaveError != "" || w.disk == nil {
			t.Error("not saved")
		}
		saves := w.count()
		for range 10 {
			n.Put([]Alert{firing("High a"), firing("High b"), resolved("High z")})
		}
		if w.count() != saves {
			t.Error("saved though nothing has changed")
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
		if s.Alerts != maxAlerts || s.Refused != 5 || len(w.attempts()) != 1 || w.attempts()[0].note.Truncated != maxAlerts-maxListed || len(w.attempts()[0].note.Alerts) != maxListed {
			t.Errorf("%d alerts, %d refused, %d messages", s.Alerts, s.Refused, len(w.attempts()))
		}
	})
}

func TestASavedStateThatCannotBeReadIsSaidAndStartsEmpty(t *testing.T) {
	w := newWorld(t)
	w.disk = []byte("garbage")
	n := w.notifier()
	defer n.Stop()
	if s := n.Snapshot(); s.Alerts != 0 || !strings.Contains(w.said(), "cannot be read") {
		t.Errorf("%+v\n%s", s, w.said())
	}
}

func TestAMessageReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := w.notifier()
		defer n.Stop()
		mustRoute(t, n, simple("r"))
		a, b := firing("High a:9100 severity=page"), firing("High b:9100 severity=page")
		a.Annotations = map[string]string{"summary": "a is high", "runbook": "line 1\nline 2\n"}
		a.GeneratorURL = "http://magpie.example/graph?g0.expr=x&g0.tab=1"
		b.GeneratorURL, b.Value = a.GeneratorURL, 0.123456789
		n.Put([]Alert{a, b})
		time.Sleep(time.Minute)
		n.Put([]Alert{resolved("High b:9100 severity=page")})
		time.Sleep(5 * time.Minute)
		first, second := w.attempts()[0].note, w.attempts()[1].note
		if first.Title != "[FIRING:2] High (page)" || second.Title != "[FIRING:1] High (page)" {
			t.Errorf("%q, %q", first.Title, second.Title)
		}
		want := `[FIRING] High instance="a:9100"
  runbook: line 1
    line 2
  summary: a is high
  value 1 since 2000-01-01 00:00:00 UTC
  http://magpie.example/graph?g0.expr=x&g0.tab=1
[FIRING] High instance="b:9100"
  summary: High b:9100 severity=page
  value 0.123457 since 2000-01-01 00:00:00 UTC
  http://magpie.example/graph?g0.expr=x&g0.tab=1
`
		if first.Text != want {
			t.Errorf("%s\nwant\n%s", first.Text, want)
		}
		if !strings.Contains(second.Text, "[RESOLVED] High instance=\"b:9100\"\n") || !strings.Contains(second.Text, "since 2000-01-01 00:01:00 UTC until 2000-01-01 00:01:00 UTC") {
			t.Error(second.Text)
		}
		if !maps.Equal(first.CommonLabels, map[string]string{"alertname": "High", "severity": "page"}) || len(first.CommonAnnots) != 0 || first.Receiver != "r" || first.ExternalURL != "http://magpie.example" {
			t.Errorf("%+v", first)
		}
	})
}

func FuzzRestore(f *testing.F) {
	w := newWorld(nil)
	n := w.notifier()
	n.SetRoute(simple("r"))
	w.set(func() { w.fails["r"] = errors.New("down") })
	n.Put([]Alert{firing("High a")})
	n.Stop()
	f.Add(w.disk)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, value []byte) {
		w := newWorld(t)
		w.disk = value
		n := w.notifier()
		mustRoute(t, n, simple("r"))
		n.Put([]Alert{firing("High a")})
		n.Snapshot()
		n.Stop()
	})
}
