package language

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// fetchWithin is how long an archive may take to come.
const fetchWithin = time.Minute

var sha256Text = regexp.MustCompile(`^[0-9a-f]{64}$`)

// mayFetch: over https; without TLS only from this machine itself.
func mayFetch(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && ip != nil && ip.IsLoopback()
}

// fetch gives the archive of a sum: from the user's cache, or else from its URL, whereupon the cache has it. What has another sum is given too, and not
// kept: that it is another is told at its place.
func fetch(from, sum string) ([]byte, error) {
	cached := ""
	if dir, err := os.UserCacheDir(); err == nil && sha256Text.MatchString(strings.ToLower(sum)) {
		cached = filepath.Join(dir, "magpie", "packs", strings.ToLower(sum))
		if b, err := os.ReadFile(cached); err == nil && sumOf(b) == strings.ToLower(sum) {
			return b, nil
		}
	}
	client := http.Client{Timeout: fetchWithin, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) > 5 || !mayFetch(r.URL) {
			return fmt.Errorf("it leads to %s, which is not fetched", r.URL.Redacted())
		}
		return nil
	}}
	answer, err := client.Get(from)
	if err != nil {
		return nil, fmt.Errorf("it could not be fetched: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it could not be fetched: the server says %s", answer.Status)
	}
	b, err := io.ReadAll(io.LimitReader(answer.Body, maxArchive+1))
	if err != nil {
		return nil, fmt.Errorf("it could not be fetched: %w", err)
	}
	if len(b) > maxArchive {
		return nil, fmt.Errorf("it is larger than %d MiB", maxArchive>>20)
	}
	if cached != "" && sumOf(b) == strings.ToLower(sum) {
		keep(cached, b)
	}
	return b, nil
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// keep writes a file in one step. A cache that cannot be written costs a fetch, and nothing else.
func keep(path string, b []byte) {
	if os.MkdirAll(filepath.Dir(path), 0o700) != nil {
		return
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return
	}
	_, err = f.Write(b)
	if f.Close() != nil || err != nil || os.Rename(f.Name(), path) != nil {
		os.Remove(f.Name())
	}
}
