package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// lined waits until the sink has a line, and returns how many came before it.
func (s *sink) lined(line string) int {
	s.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		s.mu.Lock()
		at := slices.Index(s.lines, line)
		s.mu.Unlock()
		if at >= 0 {
			return at
		}
	}
	s.Fatalf("%q did not come", line)
	return 0
}

func TestASinkThatTakesAnyOrderHearsOfNowBeforeItsBacklogIsDone(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		t.Run(fmt.Sprint("restarted ", restarted), func(t *testing.T) {
			r := newRig(t)
			k := r.sink()
			r.log.Cursor("p -> s") // before anything comes
			s := r.source(1, "source.a.x")
			old := time.Now().Add(-time.Hour).UnixMilli()
			var backlog []string
			for i := range 2000 {
				s.send(old+int64(i), "one", i)
				backlog = append(backlog, fmt.Sprintf("one i %d %d", old+int64(i), i))
				if i%100 == 0 {
					s.flush() // more than one record
				}
			}
			s.flush()
			now := time.Now().UnixMilli()
			slow := make(chan struct{}) // the first connection brings little until it is closed
			var first bool
			deliver := func() (*Delivery, func()) {
				ctx, cancel := context.WithCancel(r.ctx)
				done := make(chan struct{})
				d := NewDelivery(r.log, Route{
					Key: "p -> s", AnyOrder: true, Wants: func(string) bool { return true }, Log: func(string, error) {},
					Connect: func(ctx context.Context, _ uint32) (Consumed, error) {
						c, err := k.connect(ctx, 0)
						if err == nil && !first {
							first = true
							return &held{c, slow, ctx, k}, nil
						}
						return c, err
					},
				})
				go func() { d.Run(ctx); close(done) }()
				return d, func() { cancel(); <-done }
			}
			d, stop := deliver()
			k.lined(backlog[0])
			s.emit(now, "one", 5)
			live := fmt.Sprintf("one i %d 5", now)
			if at := k.lined(live); at >= len(backlog) {
				t.Errorf("%d came before it", at)
			}
			if st := d.State(); st.Buffered == 0 || st.Buffered > 2001 {
				t.Errorf("%d are buffered", st.Buffered)
			}
			if restarted {
				stop()
				d, stop = deliver()
			}
			defer func() { stop() }()
			close(slow)
			k.lined(backlog[len(backlog)-1])
			s.emit(now+1, "one", 6)
			k.lined(fmt.Sprintf("one i %d 6", now+1))
			if err := d.Wait(r.ctx, r.log.Durable()); err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(2 * time.Minute); r.log.Has(Ahead("p -> s")); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the second delivery does not end")
				}
			}
			s.emit(now+2, "one", 7)
			k.lined(fmt.Sprintf("one i %d 7", now+2))
			if err := d.Wait(r.ctx, r.log.Durable()); err != nil {
				t.Fatal(err)
			}
			k.mu.Lock()
			lines := slices.DeleteFunc(slices.Clone(k.lines), func(l string) bool { return strings.HasSuffix(l, "NaN") })
			k.mu.Unlock()
			if !restarted && len(lines) != 2003 {
				t.Errorf("%d lines came, not 2003", len(lines))
			}
			slices.Sort(lines)
			if n := len(slices.Compact(lines)); n != 2003 {
				t.Errorf("%d different lines came, not 2003", n)
			}
			if st := d.State(); st.Buffered != 0 || st.Lag != 0 || !restarted && st.Stored != 2003 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// held is a connection on which, once the sink has something, nothing moves for a while.
type held struct {
	Consumed
	until chan struct{}
	ctx   context.Context
	sink  *sink
}

func (h *held) SendMsg(m any) error {
	h.sink.mu.Lock()
	some := len(h.sink.lines) > 0
	h.sink.mu.Unlock()
	if some {
		select {
		case <-h.until:
		case <-h.ctx.Done():
			return h.ctx.Err()
		}
	}
	return h.Consumed.SendMsg(m)
}
