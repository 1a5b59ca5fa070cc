package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/magpie-monitoring/magpie/sdk"
)

// directory looks at the data directory of the member on this machine, where data_dir names it: what keeps etcd from starting
// (failed to list data directory, cannot access data directory).
func (x *exam) directory(context.Context) {
	if x.DataDir == "" {
		return
	}
	d := lookAt(x.DataDir)
	x.report.Checked("data directory "+x.DataDir, d.outcome(), d.err)
	for _, w := range d.wrong {
		x.report.Find(w.finding(d.evidence))
	}
	for _, w := range d.damaged {
		f := w.finding(d.evidence)
		if m := x.onlyOneDown(); m != nil {
			f.Next = append(f.Next, x.replace(m)...)
		}
		x.report.Find(f)
	}
}

// onlyOneDown is the member that does not answer where all others do: nil if it is none, or several.
func (x *exam) onlyOneDown() (down *seen) {
	for _, m := range x.members {
		if m.status == nil {
			if down != nil {
				return nil
			}
			down = m
		}
	}
	return down
}

// place is what a data directory looks like from outside.
type place struct {
	err      error
	evidence []sdk.Evidence
	wrong    []trouble
	damaged  []trouble // files that are not to be repaired: the member is to be replaced
}

type trouble struct {
	severity      sdk.Severity
	title, text   string
	step, command string
	changes       bool
}

func (w *trouble) finding(evidence []sdk.Evidence) sdk.Finding {
	return sdk.Finding{Severity: w.severity, Title: w.title, Text: w.text, Evidence: evidence, Next: []sdk.NextStep{{Text: w.step, Command: w.command, Changes: w.changes}}}
}

func (d *place) outcome() string {
	var parts []string
	for _, e := range d.evidence {
		parts = append(parts, e.What+" "+e.Value)
	}
	return strings.Join(parts, ", ")
}

func (d *place) add(where, what, value string) {
	d.evidence = append(d.evidence, sdk.Evidence{Where: where, What: what, Value: value})
}

func lookAt(dir string) (d place) {
	info, err := os.Stat(dir)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			d.err = err
			return d
		}
		d.add(dir, "stat", err.Error())
		d.wrong = append(d.wrong, trouble{sdk.Critical, "the data directory " + dir + " is not there", "etcd would begin with an empty one, and be a stranger to its cluster: a disk that is not mounted, or another --data-dir.",
			"See what is mounted, and what the unit says", "findmnt\nsystemctl cat etcd", false})
		return d
	}
	stat, _ := info.Sys().(*syscall.Stat_t)
	owner := "?"
	if stat != nil {
		owner = userName(stat.Uid)
	}
	d.add(dir, "owner and mode", owner+" "+info.Mode().String())
	d.disk(dir)
	if !info.IsDir() {
		d.wrong = append(d.wrong, trouble{sdk.Critical, dir + " is no directory", "", "See what it is", "ls -ld " + quoted(dir), false})
		return d
	}
	if mode := info.Mode().Perm(); mode&0o700 != 0o700 {
		d.wrong = append(d.wrong, trouble{sdk.Critical, fmt.Sprintf("the owner %s may not use the data directory %s: its mode is %04o", owner, dir, mode),
			"etcd says: cannot access data directory, or failed to list data directory.", "Give the owner all rights and others none, as etcd wants it", "chmod 700 " + quoted(dir), true})
	}
	if stat == nil {
		return d
	}
	for _, name := range []string{"member", "member/wal", "member/snap", "member/snap/db"} {
		path := filepath.Join(dir, name)
		in, err := os.Stat(path)
		if err != nil {
			d.add(path, "stat", err.Error())
			continue
		}
		own, ok := in.Sys().(*syscall.Stat_t)
		if ok && own.Uid != stat.Uid {
			d.add(path, "owner", userName(own.Uid))
			d.wrong = append(d.wrong, trouble{sdk.Critical, fmt.Sprintf("%s belongs to %s, and the data directory to %s", path, userName(own.Uid), owner),
				"etcd runs as one of them and may not write what is the other's: often after a restore as root.", "Give all of it to the user that etcd runs as", "chown -R " + quoted(owner) + " " + quoted(dir), true})
			return d
		}
		want := fs.FileMode(0o600)
		if in.IsDir() {
			want = 0o700
		}
		if in.Mode().Perm()&want != want {
			d.wrong = append(d.wrong, trouble{sdk.Critical, fmt.Sprintf("the owner %s may not use %s: its mode is %04o", owner, path, in.Mode().Perm()),
				"etcd cannot open what it must write.", "Give the owner its rights back", fmt.Sprintf("chmod u+rwX %s", quoted(path)), true})
		}
	}
	d.files(dir)
	return d
}

// disk looks at the file system that the directory is on.
func (d *place) disk(dir string) {
	var fsys syscall.Statfs_t
	if err := syscall.Statfs(dir, &fsys); err != nil {
		d.add(dir, "statfs", err.Error())
		return
	}
	const readOnly = 1 // ST_RDONLY
	mount := "read and write"
	if fsys.Flags&readOnly != 0 {
		mount = "read only"
		d.wrong = append(d.wrong, trouble{sdk.Critical, "the file system of " + dir + " is mounted read only", "The kernel does that after errors of the disk; etcd cannot write its log and stops.",
			"See what the kernel said of the disk before anything is mounted again", "dmesg -T | tail -50\nfindmnt -T " + quoted(dir), false})
	}
	free := float64(fsys.Bavail) * float64(fsys.Bsize)
	d.add(dir, "mounted", mount)
	d.add(dir, "space left", size(free))
	if free < 64<<20 { // etcd keeps a log file of 64 MiB in advance
		d.wrong = append(d.wrong, trouble{sdk.Critical, fmt.Sprintf("the file system of %s has only %s left", dir, size(free)), "etcd makes log files of 64 MiB in advance; without room for the next it stops.",
			"See what takes the space", "du -xh --max-depth=2 " + quoted(dir) + " | sort -h | tail", false})
	}
	if fsys.Files == 0 {
		return // a file system without a number of inodes
	}
	d.add(dir, "inodes left", fmt.Sprint(fsys.Ffree))
	if fsys.Ffree < 100 {
		d.wrong = append(d.wrong, trouble{sdk.Critical, fmt.Sprintf("the file system of %s has only %d inodes left", dir, fsys.Ffree), "etcd cannot make its next log file.",
			"See where the many files are", "du -x --inodes --max-depth=3 $(findmnt -no TARGET -T " + quoted(dir) + ") | sort -n | tail", false})
	}
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}
