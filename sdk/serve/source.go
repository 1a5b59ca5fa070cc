package serve

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// quarantineAfter is how many panics in a row make the SDK leave a component alone.
const quarantineAfter = 5

// collect keeps a Collector's clock: at once, then at a phase of the interval that the address decides, so that components
// spread. It never overlaps itself.
func (s *Server) collect(ctx context.Context, c *component, impl sdk.Collector) {
	settings := c.host.source
	batch := c.scope.Batch()
	batch.Whole = true
	encoder := wire.NewEncoder(c.number)
	panics := 0
	for at := time.Now(); ctx.Err() == nil; {
		start := time.Now()
		batch.Time = at
		cycle, cancel := context.WithTimeout(ctx, settings.Timeout)
		err := collectOnce(cycle, c, batch, impl)
		cancel()
		if ctx.Err() != nil {
			return // what a cancelled Collect says is not the target's state
		}
		if _, e := s.packer.Fill(ctx, true, true, func(p *wire.Packer) {
			batch.Seal(func(columns *sdk.Columns) { encoder.Encode(p, columns) })
		}); e != nil {
			return
		}
		var panicked *sdk.Panic
		if errors.As(err, &panicked) {
			if panics++; panics == quarantineAfter {
				c.setStatus(sdk.Failed, fmt.Sprintf("left alone after %d panics in a row: %v", panics, panicked))
				return
			}
		} else {
			panics = 0
		}
		next := nextTick(c.address, settings.Interval, at)
		now := time.Now()
		skipped := uint64(0)
		for next.Before(now) {
			next = next.Add(settings.Interval)
			skipped++
		}
		c.mu.Lock()
		c.collects++
		c.skipped += skipped
		c.took = now.Sub(start)
		c.mu.Unlock()
		timer := time.NewTimer(time.Until(next))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		at = next
		if late := time.Since(next); late > settings.Interval/10 {
			at = time.Now() // the machine slept: the samples are of now
		}
	}
}

func collectOnce(ctx context.Context, c *component, batch *sdk.Batch, impl sdk.Collector) (err error) {
	batch.Attempt("Collect", func() error {
		err = c.call("Collect", func() error { return impl.Collect(ctx, batch) })
		if err != nil {
			c.say(err)
		}
		return err
	})
	return err
}

// nextTick is the first time after t that is phase(address) into a multiple of the interval.
func nextTick(address string, interval time.Duration, t time.Time) time.Time {
	h := fnv.New64a()
	h.Write([]byte(address))
	phase := time.Duration(h.Sum64() % uint64(interval))
	base := t.Add(-phase).Truncate(interval).Add(phase)
	for !base.After(t) {
		base = base.Add(interval)
	}
	return base
}

// stream runs a Streamer, again and again if it fails.
func (s *Server) stream(ctx context.Context, c *component, impl sdk.Streamer) {
	e := &emitter{server: s, component: c, encoder: wire.NewEncoder(c.number)}
	c.keepRunning(ctx, "Stream", func() error { return impl.Stream(ctx, e) })
}

// emitter is what a Streamer emits through.
type emitter struct {
	server    *Server
	component *component
	encoder   *wire.Encoder // used under the packer's lock
}

func (e *emitter) Batch() *sdk.Batch { return e.component.scope.Batch() }

func (e *emitter) Emit(ctx context.Context, b *sdk.Batch) error {
	full, err := e.server.packer.Fill(ctx, sdk.Waits(ctx), false, func(p *wire.Packer) {
		b.Seal(func(columns *sdk.Columns) { e.encoder.Encode(p, columns) })
	})
	if full {
		return sdk.ErrFull
	}
	c := e.component
	c.mu.Lock()
	c.collects++
	c.mu.Unlock()
	return err
}

func (e *emitter) Flush(ctx context.Context) error { return e.server.packer.Flush(ctx) }
