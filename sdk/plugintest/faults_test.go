package plugintest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// pusher emits and flushes whenever it is told, and says what came of it.
type pusher struct{ push, said chan error }

func (p *pusher) Stream(ctx context.Context, out sdk.Emitter) error {
	b := out.Batch()
	for {
		select {
		case <-p.push:
		case <-ctx.Done():
			return ctx.Err()
		}
		b.Set(gauge, 1, "a")
		err := out.Emit(sdk.WithoutWaiting(ctx), b)
		if err == nil {
			err = out.Flush(ctx)
		}
		p.said <- err
	}
}

func openPusher(t *testing.T, opts ...Option) (*Component, *pusher) {
	p := &pusher{make(chan error), make(chan error, 10)}
	return Open(t, sdk.StreamSource(func(context.Context, *none, sdk.Host) (*pusher, error) { return p, nil }), nil, opts...), p
}

func TestAcknowledgementsAreHeldAndNeverCome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, p := openPusher(t)
		p.push <- nil
		if err := <-p.said; err != nil {
			t.Fatal(err)
		}
		release := c.Hold()
		p.push <- nil
		time.Sleep(time.Hour)
		if synctest.Wait(); len(p.said) > 0 {
			t.Errorf("without an acknowledgement it says %v", <-p.said)
		}
		release()
		if err := <-p.said; err != nil {
			t.Errorf("when it came: %v", err)
		}
		c.Hold()
		p.push <- nil
		synctest.Wait()
		c.Cut()
		if err := <-p.said; err == nil {
			t.Error("what the daemon never acknowledged is durable")
		}
		if n := len(c.Came()); n != 3 {
			t.Errorf("%d samples came", n)
		}
	})
}

func TestASourceWithoutRoomIsFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &flood{}
		c := Open(t, sdk.StreamSource(func(context.Context, *none, sdk.Host) (*flood, error) { return b, nil }), nil, Room(1))
		release := c.Hold()
		time.Sleep(time.Minute)
		synctest.Wait()
		if b.emitted != 1 || b.full < 50 {
			t.Errorf("%d batches were emitted, and %d times it was full", b.emitted, b.full)
		}
		release()
		time.Sleep(time.Minute)
		if synctest.Wait(); b.emitted < 50 {
			t.Errorf("with room %d batches were emitted", b.emitted)
		}
	})
}

// flood emits every second.
type flood struct{ emitted, full int }

func (f *flood) Stream(ctx context.Context, out sdk.Emitter) error {
	b := out.Batch()
	for ctx.Err() == nil {
		b.Set(gauge, 1, "a")
		switch err := out.Emit(sdk.WithoutWaiting(ctx), b); {
		case err == nil:
			f.emitted++
		case errors.Is(err, sdk.ErrFull):
			f.full++
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// once is a sink that knows what it has by the batch's ID.
type once struct {
	has   map[uint64]bool
	lines []string
	begun func()
}

func (o *once) Write(ctx context.Context, in *sdk.Batch) error {
	if o.begun != nil {
		o.begun()
		<-ctx.Done()
		return ctx.Err()
	}
	if o.has[in.ID()] {
		return nil
	}
	o.has[in.ID()] = true
	for _, s := range in.Samples() {
		o.lines = append(o.lines, fmt.Sprint(s.Labels, s.Value))
	}
	return nil
}

func TestWhatWasWrittenComesAgainUnderItsID(t *testing.T) {
	t.Parallel()
	o := &once{has: map[uint64]bool{}}
	c := Open(t, sdk.Sink(func(context.Context, *none, sdk.Host) (*once, error) { return o, nil }), nil)
	write := func(v float64) bool {
		b := c.Batch()
		b.Put(b.Series(sdk.Series{Labels: sdk.NewLabels("__name__", "a")}), v)
		return c.Write() != nil
	}
	if !write(1) || !write(2) {
		t.Fatal("it is cut")
	}
	o.begun = c.Cut
	if write(3) {
		t.Error("a write that was cut was acknowledged")
	}
	o.begun = nil
	if ack := c.Redeliver(); ack == nil || ack.Stored != 3 {
		t.Errorf("%v", ack)
	}
	if !write(4) || c.Redeliver().Stored != 4 {
		t.Error("it does not go on")
	}
	if got := strings.Join(o.lines, " "); got != "a1 a2 a3 a4" && got != "a 1 a 2 a 3 a 4" {
		t.Errorf("it has %s", got)
	}
}

func TestTheDaemonMayRefuseToKeep(t *testing.T) {
	t.Parallel()
	state := State{Refuse: func(call, key string) error { return fmt.Errorf("no %s of %s", call, key) }}
	_, err := TryOpen(t, sdk.Source(openPager), Config{"url": "http://x.test/"}, Keeping(&state))
	if err == nil || !strings.Contains(err.Error(), "no put of opened") {
		t.Errorf("%v", err)
	}
}

func TestEachFaultEndsWithTheTimeoutAndBlamesTheTarget(t *testing.T) {
	t.Parallel()
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat("metric 1\n", 100)) })
	n := 0
	for name, faulty := range Faults(page) {
		n++
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := Open(t, sdk.Source(openPager), Config{"url": Serve(t, faulty).URL}, every(time.Minute))
				up := c.Cycle().Find("up")[0].Value
				fine := name == "garbage" || name == "page of a portal" || name == "no gzip" || name == "gzip bomb" || name == "body is longer than it says" || strings.HasPrefix(name, "status")
				h := c.Health()
				if (up == 1) != fine || up == 0 && h.Errors["target"] != 1 {
					t.Errorf("up is %v: %v", up, h.LastError)
				}
			})
		})
	}
	if n != len(faults) {
		t.Errorf("%d faults", n)
	}
	for range Faults(page) {
		break
	}
}
