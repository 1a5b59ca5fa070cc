package main

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// birth is when a file was made; where the file system does not say, when it was last written.
func birth(f file, info os.FileInfo) time.Time {
	if info.Size() == 0 {
		return time.Now()
	}
	var stat unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &stat); err != nil || stat.Mask&unix.STATX_BTIME == 0 {
		return info.ModTime()
	}
	return time.Unix(stat.Btime.Sec, int64(stat.Btime.Nsec))
}
