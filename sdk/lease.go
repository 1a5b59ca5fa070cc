package sdk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of what a coordinator is asked for.
const (
	MinTTL     = time.Second
	MaxTTL     = time.Hour
	maxKey     = 200     // bytes of a lease's key, and of a member's name
	maxFacts   = 8 << 10 // bytes of a member's facts
	maxMembers = 256     // in a list: it fits in a message
)

// CheckLease says what is wrong with the key of a lease and its ttl, if anything is.
func CheckLease(key string, ttl time.Duration) error {
	if err := checkName("the key of a lease", key); err != nil {
		return err
	}
	if ttl < MinTTL || ttl > MaxTTL {
		return Permanent(fmt.Errorf("a lease can be for %s to %s, and not for %s", MinTTL, MaxTTL, ttl))
	}
	return nil
}

func checkName(what, name string) error {
	if name == "" || len(name) > maxKey || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return Permanent(fmt.Errorf("%s has 1 to %d bytes of UTF-8 without control characters: %.40q has not", what, maxKey, name))
	}
	return nil
}

// ErrReleased is why a lease has ended that its holder gave back.
var ErrReleased = errors.New("it was given back")

var (
	errNotRenewed = errors.New("it was not renewed in time")
	errNoFence    = errors.New("there is no fence: it is a number above 0")
)

// Lease is the right to act for a key until it ends: lost, given back, or not renewed in time. What has ended never holds again.
// It is safe for use by several goroutines.
//
// The holder counts by its own monotonic clock, from before it asked, and stops a twentieth of the ttl early, since clocks do not
// run at one speed. Two things no clock of the holder's can tell: that it is stopped just before it acts, and that its machine
// sleeps. That is what the fence is for: whatever is acted on remembers the greatest fence that it has seen, and refuses a
// smaller one.
type Lease struct {
	fence   uint64
	ttl     time.Duration
	release func(context.Context) error
	done    chan struct{}

	mu    sync.Mutex
	until time.Time
	timer *time.Timer
	err   error // why it ended
}

// NewLease is a lease that was asked for at a time, and for which the coordinator answered with a fence. release tells the
// coordinator that it is given back; it is called once at most, and never for a lease that was lost.
func NewLease(fence uint64, ttl time.Duration, asked time.Time, release func(context.Context) error) *Lease {
	l := &Lease{fence: fence, ttl: ttl, release: release, done: make(chan struct{}), until: asked.Add(short(ttl))}
	l.mu.Lock()
	defer l.mu.Unlock()
	if fence == 0 {
		l.end(errNoFence)
	} else {
		l.timer = time.AfterFunc(time.Until(l.until), l.ring)
	}
	return l
}

// short is how long a holder takes a ttl to be.
func short(ttl time.Duration) time.Duration { return ttl - ttl/20 }

// Fence is greater than that of every lease on the key before it.
func (l *Lease) Fence() uint64 { return l.fence }

// TTL is what it was asked for.
func (l *Lease) TTL() time.Duration { return l.ttl }

// Done is closed when the lease has ended. A holder whose process was stopped may see that late: ask Left before each act.
func (l *Lease) Done() <-chan struct{} { return l.done }

// Left is how long the lease surely holds, if it is not renewed; 0 when it has ended.
func (l *Lease) Left() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.left()
}

func (l *Lease) left() time.Duration {
	if l.err == nil && !time.Now().Before(l.until) {
		l.end(errNotRenewed)
	}
	if l.err != nil {
		return 0
	}
	return time.Until(l.until)
}

// Err says why the lease has ended, nil while it has not.
func (l *Lease) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left()
	return l.err
}

// Renewed is called by who keeps the lease: the coordinator has renewed it, and was asked at a time. It reports whether the
// lease still holds.
func (l *Lease) Renewed(asked time.Time) bool { return l.Extend(asked.Add(short(l.ttl))) }

// Extend has the lease hold until a time that the coordinator's answer allows, which is never less than it did. It reports
// whether it still holds: what has ended before stays so.
func (l *Lease) Extend(until time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left() == 0 {
		return false
	}
	if until.After(l.until) {
		l.until = until
		l.timer.Reset(time.Until(until))
	}
	return true
}

// Lose ends the lease: the coordinator says that it is another's, or does not know it any more.
func (l *Lease) Lose(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end(err)
}

// Release gives the lease back, so that another need not wait for the ttl. It has ended at once, whatever the coordinator says:
// an error means that others may have to wait. Of a lease that was lost there is nothing to give back.
func (l *Lease) Release(ctx context.Context) error {
	l.mu.Lock()
	mine := l.err == nil // beyond its time, too: the coordinator may be waiting for it still
	l.end(ErrReleased)
	l.mu.Unlock()
	if !mine || l.release == nil {
		return nil
	}
	return l.release(ctx)
}

// ring is the timer's. It may have been set again while it rang.
func (l *Lease) ring() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left()
}

func (l *Lease) end(err error) {
	if l.err != nil {
		return
	}
	l.err = cmp.Or(err, errNotRenewed)
	if l.timer != nil {
		l.timer.Stop()
	}
	close(l.done)
}

// Member is one of those who share a coordinator.
type Member struct {
	Name  string            `json:"name"`            // its own: one who comes back within its ttl may be listed twice
	Facts map[string]string `json:"facts,omitempty"` // what others may want to know of it, such as where it listens
}

// Check says what is wrong with a member, if anything is.
func (m *Member) Check() error {
	if err := checkName("the name of a member", m.Name); err != nil {
		return err
	}
	size := 0
	for k, v := range m.Facts {
		size += len(k) + len(v)
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return Permanent(fmt.Errorf("the facts of member %s are no UTF-8", m.Name))
		}
	}
	if size > maxFacts {
		return Permanent(fmt.Errorf("the facts of member %s have %d bytes, and at most %d are taken", m.Name, size, maxFacts))
	}
	return nil
}

// SortMembers sorts a list by name and drops those that nobody could have announced, and what is beyond 256 of them. So two
// lists with the same members are equal.
func SortMembers(all []Member) []Member {
	all = slices.DeleteFunc(all, func(m Member) bool { return m.Check() != nil })
	slices.SortStableFunc(all, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	return all[:min(len(all), maxMembers)]
}

// SameMembers reports whether two sorted lists say the same.
func SameMembers(a, b []Member) bool {
	return slices.EqualFunc(a, b, func(x, y Member) bool { return x.Name == y.Name && maps.Equal(x.Facts, y.Facts) })
}
