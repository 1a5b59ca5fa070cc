package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

// built is the handler of the embedded page; made once, since compressing it takes a while with -race.
var built = sync.OnceValues(func() (*assets, error) { return loadAssets(dist) })

func handler(t testing.TB) *assets {
	t.Helper()
	a, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// ask sends a request for a path; header is key, value, key, value…
func ask(t testing.TB, method, path string, header ...string) *http.Response {
	t.Helper()
	r := &http.Request{Method: method, URL: &url.URL{Path: path}, Header: http.Header{}}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	handler(t).ServeHTTP(w, r)
	return w.Result()
}

func body(t testing.TB, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var assetName = regexp.MustCompile(`(?:href|src)="\./([^"]+)"`)

func TestEverythingThatThePageNamesIsServedAndMayBeKeptForever(t *testing.T) {
	t.Parallel()
	html := body(t, ask(t, "GET", "/"))
	names := assetName.FindAllStringSubmatch(html, -1)
	if len(names) < 4 {
		t.Fatalf("the page names %d files; want a script, styles and an icon:\n%s", len(names), html)
	}
	for _, m := range names {
		resp := ask(t, "GET", "/"+m[1])
		if cache := resp.Header.Get("Cache-Control"); resp.StatusCode != 200 || !strings.Contains(cache, "immutable") {
			t.Errorf("%s: %s, Cache-Control %q", m[1], resp.Status, cache)
		}
	}
}

func TestThePageItselfIsAskedForAgainEachTime(t *testing.T) {
	t.Parallel()
	resp := ask(t, "GET", "/")
	if got := resp.Header.Get("Cache-Control"); got != "no-cache" {
		t.Errorf("Cache-Control %q: a new release would not be seen", got)
	}
	if got := resp.Header.Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
}

func TestWhatTheBrowserHasIsNotSentAgain(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"gzip", "identity"} {
		first := ask(t, "GET", "/", "Accept-Encoding", encoding)
		again := ask(t, "GET", "/", "Accept-Encoding", encoding, "If-None-Match", first.Header.Get("ETag"))
		if again.StatusCode != http.StatusNotModified || body(t, again) != "" {
			t.Errorf("%s: %s for the tag that was just given", encoding, again.Status)
		}
		other := ask(t, "GET", "/", "Accept-Encoding", encoding, "If-None-Match", `"another"`)
		if other.StatusCode != http.StatusOK {
			t.Errorf("%s: %s for a tag of something else", encoding, other.Status)
		}
	}
}

func TestGzipIsSentToThoseWhoTakeItAndHoldsTheSame(t *testing.T) {
	t.Parallel()
	for name := range handler(t).files {
		plain := ask(t, "GET", "/"+name)
		packed := ask(t, "GET", "/"+name, "Accept-Encoding", "gzip, br")
		if plain.Header.Get("ETag") == packed.Header.Get("ETag") || plain.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: a cache could take one form for the other", name)
		}
		z, err := gzip.NewReader(packed.Body)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		unpacked, err := io.ReadAll(z)
		if err != nil || string(unpacked) != body(t, plain) {
			t.Errorf("%s: the forms differ (%v)", name, err)
		}
	}
}

func TestAWeightOfZeroRefusesGzip(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{
		"": false, "gzip": true, "GZIP": true, "br, gzip;q=0.5": true, "gzip;q=0": false, "gzip; q=0.000": false, "*": true,
		"*;q=0": false, "*;q=0, gzip": true, "gzip;q=0, *": false, "gzipped": false, "br": false, "x-gzip": true,
	} {
		if got := acceptsGzip([]string{header}); got != want {
			t.Errorf("Accept-Encoding %q: gzip %t, want %t", header, got, want)
		}
	}
}

func TestOtherPathsAreNotFound(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"/query", "/assets/", "/assets", "/dist/index.html", "/../console.go", "/assets/../index.html", "//", "/SOURCES.sha256", "/api/v1/query", "/\x00",
	} {
		if resp := ask(t, "GET", path); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%q: %s", path, resp.Status)
		}
	}
}

