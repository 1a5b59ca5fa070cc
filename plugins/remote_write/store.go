package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

// store is an open store: a sink that answers queries from where it writes to.
type store struct {
	*writer
	cfg     *StoreConfig
	base    *url.URL // of the HTTP API
	queries *http.Client
	proxy   httputil.ReverseProxy
}

func openStore(_ context.Context, cfg *StoreConfig, host sdk.Host) (*store, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, sdk.At(&cfg.URL, err)
	}
	base.Path, base.RawPath = strings.TrimSuffix(base.Path, "/")+"/api/v1", ""
	w, err := newWriter(cmp.Or(cfg.WriteURL, base.JoinPath("write").String()), &cfg.Sending, host)
	if err != nil {
		return nil, err
	}
	s := &store{writer: w, cfg: cfg, base: base}
	if s.queries, err = cfg.Client(cfg.QueryTimeout, 4); err != nil {
		return nil, err
	}
	s.proxy = httputil.ReverseProxy{
		Transport: s.queries.Transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			path, raw := p.In.URL.Path, p.In.URL.RawPath
			p.SetURL(base)
			p.Out.URL.Path, p.Out.URL.RawPath = base.Path+path, ""
			if raw != "" {
				p.Out.URL.RawPath = base.EscapedPath() + raw
			}
			p.Out.Host = base.Host
			p.Out.Header.Del("Authorization") // the store has credentials of its own
			p.Out.Header.Del("Cookie")
		},
		ModifyResponse: func(answer *http.Response) error {
			answer.Header.Del("Set-Cookie")
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			answerError(w, http.StatusServiceUnavailable, "unavailable", fmt.Sprintf("%s does not answer: %v", cfg.URL, err))
		},
	}
	return s, nil
}

// routes are what of the remote's HTTP API is passed on: what reads, and nothing that changes or tells of its machine.
var routes = []string{"/query", "/query_range", "/query_exemplars", "/format_query", "/parse_query", "/series", "/labels", "/metadata", "/read", "/status/tsdb"}

// ServeHTTP passes requests on to the remote's HTTP API, under /api/v1 and without that prefix.
func (s *store) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	req = withoutPrefix(req)
	known := slices.Contains(routes, req.URL.Path)
	if name, ok := strings.CutPrefix(req.URL.EscapedPath(), "/label/"); ok {
		name, ok = strings.CutSuffix(name, "/values")
		known = ok && name != "" && name != "." && name != ".." && !strings.Contains(name, "/")
	}
	switch {
	case !known:
		answerError(w, http.StatusNotFound, "not_found", "the store does not pass on "+req.URL.Path)
	case req.Method != http.MethodGet && req.Method != http.MethodPost && req.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD, POST")
		answerError(w, http.StatusMethodNotAllowed, "bad_data", "only GET and POST ask")
	default:
		ctx, cancel := context.WithTimeout(req.Context(), s.cfg.QueryTimeout)
		defer cancel()
		s.proxy.ServeHTTP(w, req.WithContext(ctx))
	}
}

// answerError answers as Prometheus does.
func answerError(w http.ResponseWriter, code int, kind, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(map[string]string{"status": "error", "errorType": kind, "error": text})
}

// Close ends the idle connections.
func (s *store) Close(ctx context.Context) error {
	s.queries.CloseIdleConnections()
	return s.writer.Close(ctx)
}

// withoutPrefix takes /api/v1 off the path.
func withoutPrefix(r *http.Request) *http.Request {
	u := *r.URL
	u.Path, u.RawPath = strings.TrimPrefix(u.Path, "/api/v1"), strings.TrimPrefix(u.RawPath, "/api/v1")
	r = r.Clone(r.Context())
	r.URL = &u
	return r
}

var (
	_ sdk.Storer    = (*store)(nil)
	_ sdk.Forgetter = (*store)(nil)
	_ sdk.Closer    = (*store)(nil)
	_ sdk.Healther  = (*store)(nil)
	_ http.Handler  = (*store)(nil)
	_ sdk.Validator = (*StoreConfig)(nil)
)
