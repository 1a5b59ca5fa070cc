package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// TestWhatKeepsAMemberFromStartingIsSeenInItsDirectory damages the files of a member that is stopped, as disks and people do.
func TestWhatKeepsAMemberFromStartingIsSeenInItsDirectory(t *testing.T) {
	t.Parallel()
	c := start(t, 3, nil)
	dir := c.configs[2].Dir
	if _, err := c.client(2, "", "").Put(within(t), "key", "a value of the log"); err != nil {
		t.Fatal(err)
	}
	asked := plugintest.Config{"data_dir": dir, "compare_hashes": false}
	if said := checked(c.diagnose(t, asked), "data directory "+dir); !strings.Contains(said, "in use yes") {
		t.Errorf("of a member that runs: %s", said)
	}
	c.stop(2)
	down := "member m2 (" + c.host(2) + ") does not answer"
	d := c.diagnose(t, asked)
	others(t, d, sdk.Warning, down)
	if said := checked(d, "data directory "+dir); !strings.Contains(said, "in use no") {
		t.Errorf("of a member that does not run: %s", said)
	}

	logs, _ := filepath.Glob(filepath.Join(dir, "member/wal/*.wal"))
	for _, damage := range []struct {
		file, finding string
		change        func([]byte) []byte
	}{
		{filepath.Join(dir, "member/snap/db"), "is damaged: invalid database, it does not begin as one", func(b []byte) []byte { clear(b[:2*os.Getpagesize()]); return b }},
		{filepath.Join(dir, "member/snap/db"), "is damaged: checksum error in its first pages", func(b []byte) []byte { b[60] ^= 1; b[os.Getpagesize()+60] ^= 1; return b }},
		{filepath.Join(dir, "member/snap/db"), "is damaged: it is too short to be one", func(b []byte) []byte { return b[:10] }},
		{logs[0], "is damaged: crc mismatch in the record at byte ", func(b []byte) []byte { b[bytes.Index(b, []byte("value of the log"))] ^= 1; return b }},
		{logs[0], "is damaged: the record at byte 0 is longer than the file", func(b []byte) []byte { b[6] = 1; return b }},
	} {
		before, err := os.ReadFile(damage.file)
		if err != nil {
			t.Fatal(err)
		}
		write(t, damage.file, damage.change(slices.Clone(before)))
		d := c.diagnose(t, asked)
		kind := map[bool]string{true: "the database ", false: "the log "}[strings.HasSuffix(damage.file, "db")]
		f := finding(t, d, sdk.Critical, kind+damage.file+" "+damage.finding)
		says(t, f, dir+": in use: no", "dmesg", "member remove "+hex(c.id2(t)), "move its data directory away")
		others(t, d, sdk.Warning, down, f.Title)
		write(t, damage.file, before)
	}

	// One of the two heads of a database is enough, and so is a log whose last entry a crash has torn.
	db, _ := os.ReadFile(filepath.Join(dir, "member/snap/db"))
	clear(db[:64])
	write(t, filepath.Join(dir, "member/snap/db"), db)
	others(t, c.diagnose(t, asked), sdk.Warning, down)

	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700)
	d = c.diagnose(t, asked)
	f := finding(t, d, sdk.Critical, "the owner ")
	says(t, f, "chmod 700 "+dir)
	others(t, d, sdk.Warning, down, f.Title)
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// id2 is the id of the third member, as the others know it.
func (c *cluster) id2(t *testing.T) uint64 {
	r, err := c.client(0, "", "").MemberList(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range r.Members {
		if m.Name == "m2" {
			return m.ID
		}
	}
	return 0
}

func TestATornEntryAtTheEndOfALogIsNoDamage(t *testing.T) {
	t.Parallel()
	log, err := os.ReadFile("testdata/three-entries.wal")
	if err != nil {
		t.Fatal(err)
	}
	if err := lookAtLog(bytes.NewReader(log), int64(len(log))); err != nil {
		t.Fatal(err)
	}
	for n := range log { // cut off anywhere
		if err := lookAtLog(bytes.NewReader(log[:n]), int64(len(log))); err != nil {
			t.Errorf("cut off after %d bytes: %v", n, err)
		}
	}
	last := slices.Clone(log)
	clear(last[512:1024]) // a sector of the last entry is not written
	if err := lookAtLog(bytes.NewReader(last), int64(len(last))); err != nil {
		t.Errorf("torn: %v", err)
	}
}

func FuzzLog(f *testing.F) {
	log, err := os.ReadFile("testdata/three-entries.wal")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(log)
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0x84, 8, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		lookAtLog(bytes.NewReader(b), int64(len(b)))
	})
}
