package client

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// hashes remembers the hash of each plugin's file in the catalogue's cache: reading some hundred megabytes again at each
// start takes longer than starting the plugins.
type hashes struct {
	mu      sync.Mutex
	known   map[string]hashed // by path; nil: not read yet
	changed bool
}

// hashed is the hash of a file that was as identity says.
type hashed struct {
	Identity string `json:"identity"`
	SHA256   string `json:"sha256"`
}

// settled is how long a file must have rested for its identity to say anything: a change within the same tick of the
// filesystem's clock would leave it as it is.
const settled = 2 * time.Second

func (h *hashes) file(cache string) string { return filepath.Join(cache, "hashes-1.json") }

// of is the hash of a file.
func (h *hashes) of(cache, path string, info os.FileInfo) (string, error) {
	identity, changed := identify(info)
	h.mu.Lock()
	if h.known == nil {
		if b, err := os.ReadFile(h.file(cache)); cache != "" && err == nil {
			json.Unmarshal(b, &h.known) // what is not readable is hashed anew
		}
		if h.known == nil {
			h.known = map[string]hashed{}
		}
	}
	known := h.known[path]
	h.mu.Unlock()
	if known.Identity == identity {
		return known.SHA256, nil
	}
	rested := time.Since(changed) > settled
	sum, err := hashFile(path)
	if err == nil && rested {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.known[path], h.changed = hashed{identity, sum}, true
	}
	return sum, err
}

// save keeps what is known of the paths that are there; a cache that cannot be written costs time only.
func (h *hashes) save(cache string, paths map[string]bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.changed || cache == "" || os.MkdirAll(cache, 0o700) != nil {
		return
	}
	maps.DeleteFunc(h.known, func(path string, _ hashed) bool { return !paths[path] })
	if b, err := json.Marshal(h.known); err == nil && writeFile(h.file(cache), b) == nil {
		h.changed = false
	}
}

// writeFile replaces a file at once.
func writeFile(path string, b []byte) error {
	temporary := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.WriteFile(temporary, b, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
