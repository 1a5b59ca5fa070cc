package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// certificatesEvery is how often a handshake is made to see when certificates expire.
const certificatesEvery = 5 * time.Minute

// kept is what the source keeps of a member from cycle to cycle.
type kept struct {
	page   page
	probed probed

	certificates time.Time            // when they were last looked at
	expiry       map[string]time.Time // by kind of URL
}

// look sees when the certificates of a member's URLs expire. A peer URL that this machine does not reach is no error: it
// need not.
func (k *kept) look(ctx context.Context, c *clients, m *member) {
	if time.Since(k.certificates) < certificatesEvery {
		return
	}
	k.certificates = time.Now()
	found := map[string]time.Time{}
	note := func(kind, url string) {
		if cert, err := certificateOf(ctx, url, c.tls); err == nil && cert != nil {
			if at, ok := found[kind]; !ok || cert.NotAfter.Before(at) {
				found[kind] = cert.NotAfter
			}
		}
	}
	if strings.HasPrefix(m.url, "https://") {
		note("client", m.url)
	}
	for _, u := range m.peerURLs {
		if strings.HasPrefix(u, "https://") {
			note("peer", u)
		}
	}
	k.expiry = found
}

// check is one of etcd's health checks.
type check struct {
	path, name string
	well       bool
}

// checks asks /livez and /readyz, which say each check by its name (3.5.11 and later). Where there are none, nothing is
// said.
func checks(ctx context.Context, client *http.Client, url string) (all []check) {
	for _, endpoint := range []string{"livez", "readyz"} {
		response, err := get(ctx, client, url+"/"+endpoint+"?verbose")
		if err != nil {
			return all
		}
		if response.StatusCode == http.StatusOK || response.StatusCode == http.StatusServiceUnavailable {
			all = append(all, parseChecks(endpoint, response.Body)...)
		}
		response.Body.Close()
	}
	return all
}

// parseChecks reads lines such as "[+]serializable_read ok" and "[-]data_corruption failed: …". At most 32 are taken.
func parseChecks(endpoint string, body io.Reader) (all []check) {
	lines := bufio.NewScanner(io.LimitReader(body, 64<<10))
	for lines.Scan() && len(all) < 32 {
		line := lines.Text()
		mark, rest, ok := strings.Cut(line, "]")
		name, _, named := strings.Cut(strings.ToValidUTF8(rest, ""), " ")
		if ok && named && (mark == "[+" || mark == "[-") && name != "" && len(name) <= 64 {
			all = append(all, check{endpoint, name, mark == "[+"})
		}
	}
	return all
}

// watching compares the members' data every now and then, beside the cycles: it may take longer than one.
type watching struct {
	clients  *clients
	every    time.Duration
	upTo     int64 // bytes of a database
	end      context.CancelFunc
	life     context.Context
	mu       sync.Mutex
	began    time.Time
	busy     bool
	finished time.Time
	last     comparison
	running  sync.WaitGroup
}

func newWatching(c *clients, every time.Duration, upTo int64) *watching {
	w := &watching{clients: c, every: every, upTo: upTo}
	w.life, w.end = context.WithCancel(context.Background())
	return w
}

// start compares in the background if it is time.
func (w *watching) start(members []*member) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.every == 0 || w.busy || !w.began.IsZero() && time.Since(w.began) < w.every {
		return
	}
	var asked []*member
	for _, m := range members {
		if m.url != "" && !m.learner {
			asked = append(asked, m)
		}
	}
	w.busy, w.began = true, time.Now()
	w.running.Go(func() {
		ctx, cancel := context.WithTimeout(w.life, max(w.every/2, time.Minute))
		defer cancel()
		var c comparison
		sdk.Recover("the hashes", func() error { c = w.clients.disagreement(ctx, asked, w.upTo, time.Second); return nil })
		w.mu.Lock()
		defer w.mu.Unlock()
		w.busy, w.last, w.finished = false, c, time.Now()
	})
}

// set writes what the last comparison said of a member: nothing where its hash could not be compared.
func (w *watching) set(t *sdk.Batch, instance string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.last.all {
		if h.instance != instance {
			continue
		}
		if h.err != nil {
			return h.err
		}
		for _, alone := range w.last.alone {
			if alone.instance == instance {
				return nil
			}
		}
		differs := false
		for _, odd := range w.last.odd {
			differs = differs || odd == instance
		}
		t.Set(hashDiffers, number(differs))
		t.Set(hashTime, float64(w.finished.Unix()))
	}
	return nil
}

// stop ends a comparison that goes on.
func (w *watching) stop() {
	w.end()
	w.running.Wait()
}
