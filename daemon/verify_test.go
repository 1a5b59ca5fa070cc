package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk/verify"
)

// TestEveryPluginKeepsTheContract makes the checks of magpie plugin verify with all plugins of this repository.
func TestEveryPluginKeepsTheContract(t *testing.T) {
	t.Parallel()
	built := filepath.Join(filepath.Dir(magpieBinary(t)), "plugins")
	entries, err := os.ReadDir(built)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	limit := make(chan struct{}, 3) // they wait more than they work
	var running sync.WaitGroup
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "magpie-") {
			continue // a command
		}
		limit <- struct{}{}
		running.Go(func() {
			defer func() { <-limit }()
			f, err := verify.Find(filepath.Join("../plugins", e.Name()), "", nil)
			if err != nil {
				t.Error(err)
				return
			}
			r, err := verify.Run(t.Context(), verify.Options{Binary: filepath.Join(built, e.Name()), Example: f.Example, Shown: f.Shown, Patience: 10})
			if err != nil {
				t.Error(err)
				return
			}
			for _, x := range r.Results {
				if x.State == verify.Failed {
					t.Errorf("%s: %s: %s: %s\n%s", e.Name(), x.Of, x.Check, x.About, x.Text)
				}
			}
			if len(r.Notes) > 0 {
				t.Errorf("%s: %q", e.Name(), r.Notes)
			}
			t.Logf("%s: %s, in %s", e.Name(), r.Summary(), r.Took.Round(time.Millisecond))
		})
	}
	running.Wait()
	t.Logf("all %d in %s", len(entries), time.Since(began).Round(time.Second))
}
