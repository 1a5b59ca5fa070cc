package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/plugins/internal/receiver"
)

// What clients see of the version; some decide by it what they may send.
const imitated = "1.8.10"

// ServeHTTP answers the part of InfluxDB's API, versions 1 and 2, that clients need who write.
func (s *source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Influxdb-Version", imitated)
	w.Header().Set("X-Influxdb-Build", "Magpie")
	switch r.URL.Path {
	case "/write", "/api/v2/write":
		s.serveWrite(w, r)
	case "/ping":
		w.WriteHeader(http.StatusNoContent)
	case "/health":
		reply(w, http.StatusOK, map[string]any{"name": "influxdb", "message": "ready for writes", "status": "pass", "checks": []any{}, "version": imitated})
	case "/query":
		s.serveQuery(w, r)
	default:
		refuse(w, http.StatusNotFound, "not found", "this is no InfluxDB: it takes writes, at /write and /api/v2/write")
	}
}

// serveQuery lets clients believe that a database was made: Telegraf asks for that first.
func (s *source) serveQuery(w http.ResponseWriter, r *http.Request) {
	if !s.admits(w, r) {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if fields := strings.Fields(r.FormValue("q")); len(fields) < 3 || !strings.EqualFold(fields[0]+fields[1], "CREATEDATABASE") {
		refuse(w, http.StatusBadRequest, "invalid", "this is no InfluxDB: it takes writes, and answers no query")
		return
	}
	reply(w, http.StatusOK, map[string]any{"results": []any{map[string]any{"statement_id": 0}}})
}

func (s *source) serveWrite(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed, "method not allowed", "points come by POST")
		return
	}
	if !s.admits(w, r) {
		return
	}
	q := r.URL.Query()
	unit, known := precisions[q.Get("precision")]
	if !known {
		refuse(w, http.StatusBadRequest, "invalid", fmt.Sprintf("the precision %q is not known: use ns, us, ms or s", q.Get("precision")))
		return
	}
	into := write{database: q.Get("db"), retention: q.Get("rp"), unit: unit, now: time.Now()}
	if r.URL.Path == "/api/v2/write" {
		into.database, into.retention = q.Get("bucket"), ""
	}
	if len(into.database)+len(into.retention) > 1<<10 {
		refuse(w, http.StatusBadRequest, "invalid", "the name of the database is too long")
		return
	}
	select {
	case s.slots <- struct{}{}:
	default:
		later(w, http.StatusTooManyRequests, "too many requests at the same time")
		return
	}
	err := func() error {
		defer func() { <-s.slots }()
		text, err := receiver.Body(r, int64(s.cfg.MaxRequestSize))
		if err != nil {
			return err
		}
		return s.take(into, text)
	}()
	s.answer(w, err)
}

// answer tells a client how its write went.
func (s *source) answer(w http.ResponseWriter, err error) {
	var partly *refusal
	var bad *receiver.Refusal
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.As(err, &partly):
		refuse(w, http.StatusBadRequest, "invalid", err.Error())
	case errors.As(err, &bad):
		code := "invalid"
		if bad.Status == http.StatusRequestEntityTooLarge {
			code = "request too large"
		}
		refuse(w, bad.Status, code, err.Error())
	default:
		later(w, http.StatusServiceUnavailable, err.Error())
	}
}

// errUnsure is the answer where points were taken and their durability is not known: the client is to send them again.
var errUnsure = errors.New("the daemon did not confirm in time that the points are durable")

// take hands points on and waits until they are durable, also where some lines were refused.
func (s *source) take(into write, text []byte) error {
	s.mu.Lock()
	stream := s.stream
	s.mu.Unlock()
	// a request that was begun is ended, even if the stream ends or the client goes away
	ctx, cancel := context.WithTimeout(context.WithoutCancel(stream), flushTimeout)
	defer cancel()
	err := s.in.take(ctx, into, text)
	var partly *refusal
	if err != nil && !errors.As(err, &partly) {
		return err
	}
	if s.in.out.Flush(ctx) != nil {
		return errUnsure
	}
	return err
}

// refuse answers with what both versions of the API read: error, and code with message.
func refuse(w http.ResponseWriter, status int, code, why string) {
	header := strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, why)
	w.Header().Set("X-Influxdb-Error", header[:min(len(header), 500)])
	reply(w, status, map[string]any{"error": why, "code": code, "message": why})
}

// later answers that there is no room now.
func later(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Retry-After", strconv.Itoa(int(retryPause.Seconds())))
	refuse(w, status, "unavailable", why)
}

func reply(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(text, '\n'))
}
