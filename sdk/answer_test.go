package sdk

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestRetryAfterTakesSecondsOrADate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "999999": time.Hour, "-5": 0, "soon": 0,
		"Fri, 01 May 2026 10:00:30 GMT": 30 * time.Second,
		"Fri, 01 May 2026 09:00:00 GMT": 0,
		"Fri, 01 May 2099 09:00:00 GMT": time.Hour,
		"4294967296":                    0, // no number that anybody means
	} {
		if got := AskedPause(header, now); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}

func TestAnExcerptIsShortAndValid(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		"": "", " \n": "", "  because\n": `: "because"`, "a\xffb": `: "ab"`,
		strings.Repeat("x", 300): fmt.Sprintf(": %q", strings.Repeat("x", 300)),
		strings.Repeat("ä", 200): fmt.Sprintf(": %q …", strings.Repeat("ä", 150)),
	} {
		if got := Excerpt(answer); got != want {
			t.Errorf("%q: %s, want %s", answer, got, want)
		}
	}
	if got, want := Excerpt("x"+strings.Repeat("ä", 200)), fmt.Sprintf(": %q …", "x"+strings.Repeat("ä", 149)); got != want {
		t.Errorf("cut within a character: %s", got)
	}
}

func TestARedirectKeepsTheMethod(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/end", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Method) })
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/loop", http.StatusPermanentRedirect)
	})
	for _, code := range []int{301, 302, 303, 307, 308} {
		mux.Handle(fmt.Sprint("/", code), http.RedirectHandler("/end", code))
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	for follow, statuses := range map[bool]map[string]int{
		true:  {"GET 301": 200, "GET 302": 200, "GET 303": 200, "GET 307": 200, "POST 301": 301, "POST 302": 302, "POST 303": 303, "POST 307": 200, "POST 308": 200},
		false: {"GET 301": 301, "POST 308": 308},
	} {
		client, err := (&HTTPClient{FollowRedirects: follow}).Client(10*time.Second, 1)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.CloseIdleConnections)
		for what, want := range statuses {
			method, path, _ := strings.Cut(what, " ")
			r, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/"+path, strings.NewReader("message"))
			if err != nil {
				t.Fatal(err)
			}
			response, err := client.Do(r)
			if err != nil {
				t.Errorf("%s: %v", what, err)
				continue
			}
			response.Body.Close()
			if response.StatusCode != want {
				t.Errorf("follow %v, %s: %s, want %d", follow, what, response.Status, want)
			}
		}
		if follow {
			if _, err := client.Get(server.URL + "/loop"); err == nil || !strings.Contains(err.Error(), "more than 5 redirects") {
				t.Errorf("a loop: %v", err)
			}
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, header := range []string{"7", "-1", "999999999999", "Fri, 01 May 2026 10:00:30 GMT", "Friday, 01-May-26 10:00:30 GMT"} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if d := AskedPause(header, time.Unix(0, 0)); d < 0 || d > MaxPause {
			t.Errorf("%q: %v", header, d)
		}
	})
}
