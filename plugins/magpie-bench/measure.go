package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// measured is what requests took. Each is kept in a bucket of a hundredth of its power of ten: 900 buckets from 10 µs to 10,000 s,
// so that memory does not grow with the number of requests.
type measured struct {
	began time.Time

	mu    sync.Mutex
	names []string
	kinds map[string]*kind
}

// kind is one kind of request.
type kind struct {
	count, errors int64
	causes        map[string]int64 // at most maxCauses
	sum, squares  float64          // seconds
	fastest, most float64
	buckets       [buckets]int64
}

const (
	perDecade = 100
	buckets   = 9 * perDecade
	least     = 1e-5 // seconds
	maxCauses = 20
)

func bucketOf(seconds float64) int {
	return max(0, min(buckets-1, int(math.Floor(perDecade*math.Log10(seconds/least)))))
}

// upTo is the upper end of a bucket.
func upTo(i int) float64 { return least * math.Pow(10, float64(i+1)/perDecade) }

func (m *measured) of(name string) *kind {
	if m.kinds == nil {
		m.kinds = map[string]*kind{}
	}
	k := m.kinds[name]
	if k == nil {
		k = &kind{causes: map[string]int64{}, fastest: math.Inf(1)}
		m.kinds[name] = k
		m.names = append(m.names, name)
		slices.Sort(m.names)
	}
	return k
}

func (m *measured) add(name string, took time.Duration, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.of(name)
	if err != nil {
		k.errors++
		cause := err.Error()
		if _, known := k.causes[cause]; !known && len(k.causes) == maxCauses {
			cause = "others"
		}
		k.causes[cause]++
		return
	}
	s := took.Seconds()
	k.count++
	k.sum += s
	k.squares += s * s
	k.fastest, k.most = min(k.fastest, s), max(k.most, s)
	k.buckets[bucketOf(s)]++
}

func (m *measured) merge(other *measured) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range other.names {
		from, to := other.kinds[name], m.of(name)
		to.count, to.errors, to.sum, to.squares = to.count+from.count, to.errors+from.errors, to.sum+from.sum, to.squares+from.squares
		to.fastest, to.most = min(to.fastest, from.fastest), max(to.most, from.most)
		for i, n := range from.buckets {
			to.buckets[i] += n
		}
	}
}

// percentile is the upper end of the bucket that it is in, or the slowest.
func (k *kind) percentile(p float64) float64 {
	seen := int64(0)
	for i, n := range k.buckets {
		if seen += n; k.count > 0 && float64(seen) >= p*float64(k.count) {
			return min(upTo(i), k.most)
		}
	}
	return 0
}

func (k *kind) mean() float64 { return k.sum / float64(max(k.count, 1)) }

func (k *kind) deviation() float64 {
	return math.Sqrt(max(0, k.squares/float64(max(k.count, 1))-k.mean()*k.mean()))
}

// now is how many requests were answered and failed, for the one who waits.
func (m *measured) now() (count, errors int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.kinds {
		count, errors = count+k.count, errors+k.errors
	}
	return count, errors
}

// progress draws a bar on a terminal until the context ends; what it returns is closed then.
func progress(ctx context.Context, to io.Writer, s *settings, m *measured) <-chan struct{} {
	done := make(chan struct{})
	if !isTerminal(to) {
		close(done)
		return done
	}
	go func() {
		defer close(done)
		defer fmt.Fprint(to, "\r\x1b[K")
		for ctx.Err() == nil {
			passed := time.Since(m.began)
			share := min(1, passed.Seconds()/s.duration.Seconds())
			count, failed := m.now()
			bar := strings.Repeat("█", int(share*30)) + strings.Repeat("░", 30-int(share*30))
			fmt.Fprintf(to, "\r\x1b[K%s %3.0f %%  %s of %s  %.0f requests/s  %d failed", bar, 100*share, passed.Round(time.Second), s.duration, float64(count)/max(passed.Seconds(), 1e-3), failed)
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	return done
}
