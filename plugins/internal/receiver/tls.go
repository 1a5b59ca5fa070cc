package receiver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"

	"github.com/magpie-monitoring/magpie/sdk"
)

// TLS is the tls block of a receiver: files in PEM. The certificate is read again at every handshake.
type TLS struct {
	CertFile     string `hcl:"cert_file" check:"file" doc:"Certificate to show."`
	KeyFile      string `hcl:"key_file" check:"file" doc:"Key of cert_file."`
	ClientCAFile string `hcl:"client_ca_file,optional" check:"file" doc:"Certificates that a sender's must descend from; without it, senders need none."`
}

// Listen binds to an address, given by pointer to its field, and encrypts what comes and goes there, unless there is no tls
// block; protocols are those of HTTP that it offers. The files are read first: an address is not held for nothing.
func (t *TLS) Listen(host sdk.Host, address *string, protocols ...string) (net.Listener, error) {
	config, err := t.config(protocols)
	if err != nil {
		return nil, err
	}
	l, err := host.Listen("tcp", *address)
	if err != nil {
		return nil, sdk.At(address, err)
	}
	if config == nil {
		return l, nil
	}
	return tls.NewListener(l, config), nil
}

// Probe is what a Prober asks of an address that Listen is to bind to: whether it is free, and whether the certificate is valid.
func (t *TLS) Probe(ctx context.Context, address *string) error {
	if _, err := t.config(nil); err != nil {
		return err
	}
	if t != nil {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err == nil {
			err = sdk.ProbeCertificate(ctx, t.CertFile, pair.Leaf)
		}
		if err != nil {
			return sdk.At(&t.CertFile, err)
		}
	}
	return sdk.At(address, sdk.ProbeListen("tcp", *address))
}

func (t *TLS) config(protocols []string) (*tls.Config, error) {
	if t == nil {
		return nil, nil
	}
	pair := &sdk.KeyPair{CertFile: t.CertFile, KeyFile: t.KeyFile}
	if _, err := pair.Load(); err != nil {
		return nil, sdk.At(&t.CertFile, err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair.Load() }}
	if t.ClientCAFile == "" {
		return c, nil
	}
	pem, err := os.ReadFile(t.ClientCAFile)
	if err != nil {
		return nil, sdk.At(&t.ClientCAFile, err)
	}
	c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, sdk.At(&t.ClientCAFile, fmt.Errorf("%s holds no certificate in PEM", t.ClientCAFile))
	}
	return c, nil
}
