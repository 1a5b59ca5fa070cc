package verify

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// often is the interval at which sources collect here.
const often = 200 * time.Millisecond

var sourceChecks = []check{
	{"source/collects", "it collects at once, and again at every interval",
		"the first Collect follows the opening, the next ones its interval; an error ends no series of them", collects},
	{"source/format", "what it sends is as sdk/wire/FORMAT.md draws it",
		"labels are sorted, not empty and valid UTF-8; refs are defined before use, once, and not used after RETIRE; packets are numbered from 1", format},
	{"source/blame", "with its example it makes no mistake that is the plugin's own",
		"a target that fails is sdk.Target(err); a metric is set with as many values as it has label names", blamesNoPlugin},
	{"source/up", "each target has up, scrape_duration_seconds and scrape_samples_scraped",
		"set them after each target, whether it was collected or not", hasUp},
	{"source/labels", "its series have the labels job and instance, and those of the block",
		"add them to every series, or describe the type with own_labels", hasLabels},
	{"source/names", "PromQL can name what it sends",
		"a metric name is letters, digits, _ and :, and not NaN or Inf; so is a label name, without :", namesAreNames},
	{"source/dropped", "none of its samples is dropped for being invalid",
		"labels are valid UTF-8 with at most 1 KiB of name and 64 KiB of value; histograms are valid", dropsNothing},
	{"source/declared", "what it declares is what it sends: types and labels",
		"declare the metric as it is sent; what is not known beforehand need not be declared", asDeclared},
	{"source/once", "a cycle has each series once",
		"set each combination of labels once; count with a map before setting", eachOnce},
	{"source/times", "samples are not of the future, nor of another century",
		"times are Unix milliseconds, of the machine's clock", timesAreNow},
	{"source/timeout", "Collect heeds its timeout while the target does not answer",
		"pass ctx on to every request and wait", heedsTimeout},
	{"source/drains", "Close waits until what was collected is sent",
		"last_seq of the answer to Close is the packet with the last frame", drains},
}

// canCollect skips what waits for others to send.
func (s *session) canCollect() error {
	if s.t.Streams {
		return skip("it sends when something comes in")
	}
	return nil
}

// cycled opens the source and waits for some cycles.
func (s *session) cycled(n int) (*component, error) {
	if err := s.canCollect(); err != nil {
		return nil, err
	}
	c, err := s.openEvery(often)
	if err != nil {
		return nil, err
	}
	ok := s.rec.wait(s.ctx, c.number, s.patient(5*time.Second), func(x *collected) bool { return x.cycles >= n })
	if !ok {
		got := 0
		s.rec.look(c.number, func(x *collected) error { got = x.cycles; return nil })
		return nil, fmt.Errorf("with an interval of %s, %d cycles came in %s, and %d were to", often, got, s.patient(5*time.Second), n)
	}
	return c, nil
}

func collects(s *session) error {
	c, err := s.cycled(3)
	if err != nil {
		return err
	}
	h, err := s.healthOf(c.number)
	if err == nil && (h == nil || h.Collects < 2) {
		err = fmt.Errorf("its Health counts %d Collects after three", h.GetCollects())
	}
	return err
}

func format(s *session) error {
	if s.t.Streams {
		if _, err := s.openEvery(often); err != nil {
			return err
		}
		s.settle()
	} else if _, err := s.cycled(3); err != nil {
		return err
	}
	s.rec.mu.Lock()
	defer s.rec.mu.Unlock()
	if bytes.Contains(s.rec.raw, []byte(s.canary)) {
		s.mu.Lock()
		s.leaks = keepSome(s.leaks, "the labels of a series")
		s.mu.Unlock()
	}
	if len(s.rec.faults) > 0 {
		return errors.New(s.rec.String())
	}
	return nil
}

func blamesNoPlugin(s *session) error {
	c, err := s.cycled(2)
	if err != nil {
		return err
	}
	h, err := s.healthOf(c.number)
	if err == nil && h.GetErrors()["plugin"] > 0 {
		err = errors.New(h.LastError.GetText())
	}
	return err
}

// inCycle looks at each sample of a whole cycle.
func (s *session) inCycle(look func(c *component, x seen) error) error {
	c, err := s.cycled(2)
	if err != nil {
		return err
	}
	return s.rec.look(c.number, func(x *collected) error {
		for _, v := range x.whole {
			if err := look(c, v); err != nil {
				return err
			}
		}
		return nil
	})
}

func hasUp(s *session) error {
	found := map[string]bool{}
	if err := s.inCycle(func(_ *component, x seen) error {
		found[x.labels.Get(sdk.NameLabel)] = true
		return nil
	}); err != nil {
		return err
	}
	for _, name := range []string{"up", "scrape_duration_seconds", "scrape_samples_scraped"} {
		if !found[name] {
			return fmt.Errorf("there is no %s", name)
		}
	}
	return nil
}

