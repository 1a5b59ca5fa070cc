package wire

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

func TestThePoolGivesLengthsAndTakesBackItsOwn(t *testing.T) {
	var p pool
	for n, want := range map[int]int{1: 256, 4 << 10: 4 << 10, 4<<10 + 1: 8 << 10, 300 << 10: 512 << 10, MaxMessage: MaxMessage, MaxMessage + 1: MaxMessage + 1} {
		b := p.Get(n)
		if len(*b) != n || cap(*b) < want {
			t.Errorf("%d: length %d, capacity %d, want %d", n, len(*b), cap(*b), want)
		}
		p.Put(b)
		if again := p.Get(n); len(*again) != n {
			t.Errorf("%d: the second has a length of %d", n, len(*again))
		}
	}
	foreign := make([]byte, 5<<10)
	p.Put(&foreign)
	for range 10 {
		if b := p.Get(8 << 10); len(*b) != 8<<10 {
			t.Fatalf("a foreign buffer came back: length %d", len(*b))
		}
	}
}

// A packet shows nothing of what was in its buffer before.
func TestAPacketDoesNotDependOnItsBuffer(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	frames := func(dirt byte) []byte {
		for n := 4 << 10; n <= 64<<10; n *= 2 {
			var taken []*[]byte
			for range 4 {
				b := Pool.Get(n)
				for i := range *b {
					(*b)[i] = dirt
				}
				taken = append(taken, b)
			}
			for _, b := range taken {
				Pool.Put(b)
			}
		}
		l := newLink(t)
		b := l.scope.Batch()
		var refs []sdk.Ref
		for i := range 501 { // not a multiple of 8
			refs = append(refs, b.Define(sdk.Series{Labels: sdk.NewLabels(sdk.NameLabel, "m", "i", fmt.Sprint(i)), Family: &sdk.Family{Name: "m", Help: "h"}}))
		}
		var all []byte
		for round := range 3 {
			b.Time = at
			for i, ref := range refs {
				switch {
				case round == 1 && i%7 == 0: // absent
				case round == 2 && i%2 == 0:
					b.PutAt(ref, 1, at.Add(time.Duration(i)*time.Second))
				default:
					b.Put(ref, float64(i))
				}
			}
			b.Stale(refs[:3]...)
			l.carry(b)
			all = append(all, l.frames...)
		}
		return all
	}
	if clean, dirty := frames(0), frames(0xff); !bytes.Equal(clean, dirty) {
		t.Errorf("%d bytes and %d bytes, and they differ", len(clean), len(dirty))
	}
}
