package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/daemon/internal/buffer"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// sinkWindow is how many bytes may be on the way to one sink without an acknowledgement.
const sinkWindow = 4 << 20

// Consumed is the daemon's end of a Consume stream.
type Consumed interface {
	SendMsg(m any) error
	Recv() (*wire.Up, error)
}

// Route says what a delivery carries, and where.
type Route struct {
	Key      string // names the cursor
	Wants    func(address string) bool
	Through  []wire.MapSeries
	External sdk.Labels                                // added where a series has none of the name
	Queue    Queue                                     // bounds what waits
	Bury     func(reason string, runs []sdk.Run) error // keeps what the sink will never take; nil: it is only counted
	AnyOrder bool                                      // the sink takes samples older than the newest it has
	Derive   *Derived                                  // of a processor of samples
	// Connect waits until the sink is there; the stream ends with ctx. derives is the number of Derive's stream.
	Connect func(ctx context.Context, derives uint32) (Consumed, error)
	Log     func(text string, err error)
}

// Delivery carries one cursor's records to one sink.
type Delivery struct {
	Route
	log    *buffer.Log
	cursor *buffer.Cursor
	id     uint64
	life   context.Context
	keep   time.Time // until then no sample is too old

	mu        sync.Mutex
	changed   chan struct{} // closed and replaced when something is acknowledged
	inFlight  []sent
	bytes     int
	last      uint64 // position of the last packet sent
	stopped   uint64 // how far everything was done when the connection broke last
	deaths    int    // how often it broke there
	alone     bool   // one packet at a time, to see which it is
	behind    time.Time
	connected bool
	ahead     *ahead // while there is a backlog
	trouble   string
	stats     DeliveryStats
}

// sent is a packet that waits for its acknowledgement; then everything up to upto is done.
type sent struct {
	position, upto uint64
	bytes          int
	samples        int
	gone           losses
}

// losses counts samples that were left out before the sink, by reason.
type losses map[string]int

func (l losses) with(reason string, samples int) losses {
	if samples == 0 {
		return l
	}
	if l == nil {
		l = losses{}
	}
	l[reason] += samples
	return l
}

// DeliveryStats count samples since the daemon started.
type DeliveryStats struct {
	Delivered uint64 // handed to the sink, repetitions included
	Stored    uint64
	Dropped   map[string]uint64 // by the sink and by processors, by reason
}

// NewDelivery makes a delivery at its cursor's place.
func NewDelivery(log *buffer.Log, r Route) *Delivery {
	return &Delivery{
		Route: r, log: log, cursor: log.Cursor(r.Key), id: log.ID(), changed: make(chan struct{}), behind: time.Now(),
		stats: DeliveryStats{Dropped: map[string]uint64{}},
	}
}

// Resume goes on with the counts of a delivery that has stopped, and that this one follows.
func (d *Delivery) Resume(before *Delivery) {
	s := before.State()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.Delivered += s.Delivered
	d.stats.Stored += s.Stored
	for reason, n := range s.Dropped {
		d.stats.Dropped[reason] += n
	}
}

// Run delivers until ctx ends. Whatever fails is tried again, after a pause with full jitter, from what is not acknowledged.
func (d *Delivery) Run(ctx context.Context) {
	d.life = ctx
	if d.AnyOrder && d.log.Has(Ahead(d.Key)) {
		d.goAhead()
	}
	defer func() {
		if a := d.current(); a != nil {
			a.stop()
		}
	}()
	for pause := 100 * time.Millisecond; ctx.Err() == nil; {
		began, at := time.Now(), d.cursor.Committed()
		err := d.connectAndDeliver(ctx)
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return
		}
		if errors.Is(err, errCaughtUp) {
			continue
		}
		if time.Since(began) > time.Minute || d.cursor.Committed() > at {
			pause = 100 * time.Millisecond
		}
		d.setTrouble(fmt.Sprint(err))
		d.Log("delivery to the sink broke off: it goes on from the last acknowledgement", err)
		t := time.NewTimer(rand.N(pause))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
		pause = min(2*pause, 30*time.Second)
	}
}

// A record that ends the connection again and again is poison: after so many times it is sent alone, and then no more.
const (
	timesTogether = 3
	timesAlone    = 3
)

// suspect looks at what was first on the way when the connection broke, and gives poison up.
func (d *Delivery) suspect() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.inFlight) == 0 {
		return
	}
	first := d.inFlight[0]
	if at := d.cursor.Committed(); at != d.stopped {
		d.stopped, d.deaths, d.alone = at, 0, false
	}
	switch d.deaths++; {
	case !d.alone && d.deaths >= timesTogether:
		d.alone, d.deaths = true, 0
	case d.alone && d.deaths >= timesAlone && first.samples > 0:
		d.deaths, d.alone = 0, false
		d.bury(first.position, "the connection to the sink broke each time that it was sent")
		d.stats.Dropped["poison"] += uint64(first.samples)
		d.finish(first.upto, first.gone)
	}
}