func hasLabels(s *session) error {
	return s.inCycle(func(c *component, x seen) error {
		want := []string{"job", "instance"}
		for name := range c.source.Labels {
			want = append(want, name)
		}
		for _, name := range want {
			if !s.t.OwnLabels && x.labels.Get(name) == "" {
				return fmt.Errorf("%s lacks the label %s", x.labels, name)
			}
		}
		return nil
	})
}

func namesAreNames(s *session) error {
	return s.inCycle(func(_ *component, x seen) error {
		name := x.labels.Get(sdk.NameLabel)
		if !queryable(name) {
			return fmt.Errorf("a metric is called %q", name)
		}
		for _, l := range x.labels {
			if l.Name != sdk.NameLabel && !labelName.MatchString(l.Name) {
				return fmt.Errorf("%s has a label %q", name, l.Name)
			}
		}
		return nil
	})
}

func dropsNothing(s *session) error {
	c, err := s.cycled(2)
	if err != nil {
		return err
	}
	h, err := s.healthOf(c.number)
	if err != nil {
		return err
	}
	for reason, n := range h.GetDropped() {
		if strings.HasPrefix(reason, "invalid") && n > 0 {
			return fmt.Errorf("%d samples are dropped as %s", n, reason)
		}
	}
	return nil
}

func asDeclared(s *session) error {
	declared := map[string]*wire.Metric{}
	for _, m := range s.desc.Metrics {
		declared[m.Name] = m
	}
	return s.inCycle(func(c *component, x seen) error {
		name := x.labels.Get(sdk.NameLabel)
		m := declared[name]
		if m == nil {
			return nil
		}
		if x.family != nil && x.family.Type != sdk.MetricType(m.Type) {
			return fmt.Errorf("%s is declared as a %s, and sent as a %s", name, sdk.MetricType(m.Type), x.family.Type)
		}
		for _, l := range x.labels {
			_, ofBlock := c.source.Labels[l.Name]
			known := l.Name == sdk.NameLabel || l.Name == "job" || l.Name == "instance" || ofBlock || slices.Contains(m.Labels, l.Name)
			if !known && !strings.HasPrefix(l.Name, "exported_") && !s.t.Discovers && !s.t.OwnLabels {
				return fmt.Errorf("%s is declared with the labels %q, and sent with %s", name, m.Labels, l.Name)
			}
		}
		return nil
	})
}

func eachOnce(s *session) error {
	here := map[string]bool{}
	return s.inCycle(func(_ *component, x seen) error {
		key := x.labels.String() + x.time.String()
		if here[key] {
			return fmt.Errorf("%s is there twice", x.labels)
		}
		here[key] = true
		return nil
	})
}

func timesAreNow(s *session) error {
	return s.inCycle(func(_ *component, x seen) error {
		if d := time.Since(x.time); d < -10*time.Minute || d > 20*365*24*time.Hour {
			return fmt.Errorf("%s is of %s", x.labels, x.time.UTC().Format(time.RFC3339))
		}
		return nil
	})
}

func heedsTimeout(s *session) error {
	if err := s.canCollect(); err != nil {
		return err
	}
	release := s.target.stall()
	defer release()
	c, err := s.openEvery(often)
	if err != nil {
		return err
	}
	limit := s.patient(often + time.Second)
	if !s.rec.wait(s.ctx, c.number, limit, func(x *collected) bool { return x.cycles > 0 }) {
		return fmt.Errorf("its timeout is %s, and %s later Collect was not done", often, limit)
	}
	return nil
}

func drains(s *session) error {
	c, err := s.cycled(1)
	if err != nil {
		return err
	}
	r, _, err := s.close(c.number, s.patient(closeLimit))
	if err != nil {
		return err
	}
	came, err := s.eventually(time.Second, func() (bool, error) {
		s.rec.mu.Lock()
		defer s.rec.mu.Unlock()
		return s.rec.last >= r.LastSeq, nil
	})
	s.rec.mu.Lock()
	defer s.rec.mu.Unlock()
	if err == nil && (!came || r.LastSeq == 0) {
		err = fmt.Errorf("its Close says that packet %d is the last one, and %d came", r.LastSeq, s.rec.last)
	}
	return err
}

