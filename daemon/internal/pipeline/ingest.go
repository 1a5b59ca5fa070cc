// Package pipeline carries samples from sources through the log to sinks and stores.
//
//	ingest.go    what sources send: checked, appended to the log, acknowledged once durable
//	stream.go    the definitions of one opening of a component
//	handover.go  staleness when a component is opened anew, or ends
//	queue.go     what may wait for a sink
//	delivery.go  from one cursor of the log to one sink, with acknowledgements
//	ahead.go     what is of now, while there is a backlog
//	letters.go   what a sink will never take
//	recorder.go  the daemon's own source: the output of rules
//	derive.go    the output of processors of samples, and their state
//
// Packets pass as they came; only definitions are decoded, once at the door and once for each delivery that maps them.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/daemon/internal/buffer"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

const (
	sourceWindow = 8 << 20          // bytes of one process that may wait for durability
	maxFuture    = 10 * time.Minute // samples later than this are refused: they would poison a store's head
)

// Secrets find what no definition may hold, and take it out.
type Secrets struct {
	In    func(text []byte) bool // nil: there are none
	Clean func(text string) string
}

// Ingest is the door: it knows every open stream.
type Ingest struct {
	log     *buffer.Log
	Secrets Secrets // to be set before the first stream

	mu      sync.Mutex
	moved   map[string]string // addresses that are called otherwise now
	streams map[uint32]*stream
	ending  map[uint32]*stream // whose end is appended, and not durable yet
	dropped map[string]uint64  // samples refused at the door, by reason
	hold    func(address string) bool

	trouble    error // the log's, when it last refused
	troubledAt time.Time
}

// NewIngest makes the door of a log. The log's Carry must be the door's Carry.
func NewIngest() *Ingest {
	return &Ingest{streams: map[uint32]*stream{}, ending: map[uint32]*stream{}, dropped: map[string]uint64{}, moved: map[string]string{}}
}

// Start takes the log and finds the streams that the last run of the daemon left open.
func (in *Ingest) Start(log *buffer.Log) {
	in.log = log
	log.Definitions(func(payload []byte) {
		r := wire.Read(payload)
		for r.Next() {
			in.recover(&r.Frame)
		}
	})
}

func (in *Ingest) recover(f *wire.Frame) {
	s := in.streams[f.Stream]
	switch {
	case f.Kind == wire.Stream && s == nil:
		s = newStream(f.Stream, f.Address(), 0, 0)
		s.orphaned = time.Now()
		in.streams[f.Stream] = s
	case s == nil:
	case f.Kind == wire.End:
		delete(in.streams, f.Stream)
	case f.Kind == wire.Retire:
		s.retire(f.Refs())
	case f.Kind == wire.Checkpoint:
		if key, value, err := s.part(f); err == nil && key != "" {
			s.mark(key, value)
			s.settleMark(key, value)
		}
	case f.Kind == wire.Families, f.Kind == wire.Defs, f.Kind == wire.Layout:
		if s.define(f) == nil && f.Kind == wire.Layout {
			s.settle(f.Layout, s.layouts[f.Layout].raw)
		}
	}
}

// Carry adds the definitions of all streams, for the start of a segment: whatever that which is not durable yet may need.
func (in *Ingest) Carry(add func(frames []byte)) {
	in.mu.Lock()
	all := make([]*stream, 0, len(in.streams))
	for _, streams := range []map[uint32]*stream{in.streams, in.ending} {
		for _, s := range streams {
			all = append(all, s)
		}
	}
	in.mu.Unlock()
	for _, s := range all {
		s.carry(add)
	}
}

// Open announces a component under a fresh number, before the plugin opens it: whatever it sends finds its stream, which
// goes on with the checkpoints of the one before; that of the source is returned.
func (in *Ingest) Open(number uint32, address string, limit int, grace time.Duration) (checkpoint []byte) {
	s := newStream(number, address, limit, grace)
	in.open(s, nil)
	return s.checkpoints()[wire.SourceKey]
}

func (in *Ingest) open(s *stream, durable func()) {
	frames := wire.AppendStream(nil, s.number, s.address)
	if before := in.newest(s.address); before != nil {
		before.mu.Lock()
		for key, m := range before.marks {
			s.marks[key] = checkpoint{value: m.value}
			frames = wire.AppendCheckpoint(frames, s.number, key, m.value)
		}
		before.mu.Unlock()
	}
	in.mu.Lock()
	in.streams[s.number] = s
	in.mu.Unlock()
	kept := s.checkpoints()
	in.append(frames, 0, func() {
		for key, value := range kept {
			s.settleMark(key, value)
		}
		if durable != nil {
			durable()
		}
	})
	in.thin(s)
}

// newest is the last stream of an address that was opened.
func (in *Ingest) newest(address string) (last *stream) {
	for _, s := range in.of(address) {
		if last == nil || s.number > last.number {
			last = s
		}
	}
	return last
}

