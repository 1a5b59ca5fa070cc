package verify

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// target is the server that an example can name: it takes everything, or fails as a check wants.
type target struct {
	server *http.Server
	addr   string
	plain  net.Listener // for protocols that the kit does not speak: it reads each connection to its end, and closes it

	mu    sync.Mutex
	asked int
	kept  int           // requests that wait for their answer
	code  int           // 0: 200
	hang  chan struct{} // closed to let go; nil: it answers
}

func newTarget() (*target, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &target{addr: l.Addr().String()}
	if t.plain, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		l.Close()
		return nil, err
	}
	go t.swallow()
	t.server = &http.Server{Handler: t, ReadHeaderTimeout: 10 * time.Second}
	go t.server.Serve(l)
	return t, nil
}

// swallow takes what comes to the plain listener. A connection on which something comes is a request; an error is a reset.
func (t *target) swallow() {
	for {
		conn, err := t.plain.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			in := bufio.NewReader(conn)
			if _, err := in.Peek(1); err != nil {
				return
			}
			code, hang := t.ask()
			if hang != nil {
				gone := make(chan struct{})
				go func() { io.Copy(io.Discard, in); close(gone) }() // until it is given up, or all is here
				<-hang
				<-gone
				return
			}
			if code != 0 {
				conn.(*net.TCPConn).SetLinger(0)
				return
			}
			io.Copy(io.Discard, in)
		}()
	}
}

// ask notes that something is asked, and says how to answer.
func (t *target) ask() (code int, hang chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked++
	return t.code, t.hang
}

func (t *target) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, io.LimitReader(r.Body, 64<<20))
	code, hang := t.ask()
	if hang != nil {
		t.keep(1)
		select {
		case <-hang:
		case <-r.Context().Done(): // given up
		}
		t.keep(-1)
	}
	if code != 0 {
		w.WriteHeader(code)
	}
}

func (t *target) keep(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept += n
}

// waiting is how many requests wait for their answer, and were not given up.
func (t *target) waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.kept
}

func (t *target) requests() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.asked
}

// answer makes the server answer with a status from now on; 0: as usual.
func (t *target) answer(code int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.code = code
}

// stall makes it keep every request waiting until release is called.
func (t *target) stall() (release func()) {
	gate := make(chan struct{})
	t.mu.Lock()
	t.hang = gate
	t.mu.Unlock()
	return sync.OnceFunc(func() {
		t.mu.Lock()
		t.hang = nil
		t.mu.Unlock()
		close(gate)
	})
}

func (t *target) close() {
	t.plain.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if t.server.Shutdown(ctx) != nil {
		t.server.Close()
	}
}

// bytesIn is how much the files below some directories hold.
func bytesIn(dirs ...string) (n int64) {
	for _, dir := range dirs {
		filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil
			}
			if info, err := d.Info(); err == nil {
				n += info.Size() + 1
			}
			return nil
		})
	}
	return n
}
