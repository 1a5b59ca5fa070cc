package sdk

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAProbeOfAnAddressSaysWhetherItIsFree(t *testing.T) {
	for _, network := range []string{"tcp", "udp"} {
		var address string
		if network == "tcp" {
			l, err := net.Listen(network, "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			address = l.Addr().String()
		} else {
			l, err := net.ListenPacket(network, "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			address = l.LocalAddr().String()
		}
		if err := ProbeListen(network, address); err == nil || !strings.Contains(err.Error(), "address already in use") {
			t.Errorf("%s: %v", network, err)
		}
		if err := ProbeListen(network, "127.0.0.1:0"); err != nil {
			t.Errorf("%s: %v", network, err)
		}
	}
	if err := ProbeListen("unixgram", filepath.Join(t.TempDir(), "socket")); err != nil {
		t.Error(err)
	}
}

func TestAProbeOfADirectoryLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "to", "be", "made")} {
		if err := ProbeDir(path); err != nil {
			t.Error(err)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("left: %v", entries)
	}
	file := filepath.Join(dir, "file")
	os.WriteFile(file, nil, 0o600)
	for _, path := range []string{file, filepath.Join(file, "below"), "/proc/none"} {
		if err := ProbeDir(path); err == nil {
			t.Errorf("%s can be written to", path)
		}
	}
}

func TestAProbeSaysUntilWhenACertificateIsValid(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		from, to   time.Duration
		found, bad string
	}{
		{-time.Hour, 100*24*time.Hour + time.Hour, ", 100 days from now", ""},
		{-time.Hour, 3 * 24 * time.Hour, " only, 7", ""},
		{-2 * time.Hour, -time.Hour, "", "it expired at 2"},
		{time.Hour, 2 * time.Hour, "", "it is not valid before 2"},
	} {
		found := ""
		err := ProbeCertificate(WithProgress(t.Context(), func(text string) { found = text }), "it", &x509.Certificate{NotBefore: now.Add(c.from), NotAfter: now.Add(c.to)})
		if !strings.Contains(found, c.found) || c.bad != "" && (err == nil || !strings.Contains(err.Error(), c.bad)) || c.bad == "" && err != nil {
			t.Errorf("found %q, %v; want %q, %q", found, err, c.found, c.bad)
		}
	}
}

type probing struct {
	URL string `hcl:"url" doc:"."`
	HTTPClient
}

func (p *probing) Probe(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL, nil)
	if err != nil {
		return err
	}
	_, err = p.ProbeHTTP(r, &p.URL)
	return err
}

func TestAProbeOverHTTPBlamesTheAttribute(t *testing.T) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/who" && r.Header.Get("Authorization") != "Bearer right" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
		} else if r.URL.Path == "/down" {
			w.WriteHeader(http.StatusServiceUnavailable)
		} else if r.URL.Path == "/none" {
			http.NotFound(w, r)
		}
	})
	plain, secure := httptest.NewServer(answer), httptest.NewTLSServer(answer)
	defer plain.Close()
	defer secure.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600)
	gone := httptest.NewServer(answer)
	gone.Close()
	c := Source(func(context.Context, *probing, Host) (idle, error) { return idle{}, nil })
	for config, want := range map[string]string{
		`{"url":"` + plain.URL + `/"}`:                                           "",
		`{"url":"` + plain.URL + `/who","bearer_token":"right"}`:                 "",
		`{"url":"` + plain.URL + `/who","bearer_token":"wrong"}`:                 `bearer_token: ` + plain.URL + ` answers 401 Unauthorized: "who are you?"`,
		`{"url":"` + plain.URL + `/who"}`:                                        `url: ` + plain.URL + ` answers 401 Unauthorized: "who are you?"`,
		`{"url":"` + plain.URL + `/down"}`:                                       `url: ` + plain.URL + ` answers 503 Service Unavailable`,
		`{"url":"` + plain.URL + `/none"}`:                                       `url: ` + plain.URL + ` answers 404 Not Found: "404 page not found"`,
		`{"url":"` + gone.URL + `"}`:                                             `url: ` + gone.URL + `: dial tcp`,
		`{"url":"` + secure.URL + `"}`:                                           `url: ` + secure.URL + `: tls: failed to verify certificate`,
		`{"url":"` + secure.URL + `","tls":{"ca_file":"` + ca + `"}}`:            "",
		`{"url":"` + secure.URL + `","tls":{"insecure_skip_verify":true}}`:       "",
		`{"url":"` + plain.URL + `","tls":{"cert_file":"/no","key_file":"/no"}}`: "tls.cert_file: open /no: no such file or directory",
	} {
		found := ""
		err := c.Probe(t.Context(), []byte(config), nil, func(text string) { found = text })
		got := ""
		if p := AsProblem(err); p != nil {
			got = p.Path.String() + ": " + p.Error()
		}
		if got != want && (want == "" || !strings.HasPrefix(got, want)) {
			t.Errorf("%s: %s", config, got)
		}
		if strings.Contains(config, secure.URL) && err == nil && !strings.Contains(found, "the certificate of 127.0.0.1:") {
			t.Errorf("%s: found %q", config, found)
		}
	}
}