// append writes frames of the daemon's own.
func (in *Ingest) append(frames []byte, samples int, durable func()) {
	var entries []buffer.Entry
	for len(frames) > 0 {
		n := packetful(frames)
		entries = append(entries, buffer.Entry{Payload: frames[:n], Samples: samples, Defines: true})
		frames, samples = frames[n:], 0
	}
	if entries == nil {
		return
	}
	in.log.Insist(func(err error) {
		if err == nil && durable != nil {
			durable()
		}
	}, entries...)
}

// Serve takes what the sources of one process send, until the stream ends. connect opens the stream under the context that
// it is given; received is told the number of each packet that was taken. An error is a violation of the contract, which
// names the component, or that the log cannot keep what came.
func (in *Ingest) Serve(ctx context.Context, connect func(context.Context) (wire.PacketStream, error), received func(seq uint64)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	from, err := connect(ctx)
	if err != nil {
		return err
	}
	if err := from.SendMsg(&wire.Down{Message: &wire.Down_Credit{Credit: &wire.Credit{Bytes: sourceWindow}}}); err != nil {
		return err
	}
	acks := newAcker(ctx, from, cancel)
	var epoch, last uint64
	for {
		var raw wire.Raw
		if err := from.RecvMsg(&raw); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return errors.Join(context.Cause(ctx), err)
		}
		buf := raw.Materialize()
		packet, err := wire.ParsePacket(buf.ReadOnlyData())
		if epoch == 0 {
			epoch = packet.Epoch
		}
		switch {
		case err != nil:
		case packet.Epoch != epoch || packet.LastSeq != last+1:
			err = fmt.Errorf("packet %d of epoch %x came after packet %d of epoch %x", packet.LastSeq, packet.Epoch, last, epoch)
		default:
			last = packet.LastSeq
			err = in.take(ctx, packet, acks)
		}
		buf.Free()
		if err != nil {
			return err
		}
		received(last)
	}
}

// Hold makes the sources wait whose address hold gives true for: a queue that they reach is full. Packets of one process are
// in order, so that its other sources wait with them.
func (in *Ingest) Hold(hold func(address string) bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.hold = hold
}

