package verify

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// The coordinator among these plugins: the lease number N on a key is the file N in the key's directory, which its holder touches;
// who sees for a whole ttl that it was not touched makes the next one. An empty file was given back.

func (t *thing) keyDir(kind, key string) string {
	return filepath.Join(t.cfg.Dir, "shared", kind, fmt.Sprintf("%x", sha256.Sum256([]byte(key))))
}

// newest is the number of the last lease, and what is seen of it.
func newest(dir string) (number uint64, ttl time.Duration, seen string) {
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		n, _ := strconv.ParseUint(f.Name(), 10, 64)
		number = max(number, n)
	}
	file := filepath.Join(dir, fmt.Sprint(number))
	info, err := os.Stat(file)
	if number == 0 || err != nil {
		return number, 0, ""
	}
	text, _ := os.ReadFile(file)
	ttl, _ = time.ParseDuration(string(text))
	return number, ttl, fmt.Sprint(number, string(text), info.ModTime().UnixNano())
}

func (t *thing) Acquire(ctx context.Context, key string, ttl time.Duration) (*sdk.Lease, error) {
	dir := t.keyDir("leases", key)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if t.cfg.wrong == "lease-ignores-cancel" {
		ctx = context.Background()
	}
	seen, since := "", time.Now()
	for ctx.Err() == nil {
		number, before, now := newest(dir)
		if now != seen {
			seen, since = now, time.Now()
		}
		free := before == 0 || time.Since(since) > before && t.cfg.wrong != "lease-for-ever"
		if free || t.cfg.wrong == "lease-of-two" {
			asked := time.Now()
			draft := filepath.Join(dir, fmt.Sprintf("draft-%d-%d", os.Getpid(), asked.UnixNano()))
			file := filepath.Join(dir, fmt.Sprint(number+1))
			if err := os.WriteFile(draft, []byte(ttl.String()), 0o600); err != nil {
				return nil, err
			}
			err := os.Link(draft, file)
			os.Remove(draft)
			if err == nil {
				return t.lease(number+1, ttl, asked, file, ctx), nil
			}
			continue
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return nil, ctx.Err()
}

func (t *thing) lease(number uint64, ttl time.Duration, asked time.Time, file string, ctx context.Context) *sdk.Lease {
	fence := number
	switch t.cfg.wrong {
	case "lease-fence-falls":
		fence = 1000 - number
	case "lease-too-long":
		ttl *= 10
	}
	l := sdk.NewLease(fence, ttl, asked, func(context.Context) error {
		if t.cfg.wrong == "lease-kept" {
			return nil
		}
		return os.WriteFile(file, nil, 0o600)
	})
	if t.cfg.wrong == "lease-no-fence" {
		return sdk.NewLease(0, ttl, asked, nil)
	}
	if t.cfg.wrong == "lease-not-renewed" {
		return l
	}
	go func() {
		for {
			select {
			case <-time.After(ttl / 5):
			case <-l.Done():
				return
			}
			asked := time.Now()
			if n, _, _ := newest(filepath.Dir(file)); n > number {
				l.Lose(errors.New("another has it"))
				return
			}
			if os.Chtimes(file, asked, asked) == nil {
				l.Renewed(asked)
			}
		}
	}()
	return l
}

func (t *thing) Members(ctx context.Context, self sdk.Member, ttl time.Duration, changed func([]sdk.Member) error) error {
	dir := filepath.Join(t.cfg.Dir, "shared", "members")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file := filepath.Join(dir, fmt.Sprintf("%d-%s", os.Getpid(), self.Name))
	beat := func() {
		if self.Name != "" {
			os.WriteFile(file, []byte(self.Name+" "+ttl.String()), 0o600)
		}
	}
	if t.cfg.wrong != "members-for-ever" {
		defer os.Remove(file)
	}
	var last string
	for first := true; ctx.Err() == nil; first = false {
		beat()
		var all []sdk.Member
		files, _ := os.ReadDir(dir)
		for _, f := range files {
			text, _ := os.ReadFile(filepath.Join(dir, f.Name()))
			name, lives, _ := strings.Cut(string(text), " ")
			d, _ := time.ParseDuration(lives)
			info, err := f.Info()
			gone := err != nil || time.Since(info.ModTime()) > d && t.cfg.wrong != "members-for-ever"
			if gone || name == "" || t.cfg.wrong == "members-alone" && name != self.Name {
				continue
			}
			all = append(all, sdk.Member{Name: name, Facts: map[string]string{"of": name}})
		}
		all = sdk.SortMembers(all)
		if text := fmt.Sprint(all); first || text != last {
			if last = text; changed(all) != nil {
				return nil
			}
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return nil
}
