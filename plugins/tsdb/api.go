package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/promql"
)

// front is what answers from an open database. A changed configuration makes another one over the same database.
type front struct {
	db          *database
	limits      QueryLimits
	engine      *promql.Engine
	engineSlots slots                // queries that run
	routes      func() *route.Router // made at the first request: web/api/v1 writes its OpenAPI pages first, 0.2 s of CPU
	lists       slots                // requests other than queries that run
}

func newFront(db *database, cfg *Config, known *families, log *slog.Logger) (*front, error) {
	limits, err := cfg.limits()
	if err != nil {
		return nil, err
	}
	f := &front{db: db, limits: limits, engineSlots: make(slots, limits.MaxConcurrent), lists: make(slots, limits.MaxConcurrent)}
	f.engine = promql.NewEngine(promql.EngineOpts{
		Logger: log, MaxSamples: limits.MaxSamples, Timeout: limits.Timeout, LookbackDelta: limits.Lookback,
		ActiveQueryTracker: f.engineSlots, EnableAtModifier: true, EnableNegativeOffset: true,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() }, // Prometheus' default evaluation interval
		Parser:                   promqlParser, FeatureRegistry: db.features,
	})
	f.routes = sync.OnceValue(func() *route.Router {
		r := route.New()
		newAPI(f, cfg, known, log).Register(r)
		return r
	})
	return f, nil
}

const (
	maxBody  = 4 << 20          // bytes of a request
	maxRead  = 32 << 20         // bytes of a remote read request
	patience = 10 * time.Second // beyond the query's timeout, for a client to take the answer
)

// ServeHTTP serves Prometheus' API, under /api/v1 and without that prefix.
func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer s.recovered(w)
	f, err := s.enter()
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, "unavailable", err)
		return
	}
	defer s.gate.RUnlock()
	ctx, cancel := f.db.during(r.Context(), f.limits.Timeout)
	defer cancel()
	// A client that does not take its answer would keep the database open.
	slow := http.NewResponseController(w)
	slow.SetWriteDeadline(time.Now().Add(f.limits.Timeout + patience))
	defer slow.SetWriteDeadline(time.Time{})
	defer context.AfterFunc(f.db.closing, func() { slow.SetWriteDeadline(time.Now()) })()
	f.serve(w, withoutPrefix(r.WithContext(ctx)))
}

// withoutPrefix takes /api/v1 off the path.
func withoutPrefix(r *http.Request) *http.Request {
	u := *r.URL
	for _, path := range []*string{&u.Path, &u.RawPath} {
		if rest, ok := strings.CutPrefix(*path, "/api/v1/"); ok {
			*path = "/" + rest
		}
	}
	r.URL = &u
	return r
}

func (f *front) serve(w http.ResponseWriter, r *http.Request) {
	if code, err := f.admit(w, r); err != nil {
		refuse(w, code, "bad_data", err)
		return
	}
	switch r.URL.Path {
	case "/query", "/query_range": // these wait for their turn in the engine
	default:
		if _, err := f.lists.Insert(r.Context(), ""); err != nil {
			refuse(w, http.StatusServiceUnavailable, "timeout", err)
			return
		}
		defer f.lists.Delete(0)
	}
	switch r.URL.Path {
	case "/metadata", "/targets/metadata":
		r = r.WithContext(context.WithValue(r.Context(), wantsFamilies{}, true))
	}
	f.routes().ServeHTTP(w, r)
}

// admit bounds what a request may ask.
func (f *front) admit(w http.ResponseWriter, r *http.Request) (code int, err error) {
	if r.URL.Path == "/read" {
		r.Body = http.MaxBytesReader(w, r.Body, maxRead)
		return 0, nil
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err = r.ParseForm(); err == nil {
		if err = r.ParseMultipartForm(maxBody); errors.Is(err, http.ErrNotMultipart) {
			err = nil
		}
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return http.StatusRequestEntityTooLarge, fmt.Errorf("the request is larger than %d MiB", maxBody>>20)
	case err != nil:
		return http.StatusBadRequest, fmt.Errorf("the parameters cannot be read: %w", err)
	}
	for _, name := range []string{"query", "match[]", "match_target"} {
		for _, expr := range r.Form[name] {
			if err := bounded(expr); err != nil {
				return http.StatusBadRequest, fmt.Errorf("invalid parameter %q: %w", name, err)
			}
		}
	}
	switch path := r.URL.Path; {
	case path == "/series", path == "/labels", strings.HasPrefix(path, "/label/"):
		if limit, err := strconv.Atoi(r.Form.Get("limit")); r.Form.Get("limit") == "" || err == nil && (limit == 0 || limit > f.limits.MaxSeries) {
			r.Form.Set("limit", strconv.Itoa(f.limits.MaxSeries))
		}
	}
	return 0, nil
}

// refuse answers as web/api/v1 does.
func refuse(w http.ResponseWriter, code int, kind string, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(map[string]string{"status": "error", "errorType": kind, "error": err.Error()})
}

// recovered answers for a handler that panicked. What the engine panics with it recovers itself.
func (s *store) recovered(w http.ResponseWriter) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	s.host.Log().Error(fmt.Sprintf("panic in the HTTP API: %v", v), "stack", string(debug.Stack()))
	refuse(w, http.StatusInternalServerError, "internal", fmt.Errorf("panic: %v", v))
}