// heldUp waits until no source of a packet has to.
func (in *Ingest) heldUp(ctx context.Context, c *checked) error {
	in.mu.Lock()
	hold := in.hold
	in.mu.Unlock()
	for hold != nil && slices.ContainsFunc(c.from, func(s *stream) bool { return hold(s.address) }) {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// take checks a packet and appends it.
func (in *Ingest) take(ctx context.Context, packet wire.PacketView, acks *acker) error {
	c, err := in.check(packet.Frames, 0)
	if err != nil {
		return err
	}
	entry, seq := c.entry(), packet.LastSeq
	if len(entry.Payload) == 0 {
		acks.durable(seq, nil)
		return nil
	}
	if err := in.heldUp(ctx, c); err != nil {
		return err
	}
	if err := in.appendPatiently(ctx, func(err error) { c.settle(err); acks.durable(seq, err) }, entry); err != nil {
		return err
	}
	c.appended()
	for _, s := range c.cycled {
		in.handOver(s)
	}
	return nil
}

// appendPatiently waits while the log has no room: the source is not read meanwhile, and its credit ends.
func (in *Ingest) appendPatiently(ctx context.Context, done func(error), entries ...buffer.Entry) error {
	for {
		err := in.log.AppendTogether(done, entries...)
		if err == nil || errors.Is(err, net.ErrClosed) {
			return err
		}
		in.setTrouble(err)
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (in *Ingest) setTrouble(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.trouble, in.troubledAt = err, time.Now()
}

// Trouble is why the log takes nothing, nil if it does.
func (in *Ingest) Trouble() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if time.Since(in.troubledAt) > 2*time.Second {
		return nil
	}
	return in.trouble
}

// checked is the state of checking one packet.
type checked struct {
	in      *Ingest
	packet  []byte
	at      int    // how far it is checked
	refused bool   // some frame was: kept holds the others
	kept    []byte // all frames that pass, once one was refused
	samples int
	defines bool
	retired []retiredRefs
	layouts []layoutOf
	marks   []markOf
	cycled  []*stream
	from    []*stream // whose samples these are, neighbours once
}

type layoutOf struct {
	s      *stream
	number uint32
	raw    []byte
}

type markOf struct {
	s     *stream
	key   string
	value []byte
}

// check looks at every frame of a packet. A stream other than 0 is the only one that it may be of.
func (in *Ingest) check(frames []byte, stream uint32) (*checked, error) {
	c := &checked{in: in, packet: frames}
	r := wire.Read(frames)
	for r.Next() {
		if stream != 0 && r.Stream != stream {
			return nil, fmt.Errorf("the processor sends for component %d, which is not its own", r.Stream)
		}
		if err := c.frame(&r.Frame); err != nil {
			return nil, err
		}
	}
	return c, r.Err
}

// entry is what passed, as the log takes it.
func (c *checked) entry() buffer.Entry {
	e := buffer.Entry{Payload: c.packet, Samples: c.samples, Defines: c.defines}
	if c.refused {
		e.Payload = c.kept
	}
	return e
}

// appended says that what was checked is in the log: who opens the component next goes on behind it.
func (c *checked) appended() {
	for _, m := range c.marks {
		m.s.mark(m.key, m.value)
	}
}

// settle says that what was checked is durable: only then is forgotten what it ends or replaces, since a segment may begin
// with what is not durable yet.
func (c *checked) settle(err error) {
	if err != nil {
		return
	}
	for _, l := range c.layouts {
		l.s.settle(l.number, l.raw)
	}
	for _, m := range c.marks {
		m.s.settleMark(m.key, m.value)
	}
	for _, retired := range c.retired {
		retired.s.retire(retired.refs)
	}
}

type retiredRefs struct {
	s    *stream
	refs []uint32
}

func (c *checked) frame(f *wire.Frame) error {
	in := c.in
	in.mu.Lock()
	s := in.streams[f.Stream]
	in.mu.Unlock()
	if s == nil {
		return fmt.Errorf("it sends for component %d, which is not open", f.Stream)
	}
	if s.isClosed() {
		return c.refuse(f, "closed")
	}
	switch f.Kind {
	case wire.Families, wire.Defs, wire.Layout:
		c.defines = true
		if f.Kind != wire.Layout && in.Secrets.In != nil && in.Secrets.In(f.Body) {
			return c.conceal(f, s)
		}
		if err := s.define(f); err != nil {
			return err
		}
		if f.Kind == wire.Layout {
			c.layouts = append(c.layouts, layoutOf{s, f.Layout, s.layout(f.Layout)})
		}
	case wire.Values, wire.Cols, wire.Stale, wire.Histograms, wire.Exemplars, wire.Records:
		if err := s.check(f); err != nil {
			return err
		}
		if f.Base+int64(f.Span) > time.Now().Add(maxFuture).UnixMilli() {
			return c.refuse(f, "future")
		}
		c.samples += f.Samples()
		if n := len(c.from); n == 0 || c.from[n-1] != s {
			c.from = append(c.from, s)
		}
	case wire.Retire:
		c.defines = true
		c.retired = append(c.retired, retiredRefs{s, append([]uint32(nil), f.Refs()...)})
		s.leave(len(f.Refs()))
	case wire.Checkpoint:
		c.defines = true
		key, value, err := s.part(f)
		if err != nil {
			return err
		}
		if key != "" {
			c.marks = append(c.marks, markOf{s, key, value})
		}
	default:
		return c.refuse(f, "unsupported")
	}
	if f.Flags&wire.FlagCycle != 0 {
		c.cycled = append(c.cycled, s)
	}
	if c.refused {
		c.kept = append(c.kept, f.Raw...)
	}
	c.at += len(f.Raw)
	return nil
}

// conceal takes a frame's definitions without the secrets that the plugin put into them.
func (c *checked) conceal(f *wire.Frame, s *stream) error {
	frames, err := f.Concealed(c.in.Secrets.Clean)
	if err != nil {
		return err
	}
	r := wire.Read(frames)
	for r.Next() {
		if err := s.define(&r.Frame); err != nil {
			return err
		}
	}
	if c.leaveOut(f); f.Flags&wire.FlagCycle != 0 {
		c.cycled = append(c.cycled, s)
	}
	c.kept = append(c.kept, frames...)
	return r.Err
}

// leaveOut goes on behind a frame that is not kept as it came.
func (c *checked) leaveOut(f *wire.Frame) {
	if !c.refused {
		c.refused, c.kept = true, append([]byte(nil), c.packet[:c.at]...)
	}
	c.at += len(f.Raw)
}

// refuse leaves a frame out and counts its samples.
func (c *checked) refuse(f *wire.Frame, reason string) error {
	c.leaveOut(f)
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	if f.Kind == wire.Exemplars { // they are no samples
		c.in.dropped[reason+"_exemplars"] += uint64(f.N)
		return nil
	}
	c.in.dropped[reason] += uint64(max(f.Samples(), 1))
	return nil
}

// Dropped counts the samples that were refused at the door, by reason.
func (in *Ingest) Dropped() map[string]uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	out := map[string]uint64{}
	for k, v := range in.dropped {
		out[k] = v
	}
	return out
}

// StreamStats is what came of one component since it opened.
type StreamStats struct {
	Samples uint64
	Series  int
}

// Stats reports what came in under a number.
func (in *Ingest) Stats(number uint32) (st StreamStats) {
	in.mu.Lock()
	s := in.streams[number]
	in.mu.Unlock()
	if s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		st.Samples, st.Series = s.samples, s.series.Len()
	}
	return st
}
