package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

func TestALogIsFollowedThroughRotation(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "etcd.log")
	write := func(to string, how int, text string) {
		t.Helper()
		f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|how, 0o600)
		if err == nil {
			_, err = f.WriteString(text)
			f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	l := follow(&LogConfig{Path: path})
	defer l.close()
	lost := func(want float64, when string) {
		t.Helper()
		if err := l.read(); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		if got := l.counts[3]; got != want {
			t.Errorf("%s: %v lines, want %v", when, got, want)
		}
	}
	write(path, os.O_APPEND, "lost leader before\n")
	lost(0, "what was there before")
	write(path, os.O_APPEND, "a lost leader at term 3\nlost le")
	lost(1, "half a line")
	write(path, os.O_APPEND, "ader\n"+strings.Repeat("x", 2*maxLogLine)+"lost leader\nlost leader\n")
	lost(3, "the end of it, and a line that is too long")
	write(path, os.O_APPEND, "lost leader\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(path+".1", os.O_APPEND, "lost leader\n")
	lost(5, "renamed, and there is no other yet")
	write(path, os.O_APPEND, "lost leader\n")
	lost(6, "renamed, and there is another")
	write(path, os.O_TRUNC, "lost leader")
	lost(6, "emptied")
	write(path, os.O_APPEND, "\n")
	lost(7, "and written on")

	late := follow(&LogConfig{Path: path + ".late"})
	defer late.close()
	if err := late.read(); err == nil {
		t.Error("there is no such file, and no error")
	}
	write(path+".late", os.O_APPEND, "raft: lost leader\n")
	if err := late.read(); err != nil || late.counts[3] != 1 {
		t.Errorf("a log that comes later: %v, %v", err, late.counts)
	}
	if err := follow(&LogConfig{Path: t.TempDir()}).read(); err == nil || !strings.Contains(err.Error(), "is no file") {
		t.Errorf("a directory: %v", err)
	}
}

// A real etcd says it, whose members are processes with logs of their own.
func TestWhatAMemberLogsIsCountedAndShown(t *testing.T) {
	t.Parallel()
	onOthers(t, func(t *testing.T, binary string) { losesItsLeader(t, startOn(t, 3, binary, nil)) })
}

func losesItsLeader(t *testing.T, c *cluster) {
	// Whoever leads is killed, and one more: the last learns that it has lost its leader.
	client := c.client(0, "", "")
	r, err := client.Status(within(t), c.url(0))
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
	leader := slices.IndexFunc([]int{0, 1, 2}, func(i int) bool { return c.id(t, i) == r.Leader })
	follower := (leader + 1) % 3
	block := plugintest.Config{"path": c.log(follower), "member": c.configs[follower].Name}
	w := watch(t, plugintest.Config{"endpoints": c.urls(), "log": block}, often)
	if got := one(t, w.Cycle(), "etcd_log_pattern_total", "pattern", "lost leader"); got != 0 {
		t.Errorf("%v lines of what was before", got)
	}
	c.kill(leader)
	c.kill((leader + 2) % 3)
	for one(t, w.Cycle(), "etcd_log_pattern_total", "pattern", "lost leader") == 0 {
		if t.Context().Err() != nil {
			t.Fatal("the log has no line of it")
		}
	}
	f := finding(t, c.diagnose(t, plugintest.Config{"log": block, "compare_hashes": false}), sdk.Info, "the log of "+c.configs[follower].Name+` says "lost leader"`)
	if !strings.Contains(f.Evidence[0].Value, "lost leader") {
		t.Errorf("%+v", f.Evidence)
	}
}
