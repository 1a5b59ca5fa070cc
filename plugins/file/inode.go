package main

import (
	"os"
	"syscall"
)

// inode is what stays with a file when it is renamed.
func inode(info os.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Ino
	}
	return 0
}
