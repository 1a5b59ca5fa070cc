package main

import (
	"bufio"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// urlsEvery is how often a member's URLs are looked at. Each look is a connection, and a handshake where there is TLS, which
// a member logs whose peers must show a certificate that is not ours.
const urlsEvery = 5 * time.Minute

// kept is what the source keeps of a member from cycle to cycle.
type kept struct {
	page   page
	probed probed

	looked   time.Time // when the URLs were last looked at
	peerURLs []string  // those that were
	expiry   map[string]time.Time
	answers  map[string]bool // by peer URL
}

// look sees whether a member's peer URLs answer, and when the certificates of all its URLs expire: at once when the list says
// other URLs, which is how a wrong one comes about. A machine may be where no peer URL answers: that is no error.
func (k *kept) look(ctx context.Context, c *clients, web *http.Client, m *member) {
	if time.Since(k.looked) < urlsEvery && slices.Equal(k.peerURLs, m.peerURLs) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // behind a wall nothing answers, ever
	defer cancel()
	expiry, answers := map[string]time.Time{}, map[string]bool{}
	note := func(kind string, shown *x509.Certificate) {
		if shown == nil {
			return
		}
		if at, ok := expiry[kind]; !ok || shown.NotAfter.Before(at) {
			expiry[kind] = shown.NotAfter
		}
	}
	if strings.HasPrefix(m.url, "https://") {
		shown, _ := certificateOf(ctx, m.url, c.tls)
		note("client", shown)
	}
	for _, u := range m.peerURLs {
		shown, err := askPeer(ctx, c, web, u)
		answers[u] = err == nil
		note("peer", shown)
	}
	k.looked, k.peerURLs, k.expiry, k.answers = time.Now(), m.peerURLs, expiry, answers
}

// set writes what the last look found.
func (k *kept) set(t *sdk.Batch) {
	for _, kind := range []string{"client", "peer"} {
		if at, ok := k.expiry[kind]; ok {
			t.Set(expires, float64(at.Unix()), kind)
		}
	}
	for _, u := range k.peerURLs {
		t.Set(peerAnswers, number(k.answers[u]), clip(u))
	}
}

// askPeer asks a peer URL what members ask of each other, whether it is there (etcd: rafthttp's prober), and sees the
// certificate that is shown at an https:// one: there that is the answer, for ours need not be one of a peer's.
func askPeer(ctx context.Context, c *clients, web *http.Client, at string) (shown *x509.Certificate, err error) {
	if shown, err = certificateOf(ctx, at, c.tls); err != nil || shown != nil {
		return shown, err
	}
	response, err := get(ctx, web, at+"/raft/probing")
	if err != nil {
		return nil, err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, sdk.Target(fmt.Errorf("it answers %s: no etcd speaks to peers there", response.Status))
	}
	return nil, nil
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
