package engine

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/magpie-monitoring/magpie/daemon/internal/state"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// LockDataDir makes sure that no other daemon uses the directory. The lock goes with the process.
func LockDataDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the data directory cannot be made: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the data directory cannot be used: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("another daemon uses the data directory %s: stop it, or give this one another directory (-data-dir)", dir)
	}
	return f, nil
}

// secretKey returns the key under a name, made at first use.
func secretKey(s *state.Store, name string) ([]byte, error) {
	key, err := s.Get("keys", name)
	if err != nil || len(key) == 32 {
		return key, err
	}
	key = make([]byte, 32)
	rand.Read(key)
	return key, s.Put("keys", name, key)
}

// numberBlock is how many component numbers are taken from the durable count at once.
const numberBlock = 4096

// numbers gives component numbers that were never given before in this data directory.
type numbers struct {
	state *state.Store
	mu    sync.Mutex
	next  uint32
	end   uint32
}

func (n *numbers) take() (uint32, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next == n.end {
		b, err := n.state.Get("numbers", "components")
		if err != nil {
			return 0, err
		}
		next := uint32(1)
		if b != nil {
			if err := json.Unmarshal(b, &next); err != nil {
				return 0, err
			}
		}
		if next > 1<<32-1-numberBlock {
			return 0, errors.New("all component numbers of this data directory are used up: start with a new one")
		}
		if b, err = json.Marshal(next + numberBlock); err != nil {
			return 0, err
		}
		if err := n.state.Put("numbers", "components", b); err != nil {
			return 0, err
		}
		n.next, n.end = next, next+numberBlock
	}
	n.next++
	return n.next - 1, nil
}

// lastApplied is the configuration that was applied last. It is kept encrypted under the data directory's key, since
// configurations may hold passwords.
type lastApplied struct {
	Time    time.Time
	Sources []language.Source
	Number  uint64 // in the history
	Files   []byte // what the daemon's own files were then; see start
}

func seal(s *state.Store) (cipher.AEAD, error) {
	key, err := secretKey(s, "config")
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func saveSealed(s *state.Store, bucket, key string, v any) error {
	box, err := seal(s)
	if err != nil {
		return err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.Put(bucket, key, box.Seal(nil, nil, text, nil))
}

// loadSealed returns nil where there is nothing.
func loadSealed[T any](s *state.Store, bucket, key string) (*T, error) {
	b, err := s.Get(bucket, key)
	if err != nil || b == nil {
		return nil, err
	}
	box, err := seal(s)
	if err != nil {
		return nil, err
	}
	text, err := box.Open(nil, nil, b, nil)
	if err != nil {
		return nil, err
	}
	v := new(T)
	return v, json.Unmarshal(text, v)
}

// moveFacts gives all that a component keeps to another address: its directory, its state, its letters. What is there already stays.
func (e *Engine) moveFacts(from, to string) error {
	for _, of := range []func(address string) string{
		func(a string) string { return filepath.Join("components", a) },
		func(a string) string { return filepath.Join("state", "component "+a) },
		func(a string) string { return filepath.Join("letters", a+".jsonl") },
	} {
		source, target := filepath.Join(e.dataDir, of(from)), filepath.Join(e.dataDir, of(to))
		if _, err := os.Lstat(target); err == nil {
			continue
		}
		if err := os.Rename(source, target); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
