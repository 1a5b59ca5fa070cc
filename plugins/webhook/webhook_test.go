package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

var capability = sdk.Notifier(open)

// request is what a receiver got.
type request struct {
	*http.Request
	body string
}

// receiver is a real HTTP server that answers as told and keeps what it got.
func receiver(t *testing.T, answer http.HandlerFunc) (address string, got chan request) {
	t.Helper()
	got = make(chan request, 16)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- request{r, string(body)}
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, got
}

func ok(http.ResponseWriter, *http.Request) {}

func note() sdk.Notification {
	at := time.Date(2026, 5, 1, 10, 0, 0, 500_000_000, time.FixedZone("CEST", 2*60*60))
	labels := map[string]string{"alertname": "High<Load>", "instance": "a:1"}
	return sdk.Notification{
		GroupKey: `{}:{alertname="HighLoad"}`, IdempotencyKey: "abc123", Status: sdk.Firing, Receiver: "notifier.webhook.oncall",
		GroupLabels: map[string]string{"alertname": "HighLoad"}, CommonLabels: labels, ExternalURL: "http://magpie:9470",
		Alerts: []sdk.Alert{
			{Status: sdk.Firing, Labels: labels, Annotations: map[string]string{"summary": "Zu viel"}, StartsAt: at, GeneratorURL: "http://magpie:9470/graph", Fingerprint: "0123456789abcdef", Value: 7},
			{Status: sdk.Resolved, Labels: map[string]string{"alertname": "HighLoad"}, StartsAt: at, EndsAt: at.Add(time.Hour), Fingerprint: "fedcba9876543210"},
		},
		Truncated: 3,
	}
}

// send notifies once and returns the error as the daemon sees it.
func send(t *testing.T, cfg plugintest.Config) *sdk.Problem {
	t.Helper()
	c := plugintest.Open(t, capability, cfg)
	_, err := c.Notify(t.Context(), c.Number, note())
	return sdk.AsProblem(err)
}

func TestTheMessageIsAlertmanagers(t *testing.T) {
	t.Parallel()
	address, got := receiver(t, ok)
	if p := send(t, plugintest.Config{"url": address + "/hook", "token": "t0ken-word", "headers": map[string]string{"X-Team": "platform"}}); p != nil {
		t.Fatal(p)
	}
	r := <-got
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Idempotency-Key": "abc123", "Authorization": "Bearer t0ken-word", "X-Team": "platform", "User-Agent": "Magpie/0.1.0",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if r.Method != "POST" || r.URL.Path != "/hook" {
		t.Errorf("%s %s", r.Method, r.URL)
	}
	plugintest.Golden(t, "message.json", json.RawMessage(r.body))
}

func TestMoreAlertsThanAskedForAreCounted(t *testing.T) {
	t.Parallel()
	address, got := receiver(t, ok)
	if p := send(t, plugintest.Config{"url": address, "method": "PUT", "max_alerts": 1}); p != nil {
		t.Fatal(p)
	}
	r := <-got
	var m message
	if err := json.Unmarshal([]byte(r.body), &m); err != nil {
		t.Fatal(err)
	}
	if r.Method != "PUT" || len(m.Alerts) != 1 || m.TruncatedAlerts != 4 || m.Alerts[0].Fingerprint != "0123456789abcdef" {
		t.Errorf("%s %s", r.Method, r.body)
	}
}

func TestTheAnswerDecidesWhetherToTryAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code       int
		after      string
		permanent  bool
		retryAfter time.Duration
	}{
		{code: 200}, {code: 202}, {code: 204},
		{code: 400, permanent: true}, {code: 401, permanent: true}, {code: 404, permanent: true}, {code: 413, permanent: true},
		{code: 404, after: "5", permanent: true},
		{code: 302, permanent: true},
		{code: 408}, {code: 425}, {code: 429}, {code: 500}, {code: 502}, {code: 503},
		{code: 429, after: "7", retryAfter: 7 * time.Second},
		{code: 503, after: "999999", retryAfter: time.Hour},
		{code: 503, after: "soon"},
		{code: 503, after: "-5"},
	} {
		address, _ := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
			if c.after != "" {
				w.Header().Set("Retry-After", c.after)
			}
			w.WriteHeader(c.code)
			fmt.Fprint(w, "  because\n")
		})
		p := send(t, plugintest.Config{"url": address + "/path-token"})
		if c.code/100 == 2 {
			if p != nil {
				t.Errorf("%d: %v", c.code, p)
			}
			continue
		}
		want := fmt.Sprintf("POST %s answers %d %s: \"because\"", address, c.code, http.StatusText(c.code))
		if p == nil || p.Error() != want || p.Permanent != c.permanent || p.RetryAfter != c.retryAfter || p.Blame != sdk.BlameTarget {
			t.Errorf("%d, Retry-After %q: %#v, want %q", c.code, c.after, p, want)
		}
	}
}

