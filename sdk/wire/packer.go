package wire

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc/mem"
)

const (
	packetAim = 256 << 10 // a packet that has grown to this is sent at once
	firstSize = 4 << 10
)

// ErrClosed is what a Packer answers after its stream has ended.
var ErrClosed = errors.New("the stream to the daemon has ended")

// Packer collects the frames of all source components of a process into packets: it waits for more up to linger, and not
// beyond packetAim. Memory: the window that the daemon grants, and one batch.
type Packer struct {
	epoch  uint64
	linger time.Duration

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced at every change that somebody may wait for
	cur      []byte        // the packet in the making, its header's 32 bytes included; nil: none
	last     int           // where its last frame starts
	samples  uint32
	timer    *time.Timer
	queue    []*Raw
	ready    chan struct{} // has an entry while queue is not empty
	seq      uint64        // of the last packet queued
	acked    uint64
	sizes    []int // of the packets after acked
	inFlight int
	window   int
	err      error
}

// NewPacker makes a packer with an initial window.
func NewPacker(epoch uint64, linger time.Duration, window int) *Packer {
	return &Packer{epoch: epoch, linger: linger, window: window, changed: make(chan struct{}), ready: make(chan struct{}, 1)}
}

// Fill waits for credit and then calls encode, which adds frames with an Encoder. cycle marks the last frame as the end of
// a cycle. With wait false it returns at once with full set where there is no credit.
func (p *Packer) Fill(ctx context.Context, wait, cycle bool, encode func(*Packer)) (full bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.err == nil && p.inFlight+len(p.cur) >= p.window {
		if !wait {
			return true, nil
		}
		if err := p.waitChange(ctx); err != nil {
			return false, err
		}
	}
	if p.err != nil {
		return false, p.err
	}
	encode(p)
	switch {
	case p.cur == nil:
	case len(p.cur) >= packetAim:
		p.markCycle(cycle)
		p.cut()
	default:
		p.markCycle(cycle)
		if p.timer == nil {
			p.timer = time.AfterFunc(p.linger, p.lingered)
		}
	}
	return false, nil
}

func (p *Packer) markCycle(cycle bool) {
	if cycle {
		p.cur[p.last+5] |= FlagCycle
	}
}

func (p *Packer) lingered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut()
}

// waitChange releases the lock until something changes or ctx ends.
func (p *Packer) waitChange(ctx context.Context) error {
	c := p.changed
	p.mu.Unlock()
	defer p.mu.Lock()
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *Packer) notify() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// frame makes room for a frame of a body of so many bytes, padded, and returns the body to be filled.
func (p *Packer) frame(h *Header, body, samples int) []byte {
	length := HeaderSize + pad8(body)
	f := p.room(length, samples, packetAim)
	h.put(f, length)
	clear(f[max(HeaderSize, length-8):]) // the padding is somewhere there, and the buffer was used before
	return f[HeaderSize : HeaderSize+body : length]
}

// Add appends a whole frame that holds no samples; call it within Fill.
func (p *Packer) Add(frame []byte) { p.add(frame, 0) }

// add appends a whole frame.
func (p *Packer) add(frame []byte, samples int) { copy(p.room(len(frame), samples, packetAim), frame) }

// addBehind appends a whole frame to the packet of what is before it, if that packet can take it at all.
func (p *Packer) addBehind(frame []byte) { copy(p.room(len(frame), 0, MaxPacket), frame) }

// room makes room in the packet in the making, or in a new one if that would grow beyond an aim.
func (p *Packer) room(n, samples, aim int) []byte {
	if len(p.cur)+n > aim && len(p.cur) > packetHeader {
		p.cut()
	}
	if p.cur == nil {
		p.cur = (*Pool.Get(max(firstSize, packetHeader+n)))[:packetHeader]
	}
	at := len(p.cur)
	if at+n > cap(p.cur) {
		bigger := (*Pool.Get(max(4*cap(p.cur), at+n)))[:at]
		copy(bigger, p.cur)
		old := p.cur // the pool keeps the pointer that it is given
		Pool.Put(&old)
		p.cur = bigger
	}
	p.cur = p.cur[:at+n]
	p.last = at
	p.samples += uint32(samples)
	return p.cur[at:]
}

// cut queues the packet in the making.
func (p *Packer) cut() {
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	if p.cur == nil || p.err != nil {
		return
	}
	p.seq++
	putPacketHeader(p.cur, p.epoch, p.seq, p.samples, len(p.cur)-packetHeader)
	p.inFlight += len(p.cur)
	p.sizes = append(p.sizes, len(p.cur))
	cur := p.cur
	p.queue = append(p.queue, &Raw{mem.BufferSlice{mem.NewBuffer(&cur, Pool)}})
	p.cur, p.samples = nil, 0
	select {
	case p.ready <- struct{}{}:
	default:
	}
}

// Next waits for the next packet to send.
func (p *Packer) Next(ctx context.Context) (*Raw, error) {
	for {
		p.mu.Lock()
		if len(p.queue) > 0 {
			raw := p.queue[0]
			p.queue[0] = nil
			p.queue = p.queue[1:]
			p.mu.Unlock()
			return raw, nil
		}
		p.mu.Unlock()
		select {
		case <-p.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Ack says that everything up to seq is durable. A seq that was not sent is ignored.
func (p *Packer) Ack(seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if seq > p.seq {
		return
	}
	for p.acked < seq {
		p.inFlight -= p.sizes[0]
		p.sizes = p.sizes[1:]
		p.acked++
	}
	p.notify()
}

// SetWindow changes how many bytes may be on the way without an ack.
func (p *Packer) SetWindow(bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.window = bytes
	p.notify()
}

// Flush queues what there is and waits until it is durable.
func (p *Packer) Flush(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut()
	for want := p.seq; p.acked < want; {
		if p.err != nil {
			return p.err
		}
		if err := p.waitChange(ctx); err != nil {
			return err
		}
	}
	return p.err
}

// Cut queues what there is and returns the number of the last packet.
func (p *Packer) Cut() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut()
	return p.seq
}

// Close makes everything fail with ErrClosed.
func (p *Packer) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = ErrClosed
	p.notify()
}
