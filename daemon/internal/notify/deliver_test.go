package notify

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

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
	notifying(t, simple("r"), func(t *testing.T, w *world, n *Notifier) {
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
	notifying(t, simple("r"), func(t *testing.T, w *world, n *Notifier) {
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
	notifying(t, simple("r", "other"), func(t *testing.T, w *world, n *Notifier) {
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

func TestAMessageReads(t *testing.T) {
	notifying(t, simple("r"), func(t *testing.T, w *world, n *Notifier) {
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
