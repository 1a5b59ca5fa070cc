package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

// guard is what stands before the receiver: encryption, and who may write.
type guard struct {
	tls  *tls.Config
	any  bool
	want [][sha256.Size]byte
}

func newGuard(cfg *Config) (*guard, error) {
	g := &guard{any: !cfg.Token.IsSet() && cfg.BasicAuth == nil}
	if cfg.Token.IsSet() {
		g.want = append(g.want, sha256.Sum256([]byte(cfg.Token.Reveal())))
	}
	if b := cfg.BasicAuth; b != nil {
		g.want = append(g.want, sha256.Sum256([]byte(b.Username+":"+b.Password.Reveal())))
	}
	t := cfg.TLS
	if t == nil {
		return g, nil
	}
	if _, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile); err != nil {
		return nil, sdk.At(&t.CertFile, err)
	}
	g.tls = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		return &pair, err
	}}
	if t.ClientCAFile != "" {
		pem, err := os.ReadFile(t.ClientCAFile)
		if err != nil {
			return nil, sdk.At(&t.ClientCAFile, err)
		}
		g.tls.ClientCAs, g.tls.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !g.tls.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, sdk.At(&t.ClientCAFile, fmt.Errorf("%s holds no certificate in PEM", t.ClientCAFile))
		}
	}
	return g, nil
}

// encrypt makes a listener speak TLS, if it is asked for.
func (g *guard) encrypt(l net.Listener) net.Listener {
	if g.tls == nil {
		return l
	}
	return tls.NewListener(l, g.tls)
}

// admits compares what a client shows in constant time: Authorization: Token or Bearer (both versions of the API; of the
// first user:password), basic authentication, or u and p in the address as the first version has them.
func (g *guard) admits(r *http.Request) bool {
	if g.any {
		return true
	}
	shown := ""
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if user, password, ok := r.BasicAuth(); ok {
		shown = user + ":" + password
	} else if strings.EqualFold(scheme, "Token") || strings.EqualFold(scheme, "Bearer") {
		shown = strings.TrimSpace(rest)
	} else if q := r.URL.Query(); q.Has("u") {
		shown = q.Get("u") + ":" + q.Get("p")
	}
	got := sha256.Sum256([]byte(shown))
	admitted := 0
	for _, want := range g.want {
		admitted |= subtle.ConstantTimeCompare(got[:], want[:])
	}
	return admitted == 1
}
