package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// hanging are filesystems of which those in stuck do not answer until told to.
type hanging struct {
	stuck   map[string]chan struct{}
	calls   atomic.Int32
	waiting atomic.Int32
	most    atomic.Int32
}

func (f *hanging) statfs(path string) (usage, error) {
	f.calls.Add(1)
	if wait := f.stuck[path]; wait != nil {
		n := f.waiting.Add(1)
		f.most.Store(max(n, f.most.Load()))
		<-wait
		f.waiting.Add(-1)
	}
	if path == "/broken" {
		return usage{}, syscall.EACCES
	}
	return usage{size: 1}, nil
}

func paths(n int, format string) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf(format, i))
	}
	return list
}

// hung lists the paths that gave no answer.
func hung(list []string, answers []answer) (none []string) {
	for i, a := range answers {
		if a.err == errHangs {
			none = append(none, list[i])
		}
	}
	return none
}

func TestAFilesystemThatHangsDelaysOneCollectAndIsAskedAgainOnceItAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := make(chan struct{})
		f := &hanging{stuck: map[string]chan struct{}{"/nfs": server}}
		list := []string{"/", "/nfs", "/broken", "/home"}
		c := newStatfsCalls()
		start := time.Now()
		answers := c.ask(t.Context(), list, 5*time.Second, f.statfs)
		if got := hung(list, answers); len(got) != 1 || got[0] != "/nfs" {
			t.Errorf("%v hang", got)
		}
		if answers[0].size != 1 || !errors.Is(answers[2].err, syscall.EACCES) || answers[3].size != 1 {
			t.Errorf("the others say %+v", answers)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("the first collect waits %v", took)
		}

		start = time.Now()
		for range 10 {
			if got := hung(list, c.ask(t.Context(), list, 5*time.Second, f.statfs)); len(got) != 1 {
				t.Errorf("then %v hang", got)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("the next ten collects wait %v", took)
		}
		if f.waiting.Load() != 1 {
			t.Errorf("%d calls wait", f.waiting.Load())
		}

		close(server)
		delete(f.stuck, "/nfs")
		synctest.Wait()
		if got := hung(list, c.ask(t.Context(), list, 5*time.Second, f.statfs)); len(got) != 0 {
			t.Errorf("after the server's return %v hang", got)
		}
	})
}

func TestManyFilesystemsThatHangNeverHaveMoreCallsThanTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := make(chan struct{})
		f := &hanging{stuck: map[string]chan struct{}{}}
		list := append([]string{"/"}, paths(300, "/dead/%d")...)
		for _, path := range list[1:] {
			f.stuck[path] = dead
		}
		list = append(list, "/home")
		c := newStatfsCalls()
		if got := hung([]string{"/", "/home"}, c.ask(t.Context(), []string{"/", "/home"}, time.Second, f.statfs)); len(got) != 0 {
			t.Fatalf("%v hang", got)
		}
		for cycle := range 30 {
			start := time.Now()
			answers := c.ask(t.Context(), list, 2*time.Second, f.statfs)
			if answers[0].err != nil {
				t.Errorf("cycle %d: / does not answer: %v", cycle, answers[0].err)
			}
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("cycle %d takes %v", cycle, took)
			}
		}
		if most := f.most.Load(); most < maxHanging || most >= maxHanging+maxAsking {
			t.Errorf("%d calls wait at once", most)
		}
		if got := hung(list, c.ask(t.Context(), list, 2*time.Second, f.statfs)); len(got) != 300 {
			t.Errorf("at last %d hang", len(got))
		}
		close(dead)
		clear(f.stuck)
		synctest.Wait()
		if got := hung(list, c.ask(t.Context(), list, 2*time.Second, f.statfs)); len(got) != 0 {
			t.Errorf("after the server's return %d hang", len(got))
		}
	})
}

func TestWaitingForAFilesystemEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := make(chan struct{})
		f := &hanging{stuck: map[string]chan struct{}{"/dead": dead}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		c := newStatfsCalls()
		c.ask(ctx, []string{"/dead", "/"}, time.Minute, f.statfs)
		if took := time.Since(start); took != time.Second {
			t.Errorf("it waits %v", took)
		}
		close(dead)
		synctest.Wait()
	})
}

func TestAHangingFilesystemIsReportedAsNodeExporterDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := bare(t, func(c *Config) { c.Collect = []string{"filesystem"} })
		write(t, h.proc+"/1/mountinfo", "1 1 8:1 / / rw - ext4 /dev/a rw\n2 1 0:9 / /nfs ro - nfs4 srv:/x rw\n")
		dead := make(chan struct{})
		h.statfs = (&hanging{stuck: map[string]chan struct{}{h.root + "/nfs": dead}}).statfs
		values, err := collectOnce(t, h)
		if err != nil {
			t.Fatal(err)
		}
		for series, want := range map[string]float64{
			`node_filesystem_device_error{device="srv:/x", device_error="mountpoint timeout", fstype="nfs4", mountpoint="/nfs"}`: 1,
			`node_filesystem_readonly{device="srv:/x", device_error="mountpoint timeout", fstype="nfs4", mountpoint="/nfs"}`:     1,
			`node_filesystem_device_error{device="/dev/a", fstype="ext4", mountpoint="/"}`:                                       0,
			`node_filesystem_size_bytes{device="/dev/a", fstype="ext4", mountpoint="/"}`:                                         1,
		} {
			if got, ok := values[series]; !ok || got != want {
				t.Errorf("%s is %v, %v; should be %v", series, got, ok, want)
			}
		}
		close(dead)
		synctest.Wait()
	})
}
