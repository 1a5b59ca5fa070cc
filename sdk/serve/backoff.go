package serve

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

const (
	firstPause = 100 * time.Millisecond
	lastPause  = 30 * time.Second
)

// backoff waits longer and longer, with full jitter: a random time up to a bound that doubles.
type backoff struct{ bound time.Duration }

// wait pauses as long as an error asks for, or as the back-off says.
func (b *backoff) wait(ctx context.Context, err error) {
	b.bound = min(max(2*b.bound, firstPause), lastPause)
	pause := rand.N(b.bound)
	if p := sdk.AsProblem(err); p != nil && p.RetryAfter > 0 {
		pause = p.RetryAfter + rand.N(p.RetryAfter/4+1)
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
