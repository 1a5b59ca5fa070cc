package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// certificate is one of a file, with what names it.
type certificate struct {
	*x509.Certificate
	subject, issuer, serial string
}

// parse reads certificates in PEM, or in DER where there is no PEM. Each is there once.
func parse(text []byte) ([]certificate, error) {
	var all []*x509.Certificate
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(all)+1, err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		der, err := x509.ParseCertificates(text)
		if err != nil || len(der) == 0 {
			return nil, errors.New("it holds no certificate, neither in PEM nor in DER")
		}
		all = der
	}
	var found []certificate
	for _, c := range all {
		if !slices.ContainsFunc(found, func(f certificate) bool { return f.Equal(c) }) {
			found = append(found, certificate{c, named(c.Subject.String()), named(c.Issuer.String()), c.SerialNumber.Text(16)})
		}
	}
	return found, nil
}

// named is a name that a label takes.
func named(name string) string { return strings.ToValidUTF8(name, "�") }