var sourceLimitChecks = []check{
	{"source/limit-series", "beyond limit_series it defines no more, and counts what it drops",
		"give no refs beyond the limit; count the samples under limit_series in Health", limitsSeries},
	{"source/credit", "without acknowledgements it stops at its credit, and goes on with them",
		"no more bytes are on the way than the last Credit says: wait for Ack", heedsCredit},
	{"source/checkpoint", "it opens with a checkpoint that it left, and with one that is junk",
		"answer with a problem, or begin anew, where a checkpoint cannot be read", reopensAtCheckpoint},
	{"source/targets", "it takes targets from discoveries, many and none",
		"replace the list as a whole in SetTargets", takesTargets},
}

func limitsSeries(s *session) error {
	if err := s.canCollect(); err != nil {
		return err
	}
	b := &s.blocks[0]
	settings := b.settings(often)
	settings.LimitSeries = 4
	c, err := s.openWith(s.request(b, settings))
	if err != nil {
		return err
	}
	if !s.rec.wait(s.ctx, c.number, s.patient(5*time.Second), func(x *collected) bool { return x.cycles > 1 }) {
		return errors.New("no cycle came")
	}
	return s.rec.look(c.number, func(x *collected) error {
		if n := x.live(); n > 4 {
			return fmt.Errorf("limit_series is 4, and %d series are defined", n)
		}
		return nil
	})
}

func heedsCredit(s *session) error {
	if err := s.canCollect(); err != nil {
		return err
	}
	s.rec.mu.Lock()
	s.rec.hold = true
	s.rec.mu.Unlock()
	const credit = 4 << 10
	s.rec.send(&wire.Down{Message: &wire.Down_Credit{Credit: &wire.Credit{Bytes: credit}}})
	s.settle()
	c, err := s.openEvery(100 * time.Millisecond)
	if err != nil {
		return err
	}
	s.rec.wait(s.ctx, c.number, s.patient(time.Second), func(x *collected) bool { return x.cycles > 12 })
	s.rec.mu.Lock()
	waiting, seq := s.rec.waiting, s.rec.last
	s.rec.hold = false
	s.rec.mu.Unlock()
	defer s.rec.send(&wire.Down{Message: &wire.Down_Credit{Credit: &wire.Credit{Bytes: 8 << 20}}})
	if most := credit + wire.MaxPacket; waiting > most {
		return fmt.Errorf("its credit is %d bytes, and %d are on the way", credit, waiting)
	}
	before := 0
	s.rec.look(c.number, func(x *collected) error { before = x.cycles; return nil })
	s.rec.send(&wire.Down{Message: &wire.Down_Ack{Ack: &wire.Ack{Seq: seq}}})
	if !s.rec.wait(s.ctx, c.number, s.patient(5*time.Second), func(x *collected) bool { return x.cycles > before }) {
		return errors.New("everything is acknowledged, and nothing more comes")
	}
	return nil
}

func reopensAtCheckpoint(s *session) error {
	c, err := s.openEvery(often)
	if err != nil {
		return err
	}
	s.rec.wait(s.ctx, c.number, 500*time.Millisecond, func(x *collected) bool { return x.checkpoint != nil })
	var left []byte
	s.rec.look(c.number, func(x *collected) error { left = x.checkpoint; return nil })
	if err := s.closes(c.number); err != nil {
		return err
	}
	b := &s.blocks[0]
	for _, at := range [][]byte{left, []byte("\x00junk{"), bytes.Repeat([]byte{0xff}, 1000)} {
		r := s.request(b, b.settings(time.Hour))
		r.Checkpoint = at
		c, err := s.openWith(r)
		if err != nil && (!isProblem(err) || bytes.Equal(at, left)) {
			return fmt.Errorf("with a checkpoint of %d bytes: %w", len(at), err)
		}
		if err == nil {
			s.settle()
			if err := s.closes(c.number); err != nil {
				return err
			}
		}
	}
	return nil
}

func takesTargets(s *session) error {
	if !s.t.Discovers {
		return skip("it takes no targets from discoveries")
	}
	c, err := s.openEvery(often)
	if err != nil {
		return err
	}
	var many []*wire.Target
	for i := range 20 {
		many = append(many, &wire.Target{Address: fmt.Sprintf("%s/%d", s.target.addr, i), Labels: map[string]string{"__meta_n": fmt.Sprint(i), "rack": "a"}})
	}
	for _, list := range [][]*wire.Target{many[:1], many, nil, {{Address: "not an address at all"}}, {many[0], many[0]}, nil} {
		r, err := s.rpc.SetTargets(s.ctx, &wire.SetTargetsRequest{Component: c.number, Targets: list})
		if err != nil {
			return s.cause(err)
		}
		s.hear(r)
		if len(list) != 1 && r.Problem != nil && len(list) != 2 {
			return fmt.Errorf("%d targets: %s", len(list), r.Problem.Text)
		}
	}
	return s.closes(c.number)
}
