package sdk

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/sdk/internal/dial"
)

// HTTPClient is the configuration that everything which speaks HTTP shares; embed it in a Config. The names are those of
// Prometheus' HTTP client configuration.
type HTTPClient struct {
	TLS             *TLS              `hcl:"tls,block" doc:"How to verify the other side, and what to show it."`
	BasicAuth       *BasicAuth        `hcl:"basic_auth,block" doc:"User and password sent with every request."`
	BearerToken     Secret            `hcl:"bearer_token,optional" doc:"Token sent as Authorization: Bearer."`
	BearerTokenFile string            `hcl:"bearer_token_file,optional" doc:"File with the bearer token, read again when it changes."`
	Headers         map[string]string `hcl:"headers,optional" sensitive:"true" doc:"Headers added to every request."`
	ProxyURL        string            `hcl:"proxy_url,optional" check:"url" doc:"Proxy for all requests; without it, none is used."`
	FollowRedirects bool              `hcl:"follow_redirects,optional" default:"true" doc:"Follow redirects; the credentials are not sent to another host."`
}

// TLS is the tls block: files in PEM. The certificate to show is read again at every handshake.
type TLS struct {
	CAFile             string `hcl:"ca_file,optional" check:"file" doc:"Certificates that the other side's must descend from; default: the system's."`
	CertFile           string `hcl:"cert_file,optional" check:"file" doc:"Certificate to show, with key_file."`
	KeyFile            string `hcl:"key_file,optional" check:"file" doc:"Key of cert_file."`
	ServerName         string `hcl:"server_name,optional" doc:"Name that the other side's certificate must have; default: the host of the address."`
	InsecureSkipVerify bool   `hcl:"insecure_skip_verify,optional" doc:"Accept any certificate. Anyone on the way can read and change what is sent."`
}

// BasicAuth is the basic_auth block.
type BasicAuth struct {
	Username     string `hcl:"username" doc:"User."`
	Password     Secret `hcl:"password,optional" doc:"Password."`
	PasswordFile string `hcl:"password_file,optional" doc:"File with the password, read again when it changes."`
}

// Validate checks what belongs together. Call it from your Config's Validate with the same Diags.
func (c *HTTPClient) Validate(d *Diags) {
	if t := c.TLS; t != nil {
		t.Validate(d)
	}
	if b := c.BasicAuth; b != nil && b.Password.IsSet() && b.PasswordFile != "" {
		d.Errorf(&b.PasswordFile, "password and password_file exclude each other: keep one")
	}
	if c.BasicAuth != nil && (c.BearerToken.IsSet() || c.BearerTokenFile != "") {
		d.Errorf(&c.BasicAuth, "basic_auth and a bearer token exclude each other: both are the Authorization header")
	}
	if c.BearerToken.IsSet() && c.BearerTokenFile != "" {
		d.Errorf(&c.BearerTokenFile, "bearer_token and bearer_token_file exclude each other: keep one")
	}
}

// Validate checks what belongs together in a tls block.
func (t *TLS) Validate(d *Diags) {
	if (t.CertFile == "") != (t.KeyFile == "") {
		d.Errorf(t, "cert_file and key_file go together: one of them is missing")
	}
}

