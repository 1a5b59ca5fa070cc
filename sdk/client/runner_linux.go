package client

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// processAttributes give the plugin a group of its own and have the kernel kill it when the daemon dies.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

func peerPid(conn *net.UnixConn) (pid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	e := raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	if e != nil {
		return 0, e
	}
	return pid, err
}

// identify says which file this is, in which state, and since when: the kernel's own time of the last change, which nobody
// can set back.
func identify(info os.FileInfo) (identity string, changed time.Time) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		changed = time.Unix(st.Ctim.Unix())
		return fmt.Sprintf("%d:%d %d %d", st.Dev, st.Ino, st.Size, changed.UnixNano()), changed
	}
	return fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano()), info.ModTime()
}
