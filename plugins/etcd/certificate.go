package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// certificateOf is the certificate that a server shows at a URL, nil for http://. It looks and does not verify: whoever
// expires first is the question, and an expired one is an answer. What the server thinks of our own certificate comes after
// it has shown its own, and does not matter here.
func certificateOf(ctx context.Context, at string, own *tls.Config) (*x509.Certificate, error) {
	u, err := url.Parse(at)
	if err != nil || u.Host == "" {
		return nil, sdk.Target(fmt.Errorf("%.80q is no URL", at))
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, unanswered(ctx, err)
	}
	defer conn.Close()
	if u.Scheme != "https" {
		return nil, nil
	}
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	var shown *x509.Certificate
	config := &tls.Config{
		ServerName: u.Hostname(), InsecureSkipVerify: true,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) (err error) {
			if len(raw) > 0 {
				shown, err = x509.ParseCertificate(raw[0])
			}
			return err
		},
	}
	if own != nil {
		config.GetClientCertificate = own.GetClientCertificate
		if own.ServerName != "" {
			config.ServerName = own.ServerName
		}
	}
	if err := tls.Client(conn, config).HandshakeContext(ctx); shown == nil {
		if err == nil {
			err = errors.New("the server shows no certificate")
		}
		return nil, unanswered(ctx, err)
	}
	return shown, nil
}

// certificateIn is the first certificate of a file in PEM.
func certificateIn(file string) (*x509.Certificate, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return x509.ParseCertificate(block.Bytes)
}

// expiry says when a certificate expires.
func expiry(c *x509.Certificate, now time.Time) string {
	left := c.NotAfter.Sub(now)
	when := c.NotAfter.UTC().Format("2006-01-02 15:04 UTC")
	if left <= 0 {
		return fmt.Sprintf("expired %s ago, at %s", span(-left), when)
	}
	return fmt.Sprintf("expires in %s, at %s", span(left), when)
}

// span writes a duration in its largest fitting unit.
func span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return d.Round(time.Millisecond).String()
}