// Client makes an HTTP client for one component. idle is how many connections to one host are kept open. A redirect that
// would lose what is sent is not followed: it is the answer.
func (c *HTTPClient) Client(timeout time.Duration, idle int) (*http.Client, error) {
	t := &http.Transport{
		MaxIdleConnsPerHost: idle, MaxIdleConns: 0, IdleConnTimeout: 5 * time.Minute, DisableCompression: true, ForceAttemptHTTP2: true, DialContext: dial.Context,
	}
	if c.ProxyURL != "" {
		u, err := url.Parse(c.ProxyURL)
		if err != nil {
			return nil, At(&c.ProxyURL, err)
		}
		t.Proxy = http.ProxyURL(u)
	}
	if c.TLS != nil {
		config, err := c.TLS.Config()
		if err != nil {
			return nil, err
		}
		t.TLSClientConfig = config
	}
	client := &http.Client{Timeout: timeout, Transport: &authenticated{next: t, cfg: c}, CheckRedirect: keepMethod}
	if !c.FollowRedirects {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return client, nil
}

// authenticated adds headers and credentials; after a redirect to another host it adds none.
type authenticated struct {
	next     *http.Transport
	cfg      *HTTPClient
	token    watched
	password watched
}

func (a *authenticated) CloseIdleConnections() { a.next.CloseIdleConnections() }

func (a *authenticated) RoundTrip(r *http.Request) (*http.Response, error) {
	if first := firstRequest(r); first.URL.Host != r.URL.Host {
		return a.next.RoundTrip(r)
	}
	if c := a.cfg; len(c.Headers) == 0 && c.BasicAuth == nil && c.BearerTokenFile == "" && !c.BearerToken.IsSet() {
		return a.next.RoundTrip(r)
	}
	r = r.Clone(r.Context())
	for k, v := range a.cfg.Headers {
		if strings.EqualFold(k, "Host") {
			r.Host = v
		}
		r.Header.Set(k, v)
	}
	switch b := a.cfg.BasicAuth; {
	case b != nil && b.PasswordFile != "":
		password, err := a.password.read(b.PasswordFile)
		if err != nil {
			return nil, err
		}
		r.SetBasicAuth(b.Username, password)
	case b != nil:
		r.SetBasicAuth(b.Username, b.Password.Reveal())
	case a.cfg.BearerTokenFile != "":
		token, err := a.token.read(a.cfg.BearerTokenFile)
		if err != nil {
			return nil, err
		}
		r.Header.Set("Authorization", "Bearer "+token)
	case a.cfg.BearerToken.IsSet():
		r.Header.Set("Authorization", "Bearer "+a.cfg.BearerToken.Reveal())
	}
	return a.next.RoundTrip(r)
}

func firstRequest(r *http.Request) *http.Request {
	for r.Response != nil && r.Response.Request != nil {
		r = r.Response.Request
	}
	return r
}

// watched is a small file that is read again when its time or size changes.
type watched struct {
	mu      sync.Mutex
	at      time.Time
	size    int64
	content string
	stale   bool // it was said that the file is no good
}

func (w *watched) read(path string) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	info, err := os.Stat(path)
	if err == nil && w.size == info.Size() && w.at.Equal(info.ModTime()) {
		return w.content, nil
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(path)
	}
	text := strings.TrimSpace(string(b))
	switch {
	case w.content != "" && (err != nil || text == ""): // what was good goes on
		if err == nil {
			err = errors.New("it is empty")
		}
		if !w.stale {
			slog.Warn("a file with a secret is no good: what it held before goes on", "file", path, "problem", err)
		}
		w.stale = true
		return w.content, nil
	case err != nil:
		return "", err
	}
	w.at, w.size, w.content, w.stale = info.ModTime(), info.Size(), text, false
	return w.content, nil
}

// KeyPair is a certificate with its key, in files that may change while they are used: CertFile and KeyFile, in PEM.
type KeyPair struct {
	CertFile, KeyFile string
	mu                sync.Mutex
	last              *tls.Certificate
	stale             bool // it was said that the files are no good
}

// Load reads the files again. What can be read no more, or does not fit together, leaves the pair that did.
func (k *KeyPair) Load() (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	pair, err := tls.LoadX509KeyPair(k.CertFile, k.KeyFile)
	switch {
	case err == nil:
		k.last, k.stale = &pair, false
	case k.last == nil:
		return nil, err
	case !k.stale:
		k.stale = true
		slog.Warn("a certificate and its key are no good, or not both new yet: the pair before goes on", "cert_file", k.CertFile, "key_file", k.KeyFile, "problem", err)
	}
	return k.last, nil
}

// Config makes a crypto/tls configuration for a client.
func (t *TLS) Config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify}
	if t.CertFile != "" {
		pair := &KeyPair{CertFile: t.CertFile, KeyFile: t.KeyFile}
		if _, err := pair.Load(); err != nil {
			return nil, At(&t.CertFile, err)
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair.Load() }
	}
	if t.CAFile == "" {
		return c, nil
	}
	pem, err := os.ReadFile(t.CAFile)
	if err != nil {
		return nil, At(&t.CAFile, err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, At(&t.CAFile, fmt.Errorf("%s holds no certificate in PEM", t.CAFile))
	}
	return c, nil
}
