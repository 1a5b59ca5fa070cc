package wire

import (
	"math/bits"
	"sync"

	"google.golang.org/grpc/mem"
)

// Pool holds the buffers of packets, and what gRPC reads from connections. gRPC's own pool clears a buffer whenever it is
// taken, and takes a MiB for all that is larger than 32 KiB: that was a quarter of the time that daemon and plugins spent on
// samples. What is taken here holds old bytes, and is to be written in full.
var Pool mem.BufferPool = &pool{}

const (
	smallest = 8  // buffers of 256 B
	largest  = 22 // and of every power of two up to MaxMessage
)

// pool keeps buffers by their size, a power of two.
type pool struct {
	sizes [largest - smallest + 1]sync.Pool // of *[]byte
}

// class is the exponent of the smallest power of two that is not smaller than n.
func class(n int) int { return max(smallest, bits.Len(uint(n-1))) }

// Get returns a buffer of a length.
func (p *pool) Get(n int) *[]byte {
	c := class(n)
	if c > largest {
		b := make([]byte, n)
		return &b
	}
	if b, ok := p.sizes[c-smallest].Get().(*[]byte); ok {
		*b = (*b)[:n]
		return b
	}
	b := make([]byte, n, 1<<c)
	return &b
}

// Put takes a buffer back; one that is not from here is left to the garbage collector.
func (p *pool) Put(b *[]byte) {
	if c := class(cap(*b)); c <= largest && cap(*b) == 1<<c {
		p.sizes[c-smallest].Put(b)
	}
}
