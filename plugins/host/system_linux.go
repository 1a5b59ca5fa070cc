package main

import "golang.org/x/sys/unix"

func statfs(path string) (usage, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return usage{}, err
	}
	block := float64(s.Bsize)
	return usage{float64(s.Blocks) * block, float64(s.Bfree) * block, float64(s.Bavail) * block, float64(s.Files), float64(s.Ffree)}, nil
}

func uname() (u [6]string, err error) {
	var s unix.Utsname
	if err := unix.Uname(&s); err != nil {
		return u, err
	}
	for i, field := range [][65]byte{s.Sysname, s.Release, s.Version, s.Machine, s.Nodename, s.Domainname} {
		u[i] = label([]byte(unix.ByteSliceToString(field[:])))
	}
	return u, nil
}

// adjtimex reads the kernel's clock discipline; the units are those of NOTES in adjtimex(2).
func adjtimex() (clockState, error) {
	const (
		timeError = 5 // the clock is not synchronized
		staNano   = 0x2000
		micro     = 1e6
		ppm       = 1e6 * 65536 // parts per million with 16 bits behind the point
	)
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return clockState{}, err
	}
	fraction := micro
	if t.Status&staNano != 0 {
		fraction = 1e9
	}
	return clockState{
		truth(state != timeError), float64(t.Offset) / fraction, 1 + float64(t.Freq)/ppm, float64(t.Maxerror) / micro,
		float64(t.Esterror) / micro, float64(t.Status), float64(t.Constant), float64(t.Tick) / micro, float64(t.Ppsfreq) / ppm,
		float64(t.Jitter) / fraction, float64(t.Shift), float64(t.Stabil) / ppm, float64(t.Jitcnt), float64(t.Calcnt),
		float64(t.Errcnt), float64(t.Stbcnt), float64(t.Tai),
	}, nil
}
