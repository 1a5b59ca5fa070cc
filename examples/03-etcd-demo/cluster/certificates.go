package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// authority issues the one certificate that members and clients of a cluster with TLS show.
type authority struct {
	file string
	pair struct{ cert, key string } // files
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Files are the authority's certificate, and the certificate and key to show, in PEM; empty without TLS.
func (c *Cluster) Files() (ca, cert, key string) {
	if c.authority == nil {
		return "", "", ""
	}
	return c.authority.file, c.authority.pair.cert, c.authority.pair.key
}

func (c *Cluster) certify() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	a := &authority{file: c.path("ca.pem"), key: key}
	a.pair.cert, a.pair.key = c.path("cert.pem"), c.path("key.pem")
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of the demo"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, key.Public(), key)
	if err != nil {
		return err
	}
	if err := writePEM(a.file, "CERTIFICATE", der); err != nil {
		return err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	c.authority = a
	if err := c.Issue(30 * 24 * time.Hour); err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	c.tls = &tls.Config{RootCAs: roots, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(a.pair.cert, a.pair.key)
		return &pair, err
	}}
	return nil
}

// Issue puts a new certificate in the place of the old, valid for so long. etcd reads it at the next connection.
func (c *Cluster) Issue(valid time.Duration) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "etcd"}, IPAddresses: []net.IP{net.ParseIP(loopback), net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(valid),
	}, c.authority.cert, key.Public(), c.authority.key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writePEM(c.authority.pair.key, "PRIVATE KEY", private); err != nil {
		return err
	}
	return writePEM(c.authority.pair.cert, "CERTIFICATE", der)
}

func writePEM(path, kind string, der []byte) error {
	return writeFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
