package plugintest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"time"
)

// endless is where what has no end ends, for plugins that read to there.
const endless = 256 << 20

// bomb is 16 MiB of zeros as gzip has them; members of gzip may follow each other.
var bomb = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(make([]byte, 16<<20))
	z.Close()
	return b.Bytes()
})

// Faults are what may be wrong with a server, or on the way to it, by name: from status 500 through bodies that are cut, hang, drip
// or have no end to the page of a hotel's network. h gives the right answers, of which some faults send a part. None of them may
// make a component panic, wait for longer than its timeout, which is over at once in a bubble, or take more memory than it bounds; for most it
// is to blame the target.
//
//	for name, faulty := range plugintest.Faults(page) {
//		c := plugintest.Open(t, capability, plugintest.Config{"url": plugintest.Serve(t, faulty).URL})
//		if up := c.Cycle().Find("up"); up[0].Value != 0 {
//			t.Errorf("with %s it is up", name)
//		}
//	}
func Faults(h http.Handler) iter.Seq2[string, http.Handler] {
	return func(yield func(string, http.Handler) bool) {
		for _, f := range faults {
			faulty := func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(io.LimitReader(r.Body, endless)) // a server sees that its client has gone when it has read all
				r.Body = io.NopCloser(bytes.NewReader(body))
				f.answer(w, r, h)
			}
			if !yield(f.name, http.HandlerFunc(faulty)) {
				return
			}
		}
	}
}

// right is the answer that a handler gives.
func right(h http.Handler, r *http.Request) (http.Header, []byte) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Header(), w.Body.Bytes()
}

// answers with a status, and with the right body all the same.
func status(code int, header ...string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, h http.Handler) {
		_, body := right(h, r)
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		w.Write(body)
	}
}

// begin writes the header of the right answer with a length, and a part of its body.
func begin(w http.ResponseWriter, r *http.Request, h http.Handler, length int) (rest []byte) {
	header, body := right(h, r)
	for name, values := range header {
		w.Header()[name] = values
	}
	w.Header().Del("Content-Length")
	if length > 0 {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)+length))
	}
	w.WriteHeader(http.StatusOK)
	w.Write(body[:len(body)/2])
	http.NewResponseController(w).Flush()
	return body[len(body)/2:]
}

// raw writes bytes in the place of an answer.
func raw(w http.ResponseWriter, text string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer conn.Close()
	conn.Write([]byte(text))
}

var faults = []struct {
	name   string
	answer func(w http.ResponseWriter, r *http.Request, h http.Handler)
}{
	{"status 500", status(500)},
	{"status 429", status(429, "Retry-After", "3600")},
	{"status 503 and another day", status(503, "Retry-After", "99999999999999999999")},
	{"status 404", status(404)},
	{"redirect in a circle", func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(w, r, "/?"+strconv.Itoa(rand.Int()), http.StatusTemporaryRedirect)
	}},
	{"no answer", func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() }},
	{"connection cut", func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }},
	{"no HTTP", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { raw(w, "SSH-2.0-OpenSSH_9.2p1\r\n") }},
	{"endless header", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		raw(w, "HTTP/1.1 200 OK\r\nX: "+string(bytes.Repeat([]byte("x"), 20<<20)))
	}},
	{"body cut", func(w http.ResponseWriter, r *http.Request, h http.Handler) {
		begin(w, r, h, 0)
		panic(http.ErrAbortHandler)
	}},
	{"body hangs", func(w http.ResponseWriter, r *http.Request, h http.Handler) {
		begin(w, r, h, 0)
		<-r.Context().Done()
	}},
	{"body drips", func(w http.ResponseWriter, r *http.Request, h http.Handler) {
		begin(w, r, h, 0)
		for range 24 * 60 * 60 {
			select {
			case <-time.After(time.Second):
			case <-r.Context().Done():
				return
			}
			if _, err := w.Write([]byte("\n")); err != nil {
				return
			}
			http.NewResponseController(w).Flush()
		}
	}},
	{"body is longer than it says", func(w http.ResponseWriter, r *http.Request, h http.Handler) {
		_, body := right(h, r)
		raw(w, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n%s", body))
	}},
	{"body is shorter than it says", func(w http.ResponseWriter, r *http.Request, h http.Handler) { w.Write(begin(w, r, h, 100)) }},
	{"endless body", func(w http.ResponseWriter, r *http.Request, h http.Handler) {
		w.Write(begin(w, r, h, 0))
		line := bytes.Repeat([]byte("x"), 64<<10)
		for n := 0; n < endless && r.Context().Err() == nil; n += len(line) {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	}},
	{"garbage", func(w http.ResponseWriter, r *http.Request, h http.Handler) {
		header, body := right(h, r)
		for name, values := range header {
			w.Header()[name] = values
		}
		random := rand.NewChaCha8([32]byte{})
		garbage := make([]byte, max(1000, len(body)))
		random.Read(garbage)
		w.Write(garbage)
	}},
	{"page of a portal", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!doctype html>\n<html><head><title>Sign in</title></head><body>Please <a href=\"/login\">sign in</a>.</body></html>\n")
	}},
	{"no gzip", func(w http.ResponseWriter, r *http.Request, h http.Handler) {
		_, body := right(h, r)
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(body)
	}},
	{"gzip bomb", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Encoding", "gzip")
		for range endless >> 24 {
			if _, err := w.Write(bomb()); err != nil {
				return
			}
		}
	}},
}
