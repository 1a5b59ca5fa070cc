package engine

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/daemon/internal/notify"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/report"
)

const (
	diagnoseTimeout = 2 * time.Minute
	sharedFor       = time.Minute      // alerts that come together ask a diagnoser once
	togetherWithin  = 10 * time.Second // rules of one cause are not evaluated at the same moment
	attachWait      = 20 * time.Second // a notification waits this long for what its alerts asked for
	maxReports      = 200              // that are kept, of at most 1 MiB
	maxDiagnosed    = 10_000           // alerts whose reports are remembered while they fire
)

// diagnoses are asked for by people and by alerts. Reports are kept, the newest maxReports of them.
type diagnoses struct {
	e      *Engine
	mu     sync.Mutex
	last   map[string]*asked   // by diagnoser
	alerts map[string][]*asked // by alert, while it fires
}

// asked is a diagnosis that an alert asked for.
type asked struct {
	id, address string
	began       time.Time
	done        chan struct{}
	diagnosis   *sdk.Diagnosis // once it is done; nil: err
	err         error
}

// Diagnose asks a diagnoser, and keeps what it says under an id.
func (e *Engine) Diagnose(ctx context.Context, address string, progress func(string)) (id string, d *sdk.Diagnosis, err error) {
	id = reportID(address, time.Now())
	d, err = e.diagnose(ctx, id, address, sdk.Question{}, progress)
	return id, d, err
}

func (e *Engine) diagnose(ctx context.Context, id, address string, q sdk.Question, progress func(string)) (*sdk.Diagnosis, error) {
	ctx, cancel := context.WithTimeout(ctx, diagnoseTimeout)
	defer cancel()
	if c := e.Component(address); c != nil && c.Kind != sdk.KindDiagnoser {
		return nil, fmt.Errorf("%s is a %s, and no diagnoser", address, c.Kind)
	}
	h, err := e.use(ctx, address)
	if err != nil {
		return nil, err
	}
	d, err := h.Diagnose(ctx, h.Number, q, progress)
	if err != nil {
		return nil, err
	}
	d.Address = address
	b, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	if err := e.state.Put("reports", id, b); err != nil {
		return nil, err
	}
	kept, err := e.state.Keys("reports")
	slices.Sort(kept)
	for len(kept) > maxReports && err == nil {
		err = e.state.Delete("reports", kept[0])
		kept = kept[1:]
	}
	return d, err
}

// reportID begins with the time: the order of ids is that of reports.
func reportID(address string, at time.Time) string {
	h := fnv.New32a()
	fmt.Fprint(h, address)
	return at.UTC().Format("20060102T150405.000Z") + "-" + hex.EncodeToString(h.Sum(nil))
}

// Report is a diagnosis that is kept, nil if there is none of this id.
func (e *Engine) Report(id string) (*sdk.Diagnosis, error) {
	b, err := e.state.Get("reports", id)
	if b == nil || err != nil {
		return nil, err
	}
	d := &sdk.Diagnosis{}
	return d, json.Unmarshal(b, d)
}

// Reports are the ids of what is kept, the newest first.
func (e *Engine) Reports() ([]string, error) {
	ids, err := e.state.Keys("reports")
	slices.Sort(ids)
	slices.Reverse(ids)
	return ids, err
}

// covers says whether a diagnosis tells now of an alert whose expression has been true since a time: what was found before is of
// something else.
func (x *asked) covers(since, now time.Time) bool {
	return now.Sub(x.began) <= sharedFor && since.Sub(x.began) <= togetherWithin
}

// because asks the diagnosers of an alert when it begins to fire, and forgets them when it has resolved.
func (d *diagnoses) because(a notify.Alert, since time.Time, diagnosers []string) {
	key := alertKey(a.Alert)
	d.mu.Lock()
	defer d.mu.Unlock()
	if a.Status == sdk.Resolved {
		delete(d.alerts, key)
		return
	}
	if d.alerts[key] != nil || len(d.alerts) >= maxDiagnosed {
		return
	}
	for _, address := range d.e.meant(diagnosers, a.Labels) {
		x := d.last[address]
		if now := time.Now(); x == nil || !x.covers(since, now) {
			x = &asked{id: reportID(address, now), address: address, began: now, done: make(chan struct{})}
			d.last[address] = x
			d.e.running.Go(func() {
				defer close(x.done)
				x.diagnosis, x.err = d.e.diagnose(d.e.life, x.id, address, sdk.Question{Alert: &a.Alert}, func(string) {})
				if x.err != nil {
					d.e.o.Log.Error("an alert asked for a diagnosis, and there is none", "component", address, "alert", a.Labels["alertname"], "error", x.err)
				}
			})
		}
		d.alerts[key] = append(d.alerts[key], x)
	}
}

// meant are those diagnosers that match the labels of an alert.
func (e *Engine) meant(diagnosers []string, labels map[string]string) (addresses []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.desired.Components {
		if slices.Contains(diagnosers, c.Address) && !slices.ContainsFunc(c.Match, func(m sdk.Matcher) bool { matches, err := m.Func(); return err != nil || !matches(labels) }) {
			addresses = append(addresses, c.Address)
		}
	}
	return addresses
}

func alertKey(a sdk.Alert) string {
	return fmt.Sprint(a.StartsAt.UnixMilli(), a.Labels) // fmt sorts maps
}

// attach gives a notification what the diagnosers of its alerts say.
func (d *diagnoses) attach(ctx context.Context, n *sdk.Notification) {
	ctx, cancel := context.WithTimeout(ctx, attachWait)
	defer cancel()
	var of []*asked
	d.mu.Lock()
	for _, a := range n.Alerts {
		for _, x := range d.alerts[alertKey(a)] {
			if !slices.Contains(of, x) {
				of = append(of, x)
			}
		}
	}
	d.mu.Unlock()
	for _, x := range of {
		told := sdk.Diagnosed{Address: x.address, URL: n.ExternalURL + "/reports/" + x.id, Headline: "still at work"}
		select {
		case <-x.done:
			if x.err != nil {
				told.Headline, told.URL = "no diagnosis: "+x.err.Error(), ""
				break
			}
			told.Headline, told.Worst = report.Headline(x.diagnosis), x.diagnosis.Worst()
			for _, f := range x.diagnosis.Findings {
				told.Findings = append(told.Findings, string(f.Severity)+": "+f.Title)
			}
		case <-ctx.Done():
		}
		n.AddDiagnosis(told)
	}
}
