package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

// guard is what stands before the receiver: encryption, and who may send.
type guard struct {
	tls  *tls.Config
	want [sha256.Size]byte // of the Authorization header
	any  bool
	asks string // WWW-Authenticate
}

func newGuard(cfg *SourceConfig) (*guard, error) {
	g := &guard{}
	switch {
	case cfg.BearerToken.IsSet():
		g.want, g.asks = sha256.Sum256([]byte("bearer "+cfg.BearerToken.Reveal())), `Bearer realm="otlp"`
	case cfg.BasicAuth != nil:
		pair := cfg.BasicAuth.Username + ":" + cfg.BasicAuth.Password.Reveal()
		g.want, g.asks = sha256.Sum256([]byte("basic "+base64.StdEncoding.EncodeToString([]byte(pair)))), `Basic realm="otlp"`
	default:
		g.any = true
	}
	t := cfg.TLS
	if t == nil {
		return g, nil
	}
	if _, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile); err != nil {
		return nil, sdk.At(&t.CertFile, err)
	}
	g.tls = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
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
func (g *guard) encrypt(l net.Listener, protocols []string) net.Listener {
	if g.tls == nil {
		return l
	}
	c := g.tls.Clone()
	c.NextProtos = protocols
	return tls.NewListener(l, c)
}

// admits compares an Authorization header in constant time. The scheme's case does not matter.
func (g *guard) admits(header string) bool {
	scheme, rest, _ := strings.Cut(header, " ")
	got := sha256.Sum256([]byte(strings.ToLower(scheme) + " " + rest))
	return g.any || subtle.ConstantTimeCompare(got[:], g.want[:]) == 1
}
