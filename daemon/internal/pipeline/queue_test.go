package pipeline

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// gate is a sink that is not there until it is opened.
func (s *sink) gate() (connect func(context.Context, uint32) (Consumed, error), open func()) {
	there := make(chan struct{})
	return func(ctx context.Context, _ uint32) (Consumed, error) {
		select {
		case <-there:
			return s.connect(ctx, 0)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}, func() { close(there) }
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func dropped(d *Delivery) (n uint64) {
	for _, k := range d.State().Dropped {
		n += k
	}
	return n
}

func TestAFullQueueDropsTheOldestAndCountsThem(t *testing.T) {
	r := newRig(t)
	k := r.sink()
	connect, open := k.gate()
	d := r.deliver(k, func(route *Route) { route.Connect, route.Queue = connect, Queue{MaxBytes: 32 << 10} })
	other := r.sink() // one that takes everything is not affected
	unaffected := r.deliver(other, func(route *Route) { route.Key = "q -> s" })
	s := r.source(1, "source.a.x")
	const n = 2000
	for i := range n {
		s.emit(int64(1000*i), "one", i)
	}
	eventually(t, "the queue is within its bound", func() bool { return d.cursor.Backlog() <= 32<<10 })
	if r.log.Stats().Segments < 2 {
		t.Error("the log is too small for this test")
	}
	open()
	if err := d.Wait(r.ctx, r.log.Durable()); err != nil {
		t.Fatal(err)
	}
	st := d.State()
	if st.Stored+dropped(d) != n || st.Stored == 0 || st.Dropped["queue_full"] == 0 {
		t.Errorf("%d samples came: %+v", n, st)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if last := fmt.Sprintf("one i %d %d", 1000*(n-1), n-1); len(k.lines) != int(st.Stored) || k.lines[len(k.lines)-1] != last {
		t.Errorf("%d lines; the last is %q and not %q", len(k.lines), k.lines[len(k.lines)-1], last)
	}
	if err := unaffected.Wait(r.ctx, r.log.Durable()); err != nil || unaffected.State().Stored != n {
		t.Errorf("the other sink: %v %+v", err, unaffected.State())
	}
}

func TestWhatIsTooOldIsNotSent(t *testing.T) {
	r := newRig(t)
	k := r.sink()
	connect, open := k.gate()
	d := r.deliver(k, func(route *Route) { route.Connect, route.Queue = connect, Queue{MaxAge: time.Hour} })
	s := r.source(1, "source.a.x")
	now := time.Now().UnixMilli()
	for i := range 10 {
		s.emit(now-7200_000+int64(i), "one", i)
	}
	eventually(t, "what is old is dropped while the sink is not there", func() bool { return d.State().Dropped["too_old"] == 10 })
	s.emit(now, "one", 10, "two", 1)
	s.emit(now-7200_000, "two", 2) // behind what is fresh
	open()
	if err := d.Wait(r.ctx, r.log.Durable()); err != nil {
		t.Fatal(err)
	}
	k.expect(fmt.Sprintf("one i %d 10", now), fmt.Sprintf("two i %d 1", now))
	if st := d.State(); st.Stored != 2 || st.Dropped["too_old"] != 12 { // the end of series one is a sample too
		t.Errorf("%+v", st)
	}
}

func TestAQueueThatBlocksMakesItsSourcesWaitAndLosesNothing(t *testing.T) {
	r := newRig(t)
	k := r.sink()
	connect, open := k.gate()
	d := r.deliver(k, func(route *Route) { route.Connect, route.Queue = connect, Queue{MaxBytes: 16 << 10, Block: true} })
	r.in.Hold(func(address string) bool { return address == "source.a.x" && d.Full() })
	s, free := r.source(1, "source.a.x"), r.source(2, "source.b.x")
	done := make(chan int)
	go func() {
		n := 0
		for ; n < 1000; n++ {
			s.emit(int64(1000*n), "one", n)
		}
		done <- n
	}()
	eventually(t, "the queue is full", d.Full)
	free.emit(1, "other", 1) // of another process: it does not wait
	select {
	case <-done:
		t.Error("the source did not wait")
	default:
	}
	open()
	n := <-done
	if err := d.Wait(r.ctx, r.log.Durable()); err != nil {
		t.Fatal(err)
	}
	if st := d.State(); int(st.Stored) != n+1 || dropped(d) != 0 {
		t.Errorf("%d samples came: %+v", n+1, st)
	}
}

// deaf is a sink that is there, and acknowledges nothing until it is told to.
type deaf struct {
	*consumed
	hears chan struct{}
}

func (c *deaf) Recv() (*wire.Up, error) {
	select {
	case <-c.hears:
		return c.consumed.Recv()
	case <-c.ctx.Done():
		return nil, c.ctx.Err()
	}
}

func TestASinkThatTakesNothingDoesNotKeepItsFullQueue(t *testing.T) {
	r := newRig(t)
	k := r.sink()
	hears := make(chan struct{})
	d := r.deliver(k, func(route *Route) {
		route.Queue = Queue{MaxBytes: 1 << 20}
		route.Connect = func(ctx context.Context, _ uint32) (Consumed, error) {
			c, err := k.connect(ctx, 0)
			return &deaf{c.(*consumed), hears}, err
		}
	})
	s := r.source(1, "source.a.x")
	values := make([]any, 0, 2000)
	for j := range 1000 {
		values = append(values, fmt.Sprintf("m%d", j), j)
	}
	for i := range 900 { // some 7 MB: more than the window and the queue together
		s.send(int64(1000*i), values...)
	}
	s.flush()
	eventually(t, "what the sink was sent is taken back and dropped", func() bool { return d.State().Dropped["queue_full"] > 0 && d.cursor.Backlog() <= 1<<20 })
	close(hears)
	if err := d.Wait(r.ctx, r.log.Durable()); err != nil {
		t.Fatal(err)
	}
}
