package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// What `magpie plugin run` asks of a coordinator: started twice, one holds the lease and the other waits for it.
const (
	triedKey = "magpie-plugin-run"
	triedTTL = 10 * time.Second
)

// hold takes a lease and announces a member, and shows both until ctx ends or the lease is lost.
func (r *running) hold(ctx context.Context, host string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	self := sdk.Member{Name: fmt.Sprintf("%s/%d", host, os.Getpid()), Facts: map[string]string{"command": "magpie plugin run"}}
	announced := make(chan error, 1)
	go func() {
		announced <- r.Members(ctx, r.number, self, triedTTL, func(all []sdk.Member) {
			r.event("members", all, func() {
				fmt.Fprintf(r.Out, "%s: %s\n", time.Now().Format(time.TimeOnly), count(len(all), "member"))
				for _, m := range all {
					fmt.Fprintf(r.Out, "  %s %s\n", m.Name, labelText(m.Facts))
				}
			})
		})
	}()
	lease, err := r.Acquire(ctx, r.number, triedKey, triedTTL)
	if err != nil {
		return err
	}
	defer func() {
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		if err := lease.Release(within); err == nil && errors.Is(lease.Err(), sdk.ErrReleased) {
			fmt.Fprintln(r.Err, "the lease is given back")
		}
	}()
	r.event("lease", map[string]any{"key": triedKey, "fence": lease.Fence(), "ttl": triedTTL.String()}, func() {
		fmt.Fprintf(r.Out, "%s: holds %q with fence %d, for %s at a time\n", time.Now().Format(time.TimeOnly), triedKey, lease.Fence(), triedTTL)
	})
	select {
	case <-lease.Done():
		return fmt.Errorf("the lease is lost: %w", lease.Err())
	case err := <-announced:
		return err
	case <-ctx.Done():
		return nil
	}
}

// event writes what happened as an object of one name, or as text.
func (r *running) event(name string, v any, text func()) {
	r.out.Lock()
	defer r.out.Unlock()
	if r.json {
		r.writeJSON(map[string]any{name: v})
		return
	}
	text()
}
