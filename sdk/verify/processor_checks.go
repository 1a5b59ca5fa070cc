package verify

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// mapperChecks ask a processor about series.
var mapperChecks = []check{
	{"map/answers", "it answers for as many series as it was asked about",
		"one answer for each series, in their order; without labels: dropped", func(s *session) error {
			c, err := s.open()
			if err == nil {
				_, err = s.mapAll(c.number, usual())
			}
			return err
		}},
	{"map/same", "the same series gets the same answer: again, and in another process",
		"MapSeries depends on the configuration and the series alone: a replay asks again", mapsTheSame},
	{"map/valid", "what it makes of a series is one",
		"keep a metric name; labels are sorted, each once, not empty, valid UTF-8", func(s *session) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			mapped, err := s.mapAll(c.number, append(usual(), strange()...))
			if err != nil {
				return err
			}
			for _, ls := range mapped {
				if len(ls) > 0 && (!ls.Valid() || ls.Get(sdk.NameLabel) == "") {
					return fmt.Errorf("it makes %s, which is no series", ls)
				}
			}
			return nil
		}},
	{"map/none", "asked about none, or very many, it answers",
		"expect any number of series", func(s *session) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			var many []sdk.Labels
			for i := range 5000 {
				many = append(many, series(i).Labels)
			}
			for _, list := range [][]sdk.Labels{nil, many} {
				if _, err := s.mapAll(c.number, list); err != nil {
					return err
				}
			}
			return nil
		}},
}

func usual() (all []sdk.Labels) {
	for _, name := range []string{"up", "node_cpu_seconds_total", "http_requests_total", "go_memstats_alloc_bytes", "etcd_debugging_x"} {
		all = append(all, sdk.NewLabels(sdk.NameLabel, name, "job", "verify", "instance", "10.0.0.1:9100", "code", "200"))
	}
	return all
}

// strange are series that a source may send all the same.
func strange() []sdk.Labels {
	many := sdk.NewLabels(sdk.NameLabel, "many")
	for i := range 200 {
		many = many.Set(fmt.Sprintf("l%03d", i), "v")
	}
	return []sdk.Labels{
		many, sdk.NewLabels(sdk.NameLabel, "喜鹊.speed", "a label", "№\n\"\\"),
		sdk.NewLabels(sdk.NameLabel, "long", "v", strings.Repeat("x", 60_000)),
	}
}

func (s *session) mapAll(number uint32, list []sdk.Labels) ([]sdk.Labels, error) {
	r := &wire.MapRequest{Component: number}
	for _, ls := range list {
		r.Series = append(r.Series, &wire.Labels{Labels: wire.ToLabels(ls)})
	}
	m, err := s.rpc.MapSeries(s.ctx, r)
	switch {
	case err != nil:
		return nil, s.cause(err)
	case m.Problem != nil:
		s.hear(m)
		return nil, errors.New(m.Problem.Text)
	case len(m.Series) != len(list):
		return nil, fmt.Errorf("asked about %d series, it answers for %d", len(list), len(m.Series))
	}
	s.hear(m)
	out := make([]sdk.Labels, len(list))
	for i, x := range m.Series {
		for _, l := range x.Labels { // as they came: in their order, twice or empty
			out[i] = append(out[i], sdk.Label{Name: l.Name, Value: l.Value})
		}
	}
	return out, nil
}

func mapsTheSame(s *session) error {
	var first string
	for i := range 4 {
		if i == 2 {
			s.drop()
			if err := s.fresh(); err != nil {
				return err
			}
		}
		c, err := s.open()
		if err != nil {
			return err
		}
		mapped, err := s.mapAll(c.number, append(usual(), strange()...))
		if err != nil {
			return err
		}
		if text := fmt.Sprint(mapped); i == 0 {
			first = text
		} else if text != first {
			return errors.New("the answers differ")
		}
	}
	return nil
}

// deriverChecks feed a processor of samples.
var deriverChecks = []check{
	{"derive/acknowledges", "what it has worked on is acknowledged, sample by sample, within seconds",
		"send output, state and acknowledgement together, every few seconds", derives},
	{"derive/format", "what it makes is as sdk/wire/FORMAT.md draws it",
		"define series before their samples; at most 1 MiB of frames at once", func(s *session) error {
			_, f, err := s.worked()
			if err == nil && len(f.faults) > 0 {
				err = errors.New(strings.Join(f.faults, "\n"))
			}
			return err
		}},
	{"derive/state", "in another process it goes on from its state",
		"Snapshot gives all that Derive needs to go on", func(s *session) error {
			_, f, err := s.worked()
			if err != nil {
				return err
			}
			state := f.state
			s.drop()
			if err := s.fresh(); err != nil {
				return err
			}
			c, err := s.open()
			if err != nil {
				return err
			}
			again, err := s.feed(c.number, state)
			if err != nil {
				return err
			}
			defer again.cancel()
			_, _, err = again.offer(func(b *sdk.Batch) { some(b, 20, 5, time.Now()) })
			return err
		}},
	{"derive/junk-state", "a state that it cannot read is refused, and nothing else suffers",
		"answer with an error from Derive, or begin anew", func(s *session) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			f, err := s.feed(c.number, []byte("\x00junk{\xff"))
			if err != nil {
				return err
			}
			packets, _ := f.pack(func(b *sdk.Batch) { some(b, 5, 1, time.Now()) })
			f.send(packets)
			s.settle()
			f.cancel()
			_, err = s.health()
			return err
		}},
}

// worked feeds some batches and waits for the acknowledgement.
func (s *session) worked() (int, *feeder, error) {
	c, err := s.open()
	if err != nil {
		return 0, nil, err
	}
	f, err := s.feed(c.number, nil)
	if err != nil {
		return 0, nil, err
	}
	total := 0
	for i := range 4 {
		packets, sent := f.pack(func(b *sdk.Batch) { some(b, 50, float64(i), time.Now().Add(time.Duration(i)*time.Second)) })
		total += sent
		if err := f.send(packets); err != nil {
			return total, f, err
		}
	}
	_, err = f.acknowledged(f.Last)
	return total, f, err
}

func derives(s *session) error {
	sent, f, err := s.worked()
	if err != nil {
		return err
	}
	defer f.cancel()
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.count(); c.total() != uint64(sent) {
		return fmt.Errorf("of %d samples %d are acknowledged", sent, c.total())
	}
	return nil
}
