package api

import (
	"fmt"
	"net"
	"syscall"
)

// userOf asks the kernel who is at the other end of a unix socket.
func userOf(c net.Conn) string {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return "its own user"
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return "its own user"
	}
	who := "its own user"
	raw.Control(func(fd uintptr) {
		if cred, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			who = fmt.Sprintf("uid %d", cred.Uid)
		}
	})
	return who
}
