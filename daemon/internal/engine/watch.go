package engine

import (
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk/language"
)

// watchEvery is how often the files are looked at that secrets and certificates come from. A change counts once it has lasted from one look to the next: a
// certificate and its key are written one after the other.
const watchEvery = 2 * time.Second

// watch applies what runs again when the content of such files is another. What does not work leaves what runs, and is tried again when the files change
// again or somebody reloads. Secrets of the environment and of programs are asked for when a configuration is read, and then only.
func (e *Engine) watch() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var last, tried language.Signs
	for {
		select {
		case <-tick.C:
		case <-e.life.Done():
			return
		}
		e.mu.Lock()
		before, sources, waits := e.desired.Files, e.sources, e.origin.Pending != nil || !e.booted
		e.mu.Unlock()
		now := before.Again()
		changed := now.Changed(before)
		settled := len(now.Changed(last)) == 0
		switch last = now; {
		case len(changed) == 0:
			e.setStale("")
			tried = nil
			continue
		case waits, !settled, tried != nil && len(now.Changed(tried)) == 0:
			continue
		}
		tried = now
		if r, err := e.Plan(e.life, sources); err == nil && r.Plan != nil && r.Plan.Empty() {
			continue // touched, and no more
		}
		names := strings.Join(changed, ", ")
		_, err := e.Apply(e.life, Order{Read: func() ([]language.Source, error) { return sources, nil }, Who: "watch", How: "changed " + names})
		if err != nil && e.life.Err() == nil {
			e.setStale("The files that changed were not taken (" + names + "), and what they held before goes on:\n" + err.Error())
			e.o.Log.Error("files of secrets or certificates changed and were not taken: what they held before goes on", "files", names, "errors", "\n"+err.Error())
		} else if err == nil {
			e.o.Log.Info("files of secrets or certificates changed: they are in effect", "files", names)
		}
	}
}

func (e *Engine) setStale(text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.origin.Stale = text
}