// bury keeps the samples of a record that the sink will never take.
func (d *Delivery) bury(position uint64, reason string) {
	if d.Bury == nil {
		return
	}
	decoder := wire.NewDecoder()
	record, err := d.log.Read(position, func(payload []byte) { decoder.Decode(payload) })
	if err == nil {
		var runs []sdk.Run
		if runs, _, err = decoder.Decode(record); err == nil {
			err = d.Bury(reason, slices.DeleteFunc(runs, func(r sdk.Run) bool { return !d.Wants(r.Origin.Address) }))
		}
	}
	if err != nil {
		d.Log("what the sink refused for good could not be kept", err)
	}
}

func (d *Delivery) connectAndDeliver(life context.Context) (err error) {
	ctx, cancel := context.WithCancelCause(life)
	defer cancel(nil)
	if d.Derive != nil {
		if d.Derive.number, err = d.Derive.Number(); err != nil {
			return err
		}
	}
	stream, err := d.await(ctx)
	if err != nil {
		return err
	}
	if d.Derive != nil {
		if err := d.resume(ctx, stream); err != nil {
			return err
		}
	}
	d.mu.Lock()
	d.connected, d.trouble = true, ""
	d.last = 0
	d.mu.Unlock()
	defer func() {
		if life.Err() == nil && !errors.Is(err, errStuck) && !errors.Is(err, net.ErrClosed) {
			d.suspect()
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.connected, d.behind = false, time.Now()
		d.inFlight, d.bytes = nil, 0 // not acknowledged: read again
	}()
	var receiving sync.WaitGroup
	receiving.Go(func() {
		err := d.receive(ctx, stream)
		cancel(err)
	})
	receiving.Go(func() { d.watch(ctx, cancel) })
	defer receiving.Wait()
	defer cancel(nil) // before waiting
	d.cursor.Rewind()
	err = d.send(ctx, stream)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	return err
}

// send reads records, translates them, and sends what is left of them.
func (d *Delivery) send(ctx context.Context, stream Consumed) error {
	t := wire.Translator{Wants: d.Wants, Through: d.Through, External: d.External}
	for {
		var buf *[]byte
		record, err := d.cursor.Next(ctx, func(n int) []byte {
			if buf != nil {
				wire.Pool.Put(buf)
			}
			buf = wire.Pool.Get(wire.PacketHeader + n)
			return (*buf)[wire.PacketHeader:]
		})
		if err != nil {
			return err
		}
		a := d.current()
		if a == nil && d.AnyOrder && stale(record) {
			d.goAhead()
			a = d.current()
		}
		if a != nil && !record.Past && record.Position > a.from {
			wire.Pool.Put(buf)
			return d.takeOver(ctx)
		}
		reason := d.unwanted(record)
		out, err := t.Translate(ctx, record.Payload, record.Samples, record.Defines, record.Past || reason != "")
		if err != nil {
			wire.Pool.Put(buf)
			return err
		}
		left := losses(nil).with("processor", out.Dropped)
		if reason != "" {
			left = left.with(reason, out.Skipped)
		}
		if out.Same {
			err = d.transmit(ctx, stream, buf, sent{position: record.Position, upto: record.Position, samples: out.Samples})
		} else {
			wire.Pool.Put(buf)
			err = d.transmitParts(ctx, stream, record.Position, out, left)
		}
		if err != nil {
			return err
		}
	}
}

// transmitParts sends translated frames, in as many packets as they need. All but the last bear the position before, so
// that only the last acknowledges the record.
func (d *Delivery) transmitParts(ctx context.Context, stream Consumed, position uint64, out wire.Translated, left losses) error {
	if len(out.Frames) == 0 {
		d.skip(position, left)
		return nil
	}
	rest := out.Frames
	for len(rest) > 0 {
		n := packetful(rest)
		part := rest[:n]
		rest = rest[n:]
		buf := wire.Pool.Get(wire.PacketHeader + n)
		copy((*buf)[wire.PacketHeader:], part)
		s := sent{position: position, upto: position, samples: out.Samples, gone: left}
		if len(rest) > 0 {
			s = sent{position: position - 1, upto: position - 1}
		}
		if err := d.transmit(ctx, stream, buf, s); err != nil {
			return err
		}
	}
	return nil
}

// packetful is the length of the frames that fit into a packet.
func packetful(frames []byte) (n int) {
	for r := wire.Read(frames); r.Next(); n += len(r.Raw) {
		if n > 0 && n+len(r.Raw) > wire.MaxFrame {
			return n
		}
	}
	return n
}

// transmit sends one packet when the window has room.
func (d *Delivery) transmit(ctx context.Context, stream Consumed, buf *[]byte, s sent) error {
	s.bytes = len(*buf)
	d.mu.Lock()
	for d.bytes > 0 && (d.bytes+s.bytes > sinkWindow || d.alone) {
		changed := d.changed
		d.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			wire.Pool.Put(buf)
			return ctx.Err()
		}
		d.mu.Lock()
	}
	if len(d.inFlight) == 0 {
		d.behind = time.Now()
	}
	d.inFlight = append(d.inFlight, s)
	d.bytes += s.bytes
	d.last = s.position
	d.stats.Delivered += uint64(s.samples)
	d.mu.Unlock()
	return stream.SendMsg(wire.SealPacket(buf, d.id, s.position, s.samples))
}