func TestOnlyReadingIsAllowed(t *testing.T) {
	t.Parallel()
	if resp := ask(t, "HEAD", "/"); resp.StatusCode != 200 || body(t, resp) != "" {
		t.Errorf("HEAD: %s", resp.Status)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "TRACE"} {
		if resp := ask(t, method, "/"); resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %s, Allow %q", method, resp.Status, resp.Header.Get("Allow"))
		}
	}
}

func TestEveryAnswerCarriesTheStrictHeaders(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/", "/licenses.md", "/nothing"} {
		h := ask(t, "GET", path).Header
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", path, h)
		}
		csp := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self';", "connect-src 'self'", "frame-ancestors 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: the policy %q lacks %q", path, csp, want)
			}
		}
	}
}

var (
	inlineScript = regexp.MustCompile(`<script[^>]*>[^<]`)
	otherHost    = regexp.MustCompile(`(?:href|src)="(?:https?:)?//|url\(\s*["']?(?:https?:)?//|@import`)
)

func TestThePageHasNoInlineScriptAndNamesNoOtherHost(t *testing.T) {
	t.Parallel()
	for name, f := range handler(t).files {
		if found := inlineScript.Find(f.plain); found != nil && strings.HasSuffix(name, ".html") {
			t.Errorf("%s: inline script %q, which the policy refuses", name, found)
		}
		if found := otherHost.Find(f.plain); found != nil && !strings.HasSuffix(name, ".js") {
			t.Errorf("%s: %q", name, found)
		}
	}
}

func TestAPluginWithoutItsPageSaysHowToBuildIt(t *testing.T) {
	t.Parallel()
	_, err := loadAssets(fstest.MapFS{"dist/licenses.md": {Data: []byte("x")}})
	if err == nil || !strings.Contains(err.Error(), "npm run build") {
		t.Errorf("error %v", err)
	}
	_, err = loadAssets(fstest.MapFS{"dist/index.html": {Data: []byte("x")}, "dist/assets/a.wasm": {Data: []byte("x")}})
	if err == nil || !strings.Contains(err.Error(), "a.wasm") {
		t.Errorf("a file without a content type: error %v", err)
	}
}

func TestAFileThatGzipMakesLargerIsSentPlain(t *testing.T) {
	t.Parallel()
	f, err := newFile("a.css", []byte("x"))
	if err != nil || f.gzipped != nil {
		t.Errorf("%d bytes of gzip for one byte, %v", len(f.gzipped), err)
	}
}

// Whatever the path and the headers are, only the page's own files come, and whole.
func FuzzServe(f *testing.F) {
	f.Add("/", "gzip", "", "")
	f.Add("/assets/../../console.go", "*;q=0", `"x"`, "bytes=0-0")
	f.Add("index.html", ";q=", `W/"`, "bytes=-1,5-")
	f.Fuzz(func(t *testing.T, path, encoding, tag, span string) {
		resp := ask(t, "GET", path, "Accept-Encoding", encoding, "If-None-Match", tag, "Range", span)
		switch resp.StatusCode {
		case http.StatusOK, http.StatusPartialContent, http.StatusNotModified, http.StatusRequestedRangeNotSatisfiable:
			if name := strings.TrimPrefix(path, "/"); name != "" && handler(t).files[name] == nil {
				t.Fatalf("%q: %s", path, resp.Status)
			}
		case http.StatusNotFound:
		default:
			t.Fatalf("%q: %s", path, resp.Status)
		}
		if resp.StatusCode == http.StatusOK {
			name := strings.TrimPrefix(path, "/")
			if name == "" {
				name = page
			}
			want := handler(t).files[name].plain
			if resp.Header.Get("Content-Encoding") == "gzip" {
				want = handler(t).files[name].gzipped
			}
			if got := []byte(body(t, resp)); !bytes.Equal(got, want) {
				t.Fatalf("%q: %d bytes, want %d", path, len(got), len(want))
			}
		}
	})
}
