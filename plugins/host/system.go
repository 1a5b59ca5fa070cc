package main

import (
	"os"
	"time"
)

// system are the system calls, which tests replace.
type system struct {
	statfs   func(path string) (usage, error)
	uname    func() ([6]string, error)                                                 // the labels of node_uname_info
	clock    func() (clockState, error)                                                // adjtimex(2)
	dump     func(buf []byte, each func(messages []byte) (done bool, err error)) error // the network devices
	now      func() time.Time
	pageSize int
}

func realSystem() system {
	return system{statfs: statfs, uname: uname, clock: adjtimex, dump: dumpLinks, now: time.Now, pageSize: os.Getpagesize()}
}

// usage is how full a filesystem is, in bytes and in files.
type usage struct{ size, free, avail, files, filesFree float64 }
