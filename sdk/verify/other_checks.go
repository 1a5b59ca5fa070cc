package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// storeChecks query a store.
var storeChecks = []check{
	{"store/reads-back", "what was acknowledged is found by a query",
		"acknowledge when a query sees it", readsBack},
	{"store/mistakes", "a mistake in an expression is answered with its place",
		"answer with the mistake's offsets, within the expression", findsMistakes},
	{"store/valid", "a selector passes CheckQuery",
		"parse PromQL; what the store does not have is a mistake with a place", func(s *session) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			for _, expr := range []string{"up", `up{job="a"}`} {
				r, err := s.rpc.CheckQuery(s.ctx, &wire.CheckQueryRequest{Component: c.number, Expr: expr})
				if err != nil {
					return s.cause(err)
				}
				if r.Mistake != nil {
					return fmt.Errorf("%s: %s", expr, r.Mistake.Text)
				}
			}
			return nil
		}},
	{"store/cancelled", "a query that is given up, or has no time, leaves it well",
		"heed the context and the timeout of a query", func(s *session) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			for range 5 {
				ctx, cancel := context.WithTimeout(s.ctx, time.Millisecond)
				s.rpc.Query(ctx, &wire.QueryRequest{Component: c.number, Expr: "sum(rate(up[1h]))", StartMs: 1, EndMs: time.Now().UnixMilli(), StepMs: 3_600_000, TimeoutNs: 1})
				cancel()
			}
			return s.closes(c.number)
		}},
}

func (s *session) query(number uint32, expr string, at time.Time) (*wire.QueryResponse, error) {
	r, err := s.rpc.Query(s.ctx, &wire.QueryRequest{Component: number, Expr: expr, StartMs: at.UnixMilli(), EndMs: at.UnixMilli(), TimeoutNs: int64(10 * time.Second)})
	if err != nil {
		return nil, s.cause(err)
	}
	s.hear(r)
	return r, nil
}

func readsBack(s *session) error {
	c, f, err := s.fed()
	if err != nil {
		return err
	}
	defer f.cancel()
	now := time.Now()
	if _, _, err := f.offer(func(b *sdk.Batch) { some(b, 3, 41, now) }); err != nil {
		return s.unreachable(f, err)
	}
	r, err := s.query(c.number, `verify_requests_total{n="1"}`, now)
	switch {
	case err != nil:
		return err
	case r.Problem != nil && r.Problem.Blame == wire.Problem_TARGET:
		return skip("the store is elsewhere: %.150s", r.Problem.Text)
	case r.Problem != nil:
		return errors.New(r.Problem.Text)
	case len(r.Series) != 1 || len(r.Series[0].Values) != 1 || r.Series[0].Values[0] != 42:
		return fmt.Errorf("42 was written, and the query gives %v", r.Series)
	}
	return nil
}

func findsMistakes(s *session) error {
	c, err := s.open()
	if err != nil {
		return err
	}
	for _, expr := range []string{"sum(", "up{", "", strings.Repeat("(", 500)} {
		r, err := s.rpc.CheckQuery(s.ctx, &wire.CheckQueryRequest{Component: c.number, Expr: expr})
		if err != nil {
			return s.cause(err)
		}
		q, err := s.query(c.number, expr, time.Now())
		if err != nil {
			return err
		}
		for _, m := range []*wire.QueryMistake{r.Mistake, q.Mistake} {
			switch {
			case m == nil && (m == r.Mistake || q.Problem == nil):
				return fmt.Errorf("it finds nothing wrong with %.40q", expr)
			case m != nil && (m.Text == "" || m.Start > m.End || int(m.End) > len(expr)):
				return fmt.Errorf("%.40q: the mistake is at %d to %d: %q", expr, m.Start, m.End, m.Text)
			}
		}
	}
	return nil
}

// notifierChecks hand notifications over.
var notifierChecks = []check{
	{"notify/delivers", "a notification is delivered, or refused with a problem that blames the target",
		"return an error from Notify where it was not delivered: sdk.Target(err)", func(s *session) error {
			return s.notifies(func(p *wire.Problem) error {
				if p != nil && (p.Blame == wire.Problem_PLUGIN || p.Text == "") {
					return fmt.Errorf("it blames the plugin: %s", p.Text)
				}
				return nil
			}, firing, resolved)
		}},
	{"notify/odd", "strange notifications break nothing: none, a thousand alerts, texts of all kinds",
		"expect every field to be empty, long, or full of quotes and line ends", func(s *session) error {
			return s.notifies(nil, func(n *sdk.Notification) { n.Alerts = nil }, many, weird, func(n *sdk.Notification) { *n = sdk.Notification{} })
		}},
	{"notify/junk", "what is no notification is answered with a problem",
		"answer with a problem", func(s *session) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			r, err := s.notify(c.number, []byte("{"))
			if err == nil && r.Problem == nil {
				err = errors.New("it says that it was delivered")
			}
			return err
		}},
	{"notify/failing", "while its target fails, it does not say that it delivered",
		"an answer that is not 2xx is an error", failsHonestly},
	{"notify/given-up", "a notification that is given up leaves it well",
		"Notify heeds its context", func(s *session) error {
			release := s.target.stall()
			defer release()
			c, err := s.open()
			if err != nil {
				return err
			}
			for range 3 {
				ctx, cancel := context.WithTimeout(s.ctx, 50*time.Millisecond)
				s.rpc.Notify(ctx, &wire.NotifyRequest{Component: c.number, Notification: notification(firing)})
				cancel()
			}
			return s.closes(c.number)
		}},
}