// skip passes a record that holds nothing for this sink, or nothing any more.
func (d *Delivery) skip(position uint64, left losses) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.inFlight); n > 0 {
		last := &d.inFlight[n-1]
		last.upto = max(last.upto, position)
		for reason, samples := range left {
			last.gone = last.gone.with(reason, samples)
		}
		return
	}
	d.finish(position, left)
}

// finish commits a place, and counts what was left out before it: only now, as it is read again if the connection breaks.
func (d *Delivery) finish(position uint64, left losses) {
	for reason, samples := range left {
		d.stats.Dropped[reason] += uint64(samples)
	}
	d.cursor.Commit(position)
	close(d.changed)
	d.changed = make(chan struct{})
}

// receive takes the sink's acknowledgements until the stream ends.
func (d *Delivery) receive(ctx context.Context, stream Consumed) error {
	for {
		up, err := stream.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return errors.New("the sink ended its stream")
			}
			return err
		}
		if p := up.GetTrouble(); p != nil {
			d.setTrouble(p.Text)
		}
		if frames := up.GetDerived(); frames != nil {
			if d.Derive == nil {
				return errors.New("a sink sends samples")
			}
			if err := d.Derive.gather(frames); err != nil {
				return err
			}
		}
		if ack := up.GetAck(); ack != nil {
			if d.Derive != nil {
				if err := d.commit(ctx, ack.Position); err != nil {
					return err
				}
			}
			for _, r := range ack.Refused {
				d.bury(r.Position, r.Text)
			}
			if err := d.acknowledge(ack); err != nil {
				return err
			}
		}
	}
}

func (d *Delivery) acknowledge(ack *wire.SinkAck) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.Stored += ack.Stored
	for reason, n := range ack.Dropped {
		d.stats.Dropped[reason] += n
	}
	d.trouble = ""
	if ack.Position > d.last {
		return fmt.Errorf("the sink acknowledges position %d, which it was not sent", ack.Position)
	}
	for len(d.inFlight) > 0 && d.inFlight[0].position <= ack.Position {
		s := d.inFlight[0]
		if s.samples > 0 {
			d.deaths, d.alone = 0, false // it was not the one
		}
		d.inFlight = d.inFlight[1:]
		d.bytes -= s.bytes
		d.finish(s.upto, s.gone)
	}
	d.behind = time.Now()
	return nil
}

func (d *Delivery) setTrouble(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trouble = text
}

// Wait returns when everything up to a position of the log is acknowledged by the sink.
func (d *Delivery) Wait(ctx context.Context, position uint64) error {
	for {
		if a := d.current(); a != nil && position > a.from {
			if err := a.Wait(ctx, position); err != nil || d.current() == a {
				return err
			}
		}
		d.mu.Lock()
		changed := d.changed
		d.mu.Unlock()
		if d.cursor.Committed() >= position {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s has not acknowledged in time", d.Key)
		}
	}
}

// DeliveryState is how a delivery is.
type DeliveryState struct {
	DeliveryStats
	Connected bool
	Trouble   string        // of the sink, "" if there is none
	Lag       uint64        // durable records that are not acknowledged
	Buffered  uint64        // the samples in them, whether they are for the sink or not
	Damaged   uint64        // samples that could not be read, whether they were for the sink or not
	Backlog   int64         // about their bytes
	Age       time.Duration // since when the sink has acknowledged nothing although there was something
}

// State reports how the delivery is.
func (d *Delivery) State() DeliveryState {
	s := DeliveryState{Lag: d.cursor.Lag(), Buffered: d.cursor.Buffered(), Damaged: d.cursor.Damaged(), Backlog: d.cursor.Backlog()}
	d.mu.Lock()
	s.DeliveryStats, s.Connected, s.Trouble = d.stats, d.connected, d.trouble
	s.Dropped = maps.Clone(d.stats.Dropped)
	if len(d.inFlight) > 0 || !d.connected && s.Lag > 0 {
		s.Age = time.Since(d.behind)
	}
	a := d.ahead
	d.mu.Unlock()
	if a != nil {
		s.add(a.State())
	}
	return s
}

// add joins the state of a second delivery.
func (s *DeliveryState) add(a DeliveryState) {
	s.Delivered += a.Delivered
	s.Stored += a.Stored
	for reason, n := range a.Dropped {
		s.Dropped[reason] += n
	}
	s.Lag += a.Lag
	s.Buffered += a.Buffered
	s.Damaged += a.Damaged
	s.Backlog += a.Backlog
	s.Age = max(s.Age, a.Age)
}
