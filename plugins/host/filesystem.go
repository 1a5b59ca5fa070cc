package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

var (
	fsLabels      = []string{"device", "mountpoint", "fstype", "device_error"}
	fsSize        = sdk.Gauge("node_filesystem_size_bytes", "Filesystem size in bytes.", fsLabels...)
	fsFree        = sdk.Gauge("node_filesystem_free_bytes", "Filesystem free space in bytes.", fsLabels...)
	fsAvail       = sdk.Gauge("node_filesystem_avail_bytes", "Filesystem space available to non-root users in bytes.", fsLabels...)
	fsFiles       = sdk.Gauge("node_filesystem_files", "Filesystem total file nodes.", fsLabels...)
	fsFilesFree   = sdk.Gauge("node_filesystem_files_free", "Filesystem total free file nodes.", fsLabels...)
	fsReadonly    = sdk.Gauge("node_filesystem_readonly", "Filesystem read-only status.", fsLabels...)
	fsDeviceError = sdk.Gauge("node_filesystem_device_error", "Whether an error occurred while getting statistics for the given device.", fsLabels...)
	fsMountInfo   = sdk.Gauge("node_filesystem_mount_info", "Filesystem mount information.", "device", "major", "minor", "mountpoint")
)

// A filesystem can hang, such as NFS whose server is gone, and statfs with it, in a thread of its own that nothing can
// stop. So another goroutine goes to work whenever the others give no answer for patience, up to maxAsking in a collect,
// and a filesystem is not asked again before it has answered. While maxHanging do not answer, only those are asked that
// did the last time. So never more goroutines wait than there are mounts.
const (
	patience   = 50 * time.Millisecond
	maxAsking  = 16
	maxHanging = 64
)

// errHangs is node_exporter's label device_error for a filesystem that does not answer.
var errHangs = errors.New("mountpoint timeout")

// filesystem is the collector of that name.
func (h *host) filesystem(ctx context.Context, out *sdk.Batch) error {
	list, err := h.mountList()
	if err != nil {
		return err
	}
	wait := h.cfg.MountTimeout
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline)/2)
	}
	answers := h.mounts.calls.ask(ctx, h.mounts.paths, wait, h.statfs)
	for i := range list {
		m := &list[i]
		a := answers[m.path]
		problem := ""
		if a.err != nil {
			problem = a.err.Error()
		}
		out.Set(fsDeviceError, truth(a.err != nil), m.device, m.point, m.fstype, problem)
		out.Set(fsReadonly, truth(m.readonly), m.device, m.point, m.fstype, problem)
		if a.err != nil {
			continue
		}
		out.Set(fsSize, a.size, m.device, m.point, m.fstype, "")
		out.Set(fsFree, a.free, m.device, m.point, m.fstype, "")
		out.Set(fsAvail, a.avail, m.device, m.point, m.fstype, "")
		out.Set(fsFiles, a.files, m.device, m.point, m.fstype, "")
		out.Set(fsFilesFree, a.filesFree, m.device, m.point, m.fstype, "")
		out.Set(fsMountInfo, 1, m.device, m.major, m.minor, m.point)
	}
	return nil
}

// answer is what a filesystem said of itself.
type answer struct {
	usage
	err error
}

// statfsCalls knows which calls have not come back.
type statfsCalls struct {
	answered map[string]bool // by path: it did, the last time that it was asked

	mu      sync.Mutex
	pending map[string]bool // by path
}

func newStatfsCalls() *statfsCalls {
	return &statfsCalls{answered: map[string]bool{}, pending: map[string]bool{}}
}

// ask asks the filesystems at paths, for at most wait. What does not answer has errHangs.
func (c *statfsCalls) ask(ctx context.Context, paths []string, wait time.Duration, statfs func(string) (usage, error)) []answer {
	todo := make(chan int, len(paths))
	came := make(chan int, len(paths)) // takes late answers too, when nobody listens any more
	late := make([]answer, len(paths)) // each written before its number comes, and read after
	for _, i := range c.queue(paths) {
		todo <- i
	}
	close(todo)
	work := func() {
		for i := range todo {
			c.mark(paths[i], true)
			late[i].usage, late[i].err = statfs(paths[i])
			c.mark(paths[i], false)
			came <- i
		}
	}
	answers := make([]answer, len(paths))
	for i := range answers {
		answers[i].err = errHangs
	}
	if len(c.answered) > len(paths) { // some of them are not mounted any more
		clear(c.answered)
	}
	listen(ctx, wait, todo, came, work, func(i int) {
		answers[i] = late[i]
		c.answered[paths[i]] = true
	})
	for range todo { // what nobody came to: goroutines that come back late find nothing to do
	}
	return answers
}

// listen starts goroutines that work off todo, and hands on what came of it.
func listen(ctx context.Context, wait time.Duration, todo, came <-chan int, work func(), answer func(int)) {
	left, end := len(todo), time.Now().Add(wait)
	timer := time.NewTimer(min(patience, wait))
	defer timer.Stop()
	go work()
	for asking, heard := 1, false; left > 0; {
		select {
		case i := <-came:
			answer(i)
			heard = true
			left--
			continue
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		rest := time.Until(end)
		if rest <= 0 {
			return
		}
		timer.Reset(min(patience, rest))
		if !heard && asking < maxAsking && len(todo) > 0 {
			asking++
			go work()
		}
		heard = false
	}
}

// queue says which filesystems to ask: first those that answered the last time that they were asked, so that they get
// their turn however many others hang.
func (c *statfsCalls) queue(paths []string) []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var first, then []int
	for i, path := range paths {
		switch {
		case c.pending[path]:
			delete(c.answered, path)
		case c.answered[path]:
			first = append(first, i)
		case len(c.pending) < maxHanging:
			then = append(then, i)
		}
	}
	return append(first, then...)
}

func (c *statfsCalls) mark(path string, pending bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if pending {
		c.pending[path] = true
	} else {
		delete(c.pending, path)
	}
}
