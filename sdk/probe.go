package sdk

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// What Probers ask in common.

// ProbeListen asks whether an address can be listened at: it is bound, and let go at once.
func ProbeListen(network, address string) error {
	switch network {
	case "unix", "unixgram": // a successor takes the place of what is there
		return ProbeDir(filepath.Dir(address))
	case "udp", "udp4", "udp6":
		conn, err := net.ListenPacket(network, address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	return l.Close()
}

// ProbeDir asks whether files can be made in a directory, with one that is removed again. Of a directory that is not there
// yet it asks where it would be made.
func ProbeDir(dir string) error {
	for {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			return fmt.Errorf("%s is no directory", dir)
		}
		if err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if !errors.Is(err, os.ErrNotExist) || parent == dir {
			return err
		}
		dir = parent
	}
	f, err := os.CreateTemp(dir, ".magpie-probe-*")
	if err != nil {
		return fmt.Errorf("%s cannot be written to: %w", dir, errors.Unwrap(err))
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// ProbeCertificate says with Progress until when a certificate is valid; one that is not is an error. whose says which it is.
func ProbeCertificate(ctx context.Context, whose string, c *x509.Certificate) error {
	const day = 24 * time.Hour
	now, date := time.Now(), func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
	switch left := c.NotAfter.Sub(now); {
	case left < 0:
		return fmt.Errorf("%s expired at %s", whose, date(c.NotAfter))
	case now.Before(c.NotBefore):
		return fmt.Errorf("%s is not valid before %s", whose, date(c.NotBefore))
	case left < 14*day:
		Progress(ctx, fmt.Sprintf("%s is valid until %s only, %s from now", whose, date(c.NotAfter), left.Round(time.Minute)))
	default:
		Progress(ctx, fmt.Sprintf("%s is valid until %s, %d days from now", whose, date(c.NotAfter), left/day))
	}
	return nil
}

// ProbeTLS makes an encrypted connection to host:port, and says until when the certificate there is valid. t may be nil.
func ProbeTLS(ctx context.Context, address string, t *TLS) error {
	if t == nil {
		t = &TLS{}
	}
	config, err := t.Config()
	if err != nil {
		return err
	}
	if err := t.probe(ctx); err != nil {
		return err
	}
	d := tls.Dialer{Config: config}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	return probePeer(ctx, address, conn.(*tls.Conn).ConnectionState(), t.InsecureSkipVerify)
}

func probePeer(ctx context.Context, address string, state tls.ConnectionState, anything bool) error {
	if len(state.PeerCertificates) == 0 {
		return nil
	}
	if err := ProbeCertificate(ctx, "the certificate of "+address, state.PeerCertificates[0]); err != nil && !anything {
		return err
	}
	return nil
}

// probe looks at the certificate to show.
func (t *TLS) probe(ctx context.Context) error {
	if t == nil || t.CertFile == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err == nil {
		err = ProbeCertificate(ctx, t.CertFile, pair.Leaf)
	}
	return At(&t.CertFile, err)
}

// ProbeHTTP sends a request for a Prober and gives the status of the answer. It is an error if there is none, if the certificate
// is not good, if the credentials are not accepted, if there is nothing at the path, or if the other side fails. at is the field
// with the address.
func (c *HTTPClient) ProbeHTTP(r *http.Request, at any) (status int, err error) {
	ctx, where := r.Context(), r.URL.Scheme+"://"+r.URL.Host
	client, err := c.Client(0, 1)
	if err != nil {
		return 0, err
	}
	defer client.CloseIdleConnections()
	if err := c.TLS.probe(ctx); err != nil {
		return 0, err
	}
	answer, err := client.Do(r)
	if err != nil {
		var outer *url.Error
		if errors.As(err, &outer) {
			err = outer.Err
		}
		if ctx.Err() != nil {
			err = errors.New("no answer in time")
		}
		return 0, At(at, fmt.Errorf("%s: %w", where, err))
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 4<<10)) // what comes of it is enough
	if answer.TLS != nil {
		if err := probePeer(ctx, answer.Request.URL.Host, *answer.TLS, c.TLS != nil && c.TLS.InsecureSkipVerify); err != nil {
			return 0, At(at, err)
		}
	}
	says := fmt.Errorf("%s answers %d %s%s", where, answer.StatusCode, http.StatusText(answer.StatusCode), Excerpt(string(text)))
	switch status = answer.StatusCode; {
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusProxyAuthRequired:
		return status, At(cmp.Or(c.Credentials(), at), says)
	case status == http.StatusNotFound, status == http.StatusGone, status/100 == 5 && status != http.StatusNotImplemented:
		return status, At(at, says)
	}
	return status, nil
}

// Credentials is a pointer to the field that says who we are, for At; nil if none does.
func (c *HTTPClient) Credentials() any {
	switch {
	case c.BasicAuth != nil:
		return &c.BasicAuth
	case c.BearerTokenFile != "":
		return &c.BearerTokenFile
	case c.BearerToken.IsSet():
		return &c.BearerToken
	}
	return nil
}
