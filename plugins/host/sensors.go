package main

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// sensor is a number in a file of its own, as sysfs has them, or a constant.
type sensor struct {
	path   string // "": the value is scale
	metric *sdk.Metric
	scale  float64 // the value is number × scale ÷ per, rounded as node_exporter rounds it
	per    float64 // 0: 1
	labels []string
}

// sensors are found anew in every slowEvery-th collect, since devices rarely come and go, and read in each.
type sensors struct {
	list   []sensor
	values []float64 // NaN: could not be read
	err    error
	due    uint64 // cycle
	key    string
	took   time.Duration // to read them one after the other; 0: not known yet
}

// Some drivers let a reader wait: a chip at the end of a slow bus, or a CPU's frequency before Linux 5.18, 10 ms each. When
// the sensors took longer than slowReading together, or are read for the first time, many readers wait side by side.
const (
	slowReading = 100 * time.Millisecond
	readers     = 32
)

// sense reads the sensors that search finds. It also searches when key differs from the last collect's. A sensor that
// cannot be read, such as one of a device that sleeps, has no sample.
func (h *host) sense(out *sdk.Batch, s *sensors, key string, search func() ([]sensor, error)) error {
	if h.cycle >= s.due || key != s.key {
		s.list, s.err = search()
		s.list = once(s.list)
		s.values = make([]float64, len(s.list))
		s.due, s.key = h.cycle+slowEvery, key
	}
	if s.took > 0 && s.took < slowReading {
		s.took = s.read(&h.tree, 0, 1)
	} else {
		s.took = s.readSideBySide()
	}
	for i := range s.list {
		if v := s.values[i]; !math.IsNaN(v) {
			out.Set(s.list[i].metric, v, s.list[i].labels...)
		}
	}
	return s.err
}

// read reads every step-th sensor, and says how long that took.
func (s *sensors) read(t *tree, from, step int) time.Duration {
	start := time.Now()
	for i := from; i < len(s.list); i += step {
		x := &s.list[i]
		v, err := 1.0, error(nil)
		if x.path != "" {
			v, err = t.number(x.path)
		}
		if v *= x.scale; x.per != 0 {
			v /= x.per
		}
		if err != nil {
			v = math.NaN()
		}
		s.values[i] = v
	}
	return max(1, time.Since(start))
}

func (s *sensors) readSideBySide() (took time.Duration) {
	var times [readers]time.Duration
	var all sync.WaitGroup
	for from := range min(readers, len(s.list)) {
		all.Go(func() { times[from] = s.read(&tree{buf: make([]byte, 128)}, from, readers) })
	}
	all.Wait()
	for _, t := range times {
		took += t
	}
	return max(1, took)
}

// present keeps those of the candidates that can be read now.
func (h *host) present(list []sensor, candidates ...sensor) []sensor {
	for _, x := range candidates {
		if _, err := h.number(x.path); err == nil {
			list = append(list, x)
		}
	}
	return list
}

// once leaves out sensors that give the same series as one before them, such as two with one label.
func once(list []sensor) (unique []sensor) {
	seen := map[string]bool{}
	for _, x := range list {
		if key := fmt.Sprintf("%s%q", x.metric.Name, x.labels); !seen[key] {
			seen[key] = true
			unique = append(unique, x)
		}
	}
	return unique
}
