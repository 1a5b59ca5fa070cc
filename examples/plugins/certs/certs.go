// The source "certs" tells until when the certificates in files are valid: those of web servers, of etcd and Kubernetes, of
// VPNs. A certificate that a server shows is found by asking the server; one that is shown to others, or that waits on disk
// for a restart, only here. Keys are not read: a PEM block that is no CERTIFICATE is passed over.
//
// A file that cannot be read makes up 0 and is named in `magpie status`; the other files are told all the same, and
// certificate_file_readable says which it is.
//
// GET /plugins/source.certs.NAME/ of the daemon lists the certificates as they are at that moment, in JSON.
//
// # How it is tested
//
// With certificates that openssl made, those of this machine's /etc/ssl/certs, and damaged ones.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/magpie-monitoring/magpie/sdk"
)

var (
	notAfter  = sdk.Gauge("certificate_not_after_timestamp_seconds", "Until when the certificate is valid.", "path", "subject", "issuer", "serial")
	notBefore = sdk.Gauge("certificate_not_before_timestamp_seconds", "From when on the certificate is valid.", "path", "subject", "issuer", "serial")
	readable  = sdk.Gauge("certificate_file_readable", "1 if certificates could be read from the file, 0 if not.", "path")
)

const (
	maxFile  = 4 << 20 // bytes of a file; all of Debian's authorities are 220 kB
	maxFiles = 10_000  // of all patterns together
)

// Config is the block of the source.
type Config struct {
	Files []string `hcl:"files" doc:"Files of certificates, in PEM or DER, or patterns of them: /etc/ssl/private/*.pem."`
}

// Validate checks the patterns.
func (c *Config) Validate(d *sdk.Diags) {
	if len(c.Files) == 0 {
		d.Errorf(&c.Files, "name at least one file or pattern")
	}
	for i := range c.Files {
		if _, err := filepath.Match(c.Files[i], ""); err != nil {
			d.Errorf(&c.Files[i], "%q is no pattern: %v", c.Files[i], err)
		}
	}
}

type source struct{ cfg *Config }

func open(_ context.Context, cfg *Config, _ sdk.Host) (*source, error) { return &source{cfg}, nil }

// Collect reads all files again: they are few, and renewed in any way.
func (s *source) Collect(ctx context.Context, out *sdk.Batch) error {
	return s.each(ctx, func(path string, found []certificate, err error) {
		out.Set(readable, map[bool]float64{true: 1}[err == nil], path)
		for _, c := range found {
			out.Set(notAfter, float64(c.NotAfter.Unix()), path, c.subject, c.issuer, c.serial)
			out.Set(notBefore, float64(c.NotBefore.Unix()), path, c.subject, c.issuer, c.serial)
		}
	})
}

// Probe says until when each certificate is valid, for magpie check -online.
func (s *source) Probe(ctx context.Context) error {
	var bad []error
	err := s.each(ctx, func(path string, found []certificate, _ error) {
		for _, c := range found {
			bad = append(bad, sdk.ProbeCertificate(ctx, path+": the certificate of "+c.subject, c.Certificate))
		}
	})
	return errors.Join(append(bad, err)...)
}

// each reads the files of all patterns and joins what is wrong with them, at the places of the patterns.
func (s *source) each(ctx context.Context, visit func(path string, found []certificate, err error)) error {
	var seen []string
	var wrong []error
	for i := range s.cfg.Files {
		at := func(err error) { wrong = append(wrong, sdk.Target(sdk.At(&s.cfg.Files[i], err))) }
		paths, err := filepath.Glob(s.cfg.Files[i])
		if err != nil || len(paths) == 0 {
			at(fmt.Errorf("there is no file %s", s.cfg.Files[i]))
		}
		for _, path := range paths {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if slices.Contains(seen, path) { // of two patterns
				continue
			}
			if seen = append(seen, path); len(seen) > maxFiles {
				return sdk.At(&s.cfg.Files[i], fmt.Errorf("there are more than %d files", maxFiles))
			}
			found, err := read(path)
			if err != nil {
				at(err)
			}
			visit(path, found, err)
		}
	}
	if len(wrong) > 3 {
		wrong = append(wrong[:3], fmt.Errorf("and %d more", len(wrong)-3))
	}
	return errors.Join(wrong...)
}

// read reads the certificates of a file. What is no regular file could make it wait for ever.
func read(path string) ([]certificate, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	found, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return found, nil
}

var (
	_ sdk.Collector = (*source)(nil)
	_ sdk.Prober    = (*source)(nil)
	_ sdk.Validator = (*Config)(nil)
)
