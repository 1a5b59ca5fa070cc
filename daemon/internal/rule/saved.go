package rule

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	savedVersion = 1
	// outageTolerance is how long a pending alert is remembered while the daemon is down (rules.alert.for-outage-tolerance).
	outageTolerance = time.Hour
)

// savedGroup is the state of a group on disk, as gob. Its times are wall time.
type savedGroup struct {
	Version int
	At      time.Time
	Alerts  map[string][][]alert // by the identity of rules; a list for each rule that has it
}

func saveKey(group string) string { return "rules/" + group }

// shifted is the alert with other times.
func (a alert) shifted(by func(time.Time) time.Time) alert {
	a.ActiveAt, a.FiredAt, a.ResolvedAt, a.KeepFiringSince = by(a.ActiveAt), by(a.FiredAt), by(a.ResolvedAt), by(a.KeepFiringSince)
	return a
}

// save keeps the state of the group's alerts if it changed. A failure is said once, and tried again at the next evaluation.
func (g *group) save() {
	if !g.dirty {
		return
	}
	saved := savedGroup{savedVersion, g.clock.show(g.clock.now()), map[string][][]alert{}}
	count := 0
	for _, s := range g.rules {
		var list []alert
		for _, a := range s.alerts {
			list = append(list, a.shifted(g.clock.show))
		}
		count += len(list)
		saved.Alerts[s.id] = append(saved.Alerts[s.id], list)
	}
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(saved)
	if err == nil && count > 0 {
		err = g.o.Save(saveKey(g.key), b.Bytes())
	} else if err == nil {
		err = g.o.Save(saveKey(g.key), nil)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil && g.stats.SaveError == "" {
		g.o.Log.Error("the state of alerts could not be saved: a restart now would forget it", "group", g.Name, "file", g.File, "error", err)
	}
	g.dirty, g.stats.SaveError = err != nil, ""
	if err != nil {
		g.stats.SaveError = err.Error()
	}
}

// saved are the groups that an earlier process saved, with the states of their alerts: as if they had run until now. What cannot be read is said, and
// starts anew.
func (r *Rules) saved(next map[string]*group) map[string]*group {
	keys, err := r.o.Keys()
	if err != nil {
		r.o.Log.Warn("the saved states of alerts cannot be listed: those of rules that have moved start anew", "error", err)
	}
	for _, g := range next { // those that are not listed
		for _, name := range append(slices.Clip(g.Was), g.Name) {
			keys = append(keys, saveKey(g.File+";"+name))
		}
	}
	slices.Sort(keys)
	groups := map[string]*group{}
	for _, key := range slices.Compact(keys) {
		value, err := r.o.Load(key)
		key = strings.TrimPrefix(key, saveKey(""))
		if value == nil && err == nil {
			continue
		}
		file, name, _ := strings.Cut(key, ";")
		g := newGroup(r, Group{Name: name, File: file})
		g.cancel = func() {}
		close(g.done)
		if err == nil {
			err = g.restore(value)
		}
		if err != nil {
			g.o.Log.Warn("the saved state of alerts cannot be used: they start anew", "group", name, "file", file, "error", err)
		}
		groups[key] = g
	}
	return groups
}

func (g *group) restore(value []byte) error {
	var saved savedGroup
	if err := gob.NewDecoder(bytes.NewReader(value)).Decode(&saved); err != nil {
		return err
	}
	if saved.Version != savedVersion {
		return fmt.Errorf("it has version %d, and this daemon reads %d", saved.Version, savedVersion)
	}
	passed := g.clock.now().Sub(g.clock.steady(saved.At))
	for id, lists := range saved.Alerts {
		for _, list := range lists {
			s := &state{id: id, of: g, alerts: map[string]*alert{}}
			g.restoreAlerts(s, list, passed)
			g.rules = append(g.rules, s)
		}
	}
	return nil
}

// restoreAlerts takes a rule's alerts back. The time that has passed does not count as pending, as in Prometheus. Less
// than none has passed where the clock was set back: then all is moved to before now.
func (g *group) restoreAlerts(s *state, list []alert, passed time.Duration) {
	for _, from := range list {
		if from.Status < inactive || from.Status > firing || from.Status == pending && passed > outageTolerance {
			continue
		}
		a := from.shifted(func(t time.Time) time.Time {
			if t = g.clock.steady(t); !t.IsZero() {
				t = t.Add(min(passed, 0))
			}
			return t
		})
		if a.Status == pending {
			a.ActiveAt = a.ActiveAt.Add(max(passed, 0))
		}
		s.alerts[keyOf(a.Labels)] = &a
	}
}