func TestNoAnswerIsTriedAgain(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	address, _ := receiver(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	p := send(t, plugintest.Config{"url": address, "request_timeout": 100 * time.Millisecond})
	if want := "POST " + address + ": no answer in time (request_timeout is 100ms)"; p == nil || p.Permanent || p.Blame != sdk.BlameTarget || p.Error() != want {
		t.Errorf("%#v, want %q", p, want)
	}
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	p = send(t, plugintest.Config{"url": closed.URL + "/path-token"})
	if p == nil || p.Permanent || p.Blame != sdk.BlameTarget || !strings.Contains(p.Error(), "connection refused") || strings.Contains(p.Error(), "path-token") {
		t.Errorf("%#v", p)
	}
}

func TestARedirectMustNotLoseTheMessage(t *testing.T) {
	t.Parallel()
	end, got := receiver(t, ok)
	for code, arrives := range map[int]bool{301: false, 302: false, 303: false, 307: true, 308: true} {
		address, _ := receiver(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, end, code) })
		p := send(t, plugintest.Config{"url": address, "token": "t0ken-word"})
		if !arrives {
			if p == nil || !p.Permanent || p.Fix != "Write the address that the redirect leads to into url." {
				t.Errorf("%d: %#v", code, p)
			}
			continue
		}
		if p != nil {
			t.Errorf("%d: %v", code, p)
			continue
		}
		if r := <-got; r.Method != "POST" || !strings.Contains(r.body, `"version":"4"`) || r.Header.Get("Authorization") != "" {
			t.Errorf("%d: %s %s, Authorization %q", code, r.Method, r.body, r.Header.Get("Authorization"))
		}
	}
	if len(got) != 0 {
		t.Error("a GET reached the end of a redirect")
	}
	var loop string
	loop, _ = receiver(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, loop, http.StatusTemporaryRedirect) })
	if p := send(t, plugintest.Config{"url": loop}); p == nil || !strings.Contains(p.Error(), "more than 5 redirects") {
		t.Errorf("%#v", p)
	}
}

func TestSecretsAreInNoError(t *testing.T) {
	t.Parallel()
	always := []string{"user-name", "pass-word", "path-token", "query-token", "header-token"}
	for _, c := range []struct {
		auth    plugintest.Config
		secrets []string
	}{
		{plugintest.Config{"token": "short-token"}, []string{"short-token"}},
		{plugintest.Config{"bearer_token": "bearer-token"}, []string{"bearer-token"}},
		{plugintest.Config{"basic_auth": plugintest.Config{"username": "me", "password": "basic-token"}}, []string{"basic-token", "bWU6YmFzaWMtdG9rZW4="}},
	} {
		secrets := append(c.secrets, always...)
		address, _ := receiver(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, "%s; you sent %s %v", strings.Join(secrets, ", "), r.URL, r.Header["Authorization"])
		})
		closed := httptest.NewServer(http.NotFoundHandler())
		closed.Close()
		for _, to := range []string{address, closed.URL} {
			u, err := url.Parse(to)
			if err != nil {
				t.Fatal(err)
			}
			u.User, u.Path, u.RawQuery = url.UserPassword("user-name", "pass-word"), "/services/path-token", "key=query-token&x=1"
			c.auth["url"], c.auth["headers"] = u.String(), map[string]string{"X-Api-Key": "header-token"}
			p := send(t, c.auth)
			if p == nil {
				t.Fatal("no error")
			}
			for _, s := range secrets {
				if strings.Contains(p.Error(), s) {
					t.Errorf("the error shows %s: %s", s, p)
				}
			}
		}
	}
}

func TestALongAnswerIsCut(t *testing.T) {
	t.Parallel()
	address, _ := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(500)
		for range 1000 {
			io.WriteString(w, "too much text\xff\n")
		}
	})
	if p := send(t, plugintest.Config{"url": address}); p == nil || len(p.Error()) > 500 || !strings.HasSuffix(p.Error(), `" …`) {
		t.Errorf("%v", p)
	}
}

func TestAMistakeInTheBlockIsFoundOffline(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cfg  plugintest.Config
		want string
	}{
		{plugintest.Config{"url": "https://a/b"}, ""},
		{plugintest.Config{"url": "ftp://a/token"}, "url: url is no http:// or https:// address"},
		{plugintest.Config{"url": "a/token"}, "url: url is no http:// or https:// address"},
		{plugintest.Config{"url": "http://a", "token": "x", "bearer_token": "y"}, "token: token and bearer_token, bearer_token_file or basic_auth exclude each other: keep one"},
		{plugintest.Config{"url": "http://a", "tls": plugintest.Config{"key_file": "x"}}, "tls: cert_file and key_file go together: one of them is missing"},
	} {
		if got := plugintest.Remarks(t, capability, c.cfg); got != c.want {
			t.Errorf("%v: got %q, want %q", c.cfg, got, c.want)
		}
	}
}

// Whatever is wrong with a receiver, Notify ends with its timeout, and says whether to try again.
func TestFaultyReceiversAreTriedAgain(t *testing.T) {
	t.Parallel()
	taken := []string{ // the header of the answer was a 200
		"body cut", "body hangs", "body drips", "body is longer than it says", "body is shorter than it says", "endless body", "garbage", "page of a portal", "no gzip", "gzip bomb",
	}
	for name, faulty := range plugintest.Faults(http.HandlerFunc(ok)) {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			p := send(t, plugintest.Config{"url": plugintest.Serve(t, faulty).URL, "request_timeout": 5 * time.Second})
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("%s: it took %v", name, took)
			}
			if slices.Contains(taken, name) {
				if p != nil {
					t.Errorf("%s: %v", name, p)
				}
				return
			}
			if permanent := name == "status 404"; p == nil || p.Blame != sdk.BlameTarget || p.Permanent != permanent || p.RetryAfter > time.Hour {
				t.Errorf("%s: %#v", name, p)
			}
		})
	}
}