func notification(change func(*sdk.Notification)) []byte {
	n := sdk.Notification{
		GroupKey: `{}:{alertname="VerifyTest"}`, IdempotencyKey: "verify-1", Status: sdk.Firing, Receiver: "notifier.verify.verify",
		GroupLabels: map[string]string{"alertname": "VerifyTest"}, CommonLabels: map[string]string{"alertname": "VerifyTest", "severity": "info"},
		CommonAnnots: map[string]string{"summary": "A test of the plugin"}, ExternalURL: "http://127.0.0.1:9470", Title: "VerifyTest", Text: "A test of the plugin.\nNothing is wrong.",
		Alerts: []sdk.Alert{{
			Status: sdk.Firing, Labels: map[string]string{"alertname": "VerifyTest", "severity": "info"}, Annotations: map[string]string{"summary": "A test of the plugin"},
			StartsAt: time.Now().Add(-time.Minute), Fingerprint: "0123456789abcdef", Value: 1,
		}},
	}
	change(&n)
	b, err := json.Marshal(n)
	if err != nil {
		panic(err)
	}
	return b
}

func firing(*sdk.Notification) {}

func resolved(n *sdk.Notification) {
	n.Status, n.Alerts[0].Status, n.Alerts[0].EndsAt, n.IdempotencyKey = sdk.Resolved, sdk.Resolved, time.Now(), "verify-2"
	n.Previous = sdk.Receipt{ID: "a receipt that it did not give"}
}

func many(n *sdk.Notification) {
	for i := range 1000 {
		a := n.Alerts[0]
		a.Labels = map[string]string{"alertname": "VerifyTest", "n": fmt.Sprint(i)}
		n.Alerts = append(n.Alerts, a)
	}
	n.Truncated = 7
}

func weird(n *sdk.Notification) {
	text := "喜鹊 №\n\r\t\"'\\<b>&amp;{{ .x }}${y}\x00\u202e" + strings.Repeat("long ", 20_000)
	n.Title, n.Text, n.Status, n.GroupKey = text, text, "neither", text
	n.Alerts[0].Labels = map[string]string{text[:40]: text}
	n.Alerts[0].Annotations, n.Alerts[0].StartsAt = nil, time.Time{}
}

func (s *session) notify(number uint32, n []byte) (*wire.NotifyResponse, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.patient(15*time.Second))
	defer cancel()
	r, err := s.rpc.Notify(ctx, &wire.NotifyRequest{Component: number, Notification: n})
	if err != nil {
		return nil, s.cause(err)
	}
	s.hear(r)
	return r, nil
}

// notifies hands notifications over and looks at the answers.
func (s *session) notifies(look func(*wire.Problem) error, changes ...func(*sdk.Notification)) error {
	c, err := s.open()
	if err != nil {
		return err
	}
	for _, change := range changes {
		r, err := s.notify(c.number, notification(change))
		if err != nil {
			return err
		}
		if look != nil {
			if err := look(r.Problem); err != nil {
				return err
			}
		}
	}
	return nil
}

func failsHonestly(s *session) error {
	c, err := s.open()
	if err != nil {
		return err
	}
	s.target.answer(500)
	asked := s.target.requests()
	r, err := s.notify(c.number, notification(firing))
	switch {
	case err != nil:
		return err
	case s.target.requests() == asked:
		return skip("it does not send to VERIFY_URL")
	case r.Problem == nil:
		return errors.New("its target answered 500, and it says that it delivered")
	case r.Problem.Permanent:
		return errors.New("its target answered 500, and it says that trying again cannot help")
	}
	return nil
}

// discoveryChecks ask what a discovery finds.
var discoveryChecks = []check{
	{"discover/lists", "it tells its targets at once, and they have addresses",
		"call found with the whole list as soon as it is known, also where it is empty", discovers},
	{"discover/ends", "a call that is given up ends, and another one works",
		"Discover returns when its context ends", func(s *session) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			for range 5 {
				ctx, cancel := context.WithCancel(s.ctx)
				stream, err := s.rpc.Discover(ctx, &wire.DiscoverRequest{Component: c.number})
				s.settle()
				cancel()
				if err == nil {
					for err == nil {
						_, err = stream.Recv()
					}
				}
			}
			return s.closes(c.number)
		}},
}

func discovers(s *session) error {
	c, err := s.open()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.patient(5*time.Second))
	defer cancel()
	stream, err := s.rpc.Discover(ctx, &wire.DiscoverRequest{Component: c.number})
	if err != nil {
		return s.cause(err)
	}
	m, err := stream.Recv()
	if err != nil {
		if ctx.Err() != nil {
			return errors.New("no list comes")
		}
		if errors.Is(err, io.EOF) {
			return errors.New("the call ends without a list")
		}
		return s.cause(err)
	}
	s.hear(m)
	if m.Problem != nil {
		return errors.New(m.Problem.Text)
	}
	for _, t := range m.Targets {
		if t.Address == "" {
			return fmt.Errorf("a target has no address: %v", t.Labels)
		}
	}
	return nil
}

// serviceChecks let a service run.
var serviceChecks = []check{
	{"service/runs", "it runs until it is closed, without an error",
		"Run blocks until its context ends", func(s *session) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			select {
			case <-time.After(300 * time.Millisecond):
			case <-s.ctx.Done():
			}
			h, err := s.healthOf(c.number)
			if err != nil {
				return err
			}
			if h == nil || len(h.Errors) > 0 || h.Status == wire.ComponentHealth_FAILED {
				return fmt.Errorf("after a moment it is %s: %s %s", h.GetStatus(), h.GetText(), h.GetLastError().GetText())
			}
			return s.closes(c.number)
		}},
}
