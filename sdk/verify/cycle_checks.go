package verify

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"
)

// cycleChecks open and close a component a hundred times, or as often as cycleTime allows, and look at what is left.
var cycleChecks = []check{
	{"leak/resources", "100 times opened and closed, it holds no more than at first",
		"what open opens, starts and allocates, Close ends: files, connections (http.Client.CloseIdleConnections), timers, temporary files, threads", leaks},
	{"leak/goroutines", "100 times opened and closed, no goroutine is left",
		"end every goroutine that open starts when Close is called: give it a context, and wait for it", leakedGoroutines},
}

const (
	cycles    = 100
	cycleTime = 4 * time.Second
	fewest    = 10
)

// cycle opens and closes, and says how often; between them the component may be kept busy.
func (s *session) cycle(n int, budget time.Duration, busy func(*component) func()) (done int, err error) {
	for end := time.Now().Add(budget); done < n; done++ {
		if done >= fewest && time.Now().After(end) {
			break
		}
		c, err := s.open()
		if err != nil {
			return done, fmt.Errorf("opened and closed %d times, it does not open again: %w", done, err)
		}
		if busy != nil {
			busy(c)()
		}
		if _, _, err := s.close(c.number, s.patient(3*time.Second)); err != nil {
			return done, fmt.Errorf("the %dth Close: %w", done+1, err)
		}
	}
	return done, nil
}

// memoryPerCycle is what a component may leave behind, and memoryFree what a runtime may take for itself.
const (
	memoryPerCycle = 64 << 10
	memoryFree     = 24 << 20
)

func leaks(s *session) error {
	if _, err := s.cycle(10, time.Second, nil); err != nil {
		return err
	}
	before, err := holdingOf(s.process.Pid, s.dir)
	if err != nil {
		return err
	}
	n, err := s.cycle(cycles, cycleTime, nil)
	if err != nil {
		return err
	}
	var wrong string
	_, err = s.eventually(2*time.Second, func() (bool, error) { // what was closed may take a moment to go
		after, err := holdingOf(s.process.Pid, s.dir)
		if err != nil {
			return false, err
		}
		wrong = ""
		for _, x := range []struct {
			what          string
			before, after int
		}{
			{"file descriptors", before.fds, after.fds}, {"threads", before.threads, after.threads}, {"temporary files", before.files, after.files},
		} {
			if x.after-x.before >= n/2 {
				wrong = fmt.Sprintf("after %d times it has %d %s, and had %d", n, x.after, x.what, x.before)
			}
		}
		if grown := int64(after.memory) - int64(before.memory); grown > memoryFree && grown > int64(n)*memoryPerCycle {
			wrong = fmt.Sprintf("after %d times it has %d KiB of memory of its own, and had %d", n, after.memory>>10, before.memory>>10)
		}
		return wrong == "", nil
	})
	if err == nil && wrong != "" {
		err = errors.New(wrong)
	}
	if err == nil && n < cycles {
		err = remark("%d times, in %s", n, cycleTime)
	}
	return err
}

// leakedGoroutines has a Go program print all its goroutines, and looks for one that is there as often as it was opened.
func leakedGoroutines(s *session) error {
	if !strings.HasPrefix(s.desc.Sdk, "go ") {
		return skip("it is not written in Go")
	}
	s.drop() // no goroutines of other checks
	if err := s.fresh(); err != nil {
		return err
	}
	n, err := s.cycle(50, time.Second, s.poke)
	if err != nil {
		return err
	}
	s.settle()
	s.rec.mu.Lock()
	s.rec.dumping = true
	s.rec.mu.Unlock()
	s.killed = true
	if err := syscall.Kill(s.process.Pid, syscall.SIGQUIT); err != nil {
		return err
	}
	select {
	case <-s.process.Exited():
	case <-time.After(s.patient(5 * time.Second)):
		return skip("it does not print its goroutines on SIGQUIT")
	}
	s.rec.mu.Lock()
	defer s.rec.mu.Unlock()
	number, where := commonest(s.rec.dump)
	if number >= n/2 {
		return fmt.Errorf("opened and closed %d times, %d goroutines are left that %s", n, number, where)
	}
	return nil
}

// commonest finds where the most goroutines of a dump stand that have begun at the same place.
func commonest(dump []string) (most int, where string) {
	count := map[string]int{}
	stands := ""
	for i, line := range dump {
		by, created := strings.CutPrefix(line, "created by ")
		switch {
		case strings.HasPrefix(line, "goroutine "):
			stands = ""
		case created && i+1 < len(dump):
			by, _, _ = strings.Cut(by, " in goroutine")
			at, _, _ := strings.Cut(strings.TrimSpace(dump[i+1]), " +0x")
			text := fmt.Sprintf("%s began at %s", by, at)
			if stands != "" {
				text += ", and that stand in " + stands
			}
			if count[by]++; count[by] > most {
				most, where = count[by], text
			}
		case stands == "" && strings.Contains(line, "main."):
			stands, _, _ = strings.Cut(line, "(0x")
		}
	}
	return most, where
}
