package client

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestAFileIsHashedAgainWhenItHasChanged(t *testing.T) {
	t.Parallel()
	cache, path := t.TempDir(), filepath.Join(t.TempDir(), "plugin")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	of := func(h *hashes) string {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		sum, err := h.of(cache, path, info)
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	write("one")
	var first hashes
	sum := of(&first)
	if first.changed {
		t.Error("a file that was written just now is remembered: it may change without a trace")
	}
	for deadline := time.Now().Add(2 * time.Minute); !first.changed; time.Sleep(50 * time.Millisecond) {
		if of(&first) != sum || time.Now().After(deadline) {
			t.Fatal("the hash of a file that rests is not remembered")
		}
	}
	first.known[path] = hashed{first.known[path].Identity, "what is remembered"}
	first.save(cache, map[string]bool{path: true})

	var second hashes
	if got := of(&second); got != "what is remembered" {
		t.Errorf("%q: the file was read again", got)
	}
	was, _ := os.Stat(path)
	write("two")
	os.Chtimes(path, time.Time{}, was.ModTime())
	if got := of(&second); got == "what is remembered" || got == sum {
		t.Errorf("%q: the change went unseen", got)
	}
	if err := os.WriteFile(filepath.Join(cache, "hashes-1.json"), []byte("null"), 0o600); err != nil {
		t.Fatal(err)
	}
	var third hashes
	of(&third)
}
