package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// recording is what the sources of a process send, held against FORMAT.md as it comes. Memory: maxKept samples for each
// component, and its definitions.
type recording struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each packet
	decoder *wire.Decoder
	stream  grpc.BidiStreamingClient[wire.Down, wire.Packet]
	faults  []string // what breaks a rule of the format
	epoch   uint64
	last    uint64 // packet
	waiting int    // bytes that are not acknowledged
	hold    bool   // do not acknowledge
	ended   error
	streams map[uint32]*collected
	raw     []byte   // of the last packets, to look for secrets in
	dump    []string // lines on stderr, while somebody wants them
	dumping bool
}

// collected is what one component sent.
type collected struct {
	cycles     int
	whole      []seen // of the last whole cycle
	now        []seen // since then
	defined    map[uint32]sdk.Labels
	retired    map[uint32]bool
	names      map[string]*sdk.Family
	checkpoint []byte
	parts      wire.Checkpoints
}

// seen is a sample.
type seen struct {
	labels sdk.Labels
	family *sdk.Family
	value  float64
	time   time.Time
}

const maxKept = 200_000

func newRecording() *recording {
	return &recording{changed: make(chan struct{}), decoder: wire.NewDecoder(), streams: map[uint32]*collected{}}
}

// begin tells of a component that is to be opened.
func (r *recording) begin(number uint32, address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.streams[number] == nil {
		r.decoder.Decode(wire.AppendStream(nil, number, address))
		r.streams[number] = &collected{defined: map[uint32]sdk.Labels{}, retired: map[uint32]bool{}, names: map[string]*sdk.Family{}}
	}
}

// follow reads the stream until it ends.
func (r *recording) follow(stream grpc.BidiStreamingClient[wire.Down, wire.Packet]) {
	r.stream = stream
	go func() {
		for {
			var raw wire.Raw
			err := stream.RecvMsg(&raw)
			r.mu.Lock()
			if err != nil {
				r.ended = err
				r.tell()
				r.mu.Unlock()
				return
			}
			buf := raw.Materialize()
			r.packet(slices.Clone(buf.ReadOnlyData()))
			buf.Free()
			ack := !r.hold
			seq := r.last
			if ack {
				r.waiting = 0
			}
			r.tell()
			r.mu.Unlock()
			if ack {
				r.send(&wire.Down{Message: &wire.Down_Ack{Ack: &wire.Ack{Seq: seq}}})
			}
		}
	}()
}

func (r *recording) send(m *wire.Down) { r.stream.Send(m) }

func (r *recording) tell() {
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *recording) fault(format string, args ...any) {
	r.faults = keepSome(r.faults, fmt.Sprintf(format, args...))
}

func (r *recording) packet(b []byte) {
	if len(b) > wire.MaxPacket {
		r.fault("a packet of %d bytes, and the most is %d", len(b), wire.MaxPacket)
	}
	r.waiting += len(b)
	if r.raw = append(r.raw, b...); len(r.raw) > 4<<20 {
		r.raw = r.raw[len(r.raw)-2<<20:]
	}
	p, err := wire.ParsePacket(b)
	if err != nil {
		r.fault("what is no packet: %v", err)
		return
	}
	switch {
	case r.last == 0:
		r.epoch = p.Epoch
		if p.LastSeq != 1 {
			r.fault("the first packet has last_seq %d, and it is 1", p.LastSeq)
		}
	case p.Epoch != r.epoch:
		r.fault("the epoch changed from %d to %d without a new start", r.epoch, p.Epoch)
	case p.LastSeq != r.last+1:
		r.fault("packet %d follows packet %d", p.LastSeq, r.last)
	}
	r.last = p.LastSeq
	samples := 0
	f := wire.Read(p.Frames)
	for f.Next() {
		samples += f.Samples()
		r.frame(&f.Frame)
	}
	if f.Err != nil {
		r.fault("%v", f.Err)
	}
	if samples != int(p.Samples) {
		r.fault("a packet says that it has %d samples, and has %d", p.Samples, samples)
	}
}

func (r *recording) frame(f *wire.Frame) {
	c := r.streams[f.Stream]
	if c == nil {
		r.fault("a frame of kind %d for stream %d, which is of no component that was opened", f.Kind, f.Stream)
		return
	}
	switch f.Kind {
	case wire.Stream, wire.End:
		r.fault("a frame of kind %d, which only the daemon writes", f.Kind)
		return
	case wire.Defs:
		defs, err := f.Series()
		if err != nil {
			r.fault("%v", err)
			return
		}
		for _, d := range defs {
			if _, twice := c.defined[uint32(d.Ref)]; twice {
				r.fault("ref %d is defined twice", d.Ref)
			}
			c.defined[uint32(d.Ref)] = d.Labels
		}
	case wire.Layout, wire.Cols, wire.Stale, wire.Retire, wire.Histograms, wire.Exemplars:
		for _, ref := range f.Refs() {
			if _, ok := c.defined[ref]; !ok && ref != uint32(sdk.NoRef) {
				r.fault("ref %d is used and was not defined", ref)
			}
			if c.retired[ref] {
				r.fault("ref %d is used after it was retired", ref)
			}
			if f.Kind == wire.Retire {
				c.retired[ref] = true
			}
		}
	case wire.Checkpoint:
		if _, value, whole, err := c.parts.Add(f); err != nil {
			r.fault("%v", err)
		} else if whole {
			c.checkpoint = value
		}
	}
	runs, forgotten, err := r.decoder.Decode(f.Raw)
	if err != nil {
		r.fault("%v", err)
		return
	}
	for _, s := range sdk.ReadBatch(0, runs).Samples() {
		if len(c.now) < maxKept {
			c.now = append(c.now, seen{s.Labels, s.Family, s.Value, s.Time})
		}
		c.names[s.Labels.Get(sdk.NameLabel)] = s.Family
	}
	wire.Forget(forgotten)
	if f.Flags&wire.FlagCycle != 0 {
		c.cycles++
		c.whole, c.now = c.now, nil
	}
}

// wait waits until something holds of what a component sent.
func (r *recording) wait(ctx context.Context, number uint32, within time.Duration, holds func(*collected) bool) bool {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		r.mu.Lock()
		ok, changed, ended := holds(r.streams[number]), r.changed, r.ended
		r.mu.Unlock()
		if ok || ended != nil {
			return ok
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// look hands what a component sent to a function.
func (r *recording) look(number uint32, look func(*collected) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return look(r.streams[number])
}

// live is how many series are defined and not retired.
func (c *collected) live() int { return len(c.defined) - len(c.retired) }

// stderr keeps the lines of a dump.
func (r *recording) stderr(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dumping && len(r.dump) < 100_000 {
		r.dump = append(r.dump, line)
	}
}

func (r *recording) String() string { return strings.Join(r.faults, "\n") }
