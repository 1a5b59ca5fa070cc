// Package certificates makes certificates for the tests of plugins: an authority, and what it issues for the loopback address.
//
//	authority := certificates.New(t)
//	server := authority.Issue() // its files
//	client := http.Client{Transport: &http.Transport{TLSClientConfig: authority.Client(authority.Issue())}}
package certificates

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority issues certificates in the directory of a test.
type Authority struct {
	File string // its own certificate, in PEM

	t      testing.TB
	dir    string
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	issued int64
}

// Pair is the files of a certificate and its key, in PEM.
type Pair struct{ Cert, Key string }

// New makes an authority.
func New(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, dir: t.TempDir(), key: newKey(t)}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	a.File = a.write("ca.pem", "CERTIFICATE", a.sign(a.cert, a.key))
	return a
}

// Issue makes a certificate for 127.0.0.1 and other addresses, for servers and clients.
func (a *Authority) Issue(others ...net.IP) Pair {
	a.t.Helper()
	a.issued++
	key := newKey(a.t)
	cert := a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(1 + a.issued), Subject: pkix.Name{CommonName: fmt.Sprint("issued ", a.issued)}, IPAddresses: append(others, net.IPv4(127, 0, 0, 1)),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}, key)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return Pair{
		Cert: a.write(fmt.Sprintf("cert%d.pem", a.issued), "CERTIFICATE", cert),
		Key:  a.write(fmt.Sprintf("key%d.pem", a.issued), "PRIVATE KEY", private),
	}
}

// Client is the side of a client that trusts the authority and shows a certificate, if it is given one.
func (a *Authority) Client(shown ...Pair) *tls.Config {
	a.t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	c := &tls.Config{RootCAs: roots}
	for _, p := range shown {
		pair, err := tls.LoadX509KeyPair(p.Cert, p.Key)
		if err != nil {
			a.t.Fatal(err)
		}
		// shown whatever authorities the server names: what it makes of it is what is tested
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return c
}

// Strangers are clients that do not get through to a server that shows a certificate of the authority and asks for one.
func (a *Authority) Strangers() map[string]*tls.Config {
	a.t.Helper()
	other := New(a.t)
	return map[string]*tls.Config{
		"no certificate":                 a.Client(),
		"another authority's":            a.Client(other.Issue()),
		"one that trusts another server": other.Client(a.Issue()),
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign makes a certificate for a key; a.cert becomes the parsed one when it is signed by itself.
func (a *Authority) sign(of *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, of, a.cert, key.Public(), a.key)
	if err == nil && of == a.cert {
		a.cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

func (a *Authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}
