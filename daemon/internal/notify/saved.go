package notify

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

const (
	savedKey     = "notifications"
	savedVersion = 1
	// logRetention is how long the log knows of groups that no route makes any more, as data.retention of Alertmanager.
	logRetention = 5 * 24 * time.Hour
)

// saved is the state on disk, as gob. Its times are wall time.
type saved struct {
	Version  int
	Alerts   []savedAlert
	Log      []entry
	Messages []message
}

type savedAlert struct {
	Alert  Alert
	Groups []id
}

// save writes the state if it changed. What fails is said once, and tried again with the next change.
func (n *Notifier) save() {
	n.saving.Lock()
	defer n.saving.Unlock()
	n.mu.Lock()
	if !n.dirty {
		n.mu.Unlock()
		return
	}
	n.dirty = false
	s := n.collect()
	n.mu.Unlock()

	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(s)
	if err == nil {
		err = n.o.Save(savedKey, b.Bytes())
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	before := n.stats.SaveError
	n.stats.SaveError = ""
	if err != nil {
		n.dirty, n.stats.SaveError = true, err.Error()
	}
	if err != nil && before == "" {
		n.o.Log.Error("what was notified could not be saved: a restart now may repeat notifications", "error", err)
	}
}

// collect copies what is saved, and drops from the log what nobody will ask for.
func (n *Notifier) collect() saved {
	s := saved{Version: savedVersion}
	for _, a := range n.alerts {
		if len(a.groups)+len(a.was) == 0 && n.o.Clock.Now().After(a.until) { // it inhibited others, and nobody renewed it
			a.Status = sdk.Resolved
			n.index(a)
			n.forget(a)
			continue
		}
		s.Alerts = append(s.Alerts, savedAlert{a.Alert, append(slices.Collect(maps.Keys(a.groups)), a.was...)})
	}
	for at, e := range n.log {
		if n.groups[at] == nil && n.messages[at] == nil && (n.o.Clock.Now().Sub(e.At) > logRetention || len(n.log) > 2*maxAlerts) {
			delete(n.log, at)
			continue
		}
		out := *e
		out.At = n.wall(e.At)
		s.Log = append(s.Log, out)
	}
	for _, m := range n.messages {
		s.Messages = append(s.Messages, *m)
	}
	for _, g := range n.groups {
		if g.message != nil {
			s.Messages = append(s.Messages, *g.message)
		}
	}
	return s
}

// load restores the state. What cannot be read is said, and nothing is known then.
func (n *Notifier) load() {
	value, err := n.o.Load(savedKey)
	if err == nil && value != nil {
		err = n.restore(value)
	}
	if err != nil {
		n.o.Log.Warn("what was notified before cannot be read: alerts that still fire will be notified again", "error", err)
	}
}

func (n *Notifier) restore(value []byte) error {
	var s saved
	if err := gob.NewDecoder(bytes.NewReader(value)).Decode(&s); err != nil {
		return err
	}
	if s.Version != savedVersion {
		return fmt.Errorf("it has version %d, and this daemon reads %d", s.Version, savedVersion)
	}
	now := n.o.Clock.Now()
	for _, a := range s.Alerts {
		fp := fingerprint(a.Alert.Labels)
		n.alerts[fp] = &alert{Alert: a.Alert, fingerprint: fp, until: now.Add(a.Alert.ValidFor), groups: map[id]*group{}, was: a.Groups}
	}
	for _, e := range s.Log {
		e.At = now.Add(-max(0, n.o.Wall().Sub(e.At)))
		n.log[e.ID] = &e
	}
	for _, m := range s.Messages {
		n.messages[m.ID] = &m
	}
	return nil
}
