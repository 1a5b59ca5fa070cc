package receiver

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/plugins/internal/certificates"
	"github.com/magpie-monitoring/magpie/sdk"
)

type here struct{ sdk.Host }

func (here) Listen(network, address string) (net.Listener, error) {
	return net.Listen(network, address)
}

// serving answers "hello" at an address until the test ends.
func serving(t *testing.T, block *TLS, protocols ...string) string {
	t.Helper()
	address := "127.0.0.1:0"
	l, err := block.Listen(here{}, &address, protocols...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello over "+r.Proto) }))
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-served; !errors.Is(err, context.Canceled) {
			t.Errorf("serving ended with %v", err)
		}
	})
	return l.Addr().String()
}

func get(client *http.Client, url string) (string, error) {
	defer client.CloseIdleConnections()
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return fmt.Sprintf("%d %s", response.StatusCode, body), err
}

func TestOnlyWhoShowsTheRightCertificateIsAnswered(t *testing.T) {
	t.Parallel()
	ours, theirs := certificates.New(t), certificates.New(t)
	server, client, stranger := ours.Issue(), ours.Issue(), theirs.Issue()
	open := serving(t, &TLS{CertFile: server.Cert, KeyFile: server.Key}, "h2", "http/1.1")
	closed := serving(t, &TLS{CertFile: server.Cert, KeyFile: server.Key, ClientCAFile: ours.File}, "http/1.1")
	plain := serving(t, nil)
	for name, c := range map[string]struct {
		url     string
		trusts  *certificates.Authority // nil: does not encrypt
		shows   []certificates.Pair
		want    string
		failure string
	}{
		"the server's certificate is right":       {"https://" + open, ours, nil, "200 hello over HTTP/2.0", ""},
		"the server's is of nobody whom we trust": {"https://" + open, theirs, nil, "", "unknown authority"},
		"one of ours":                {"https://" + closed, ours, []certificates.Pair{client}, "200 hello over HTTP/1.1", ""},
		"one of another authority":   {"https://" + closed, ours, []certificates.Pair{stranger}, "", "Get "}, // whose reason the end of the connection may overtake
		"none":                       {"https://" + closed, ours, nil, "", "Get "},
		"not encrypted":              {"http://" + closed, nil, nil, "400 Client sent an HTTP request to an HTTPS server.\n", ""},
		"encrypted where nothing is": {"https://" + plain, ours, nil, "", "HTTP response to HTTPS client"},
		"neither encrypts":           {"http://" + plain, nil, nil, "200 hello over HTTP/1.1", ""},
	} {
		transport := &http.Transport{ForceAttemptHTTP2: true}
		if c.trusts != nil {
			transport.TLSClientConfig = c.trusts.Client(c.shows...)
		}
		got, err := get(&http.Client{Transport: transport, Timeout: 2 * time.Minute}, c.url)
		if got != c.want || (err == nil) != (c.failure == "") || err != nil && !strings.Contains(err.Error(), c.failure) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestANewCertificateIsShownWithoutAReload(t *testing.T) {
	t.Parallel()
	before, after := certificates.New(t), certificates.New(t)
	shown, next := before.Issue(), after.Issue()
	address := serving(t, &TLS{CertFile: shown.Cert, KeyFile: shown.Key}, "http/1.1")
	for _, pair := range [][2]string{{next.Cert, shown.Cert}, {next.Key, shown.Key}} {
		if err := os.Rename(pair[0], pair[1]); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := get(&http.Client{Transport: &http.Transport{TLSClientConfig: after.Client()}}, "https://"+address); err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAMistakeInAFilePointsAtItsAttribute(t *testing.T) {
	t.Parallel()
	pair, none := certificates.New(t).Issue(), filepath.Join(t.TempDir(), "none")
	address := "127.0.0.1:0"
	for want, block := range map[string]*TLS{
		"none: no such file":               {CertFile: none, KeyFile: none},
		"private key does not match":       {CertFile: pair.Cert, KeyFile: certificates.New(t).Issue().Key},
		"open " + none:                     {CertFile: pair.Cert, KeyFile: pair.Key, ClientCAFile: none},
		"key1.pem holds no certificate in": {CertFile: pair.Cert, KeyFile: pair.Key, ClientCAFile: pair.Key},
	} {
		_, err := block.Listen(here{}, &address)
		if p := sdk.AsProblem(err); p == nil || p.Blame != sdk.BlameConfig || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	taken := serving(t, nil)
	if _, err := (*TLS)(nil).Listen(here{}, &taken); err == nil || sdk.AsProblem(err).Blame != sdk.BlameConfig {
		t.Errorf("an address that is taken: %v", err)
	}
}

func TestOnlyTheRightCredentialsAreAdmitted(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(" from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	anyone, token := &Access{}, &Access{BearerToken: sdk.NewSecret("t0ken")}
	login := &Access{BasicAuth: &sdk.BasicAuth{Username: "me", Password: sdk.NewSecret("a:b")}}
	inFile := &Access{BasicAuth: &sdk.BasicAuth{Username: "me", PasswordFile: file}}
	empty := &Access{BasicAuth: &sdk.BasicAuth{Username: "me"}}
	both := &Access{BearerToken: token.BearerToken, BasicAuth: login.BasicAuth}
	for _, c := range []struct {
		access *Access
		header string
		want   bool
	}{
		{anyone, "", true}, {anyone, "Bearer x", true},
		{token, "Bearer t0ken", true}, {token, "bearer t0ken", true}, {token, "Bearer t0ke", false}, {token, "Bearer ", false}, {token, "t0ken", false}, {token, "", false}, {token, "Basic t0ken", false},
		{login, "Basic bWU6YTpi", true}, {login, "bAsic bWU6YTpi", true}, {login, "Basic bWU6YQ==", false}, {login, "Basic bm86YTpi", false}, {login, "Basic !", false}, {login, "Bearer me:a:b", false}, {login, "", false},
		{inFile, "Basic bWU6ZnJvbS1maWxl", true}, {inFile, "Basic bWU6", false},
		{empty, "Basic bWU6", false}, // no password admits nobody
		{both, "Bearer t0ken", true}, {both, "Basic bWU6YTpi", true}, {both, "Basic bWU6", false},
	} {
		if got, err := c.access.Admits(Authorization(c.header)); got != c.want || err != nil {
			t.Errorf("%q: %v, %v", c.header, got, err)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if got, err := inFile.Admits(Authorization("Basic bWU6ZnJvbS1maWxl")); got || err == nil {
		t.Errorf("without the file: %v, %v", got, err)
	}
	if got := []string{login.Challenge("x"), token.Challenge("x")}; strings.Join(got, ", ") != `Basic realm="x", Bearer realm="x"` {
		t.Error(got)
	}
}

func TestABodyIsReadUpToItsLimitAndNoFurther(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	zipped := func(b []byte) []byte {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		w.Write(b)
		w.Close()
		return out.Bytes()
	}
	noise := make([]byte, limit)
	for i, x := 0, uint32(1); i < limit; i++ {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	for name, c := range map[string]struct {
		encoding string
		body     []byte
		want     int // a status, or the length that is read, negative
		text     string
	}{
		"nothing":                 {"", nil, 0, ""},
		"just right":              {"identity", noise, -limit, ""},
		"one byte more":           {"", append(noise[:limit:limit], 1), 413, "larger than 64KiB"},
		"zipped":                  {"gzip", zipped([]byte("hello")), -5, ""},
		"what cannot be smaller":  {"gzip", zipped(noise), -limit, ""},
		"zipped, one byte more":   {"gzip", zipped(append(noise[:limit:limit], 1)), 413, "larger than 64KiB"},
		"a bomb":                  {"gzip", zipped(make([]byte, 64<<20)), 413, "larger than 64KiB"},
		"a bomb without an end":   {"gzip", bytes.Repeat(zipped(nil), 100_000), 400, "not arrive whole"},
		"no gzip":                 {"gzip", []byte("hello"), 400, "no gzip"},
		"half a gzip":             {"gzip", zipped(noise)[:limit/2], 400, "not arrive whole"},
		"an encoding not handled": {"br", nil, 415, "use gzip"},
	} {
		r, err := http.NewRequest(http.MethodPost, "http://x/", bytes.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Encoding", c.encoding)
		if c.body == nil {
			r.Body = http.NoBody
		}
		body, err := Body(r, limit)
		got := -len(body)
		var refused *Refusal
		if errors.As(err, &refused) {
			got = refused.Status
		}
		if got != c.want || err != nil && !strings.Contains(err.Error(), c.text) || cap(body) > 2*limit {
			t.Errorf("%s: %d, %v, memory %d", name, got, err, cap(body))
		}
	}
	ours, theirs := net.Pipe()
	defer theirs.Close()
	ours.SetReadDeadline(time.Now())
	var refused *Refusal
	if _, err := ReadAll(nil, ours, limit); !errors.As(err, &refused) || refused.Status != http.StatusRequestTimeout {
		t.Errorf("too slow: %v", err)
	}
}

func TestWhatWasBegunIsFinished(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	entered := make(chan struct{})
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(entered)
			<-ctx.Done()
			io.WriteString(w, "in the end")
		}))
	}()
	go func() { <-entered; cancel() }()
	if got, err := get(&http.Client{Transport: &http.Transport{}}, "http://"+l.Addr().String()); got != "200 in the end" {
		t.Errorf("%q, %v", got, err)
	}
	if err := <-served; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	l.Close()
	if err := Serve(t.Context(), l, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a listener that is closed: %v", err)
	}
}

func TestAnAddressThatAnyoneCanWriteToIsToldOf(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"127.0.0.1:1": "", "localhost:1": "", "[::1]:1": "", "4317": `error: "4317" is not host:port`,
		":1": "warning: anyone who reaches :1 can write metrics: do", "0.0.0.0:1": "warning: anyone who reaches 0.0.0.0:1 can write metrics: do", "host:1": "warning: anyone who reaches host:1 can write metrics: do",
	} {
		for _, guarded := range []bool{false, true} {
			d := &sdk.Diags{}
			ValidateAddress(d, &address, guarded, "do")
			got := ""
			for _, one := range d.List {
				got += map[bool]string{true: "warning: ", false: "error: "}[one.Warning] + one.Text
			}
			if guarded && strings.HasPrefix(want, "warning") {
				want = ""
			}
			if got != want {
				t.Errorf("%s, guarded %v: %q", address, guarded, got)
			}
		}
	}
	ca := &Access{TLS: &TLS{ClientCAFile: "x"}}
	if !ca.Guarded() || (&Access{TLS: &TLS{}}).Guarded() || !(&Access{BearerToken: sdk.NewSecret("x")}).Guarded() || !(&Access{BasicAuth: &sdk.BasicAuth{}}).Guarded() {
		t.Error("what guards is not what is asked for")
	}
	for want, a := range map[string]*Access{
		"give basic_auth a password or a password_file":                                     {BasicAuth: &sdk.BasicAuth{Username: "u"}},
		"basic_auth and bearer_token exclude each other: both are the Authorization header": {BasicAuth: &sdk.BasicAuth{Password: sdk.NewSecret("x")}, BearerToken: sdk.NewSecret("x")},
	} {
		d := &sdk.Diags{}
		if a.Validate(d); len(d.List) != 1 || d.List[0].Text != want {
			t.Errorf("%v", d.List)
		}
	}
}
