package receiver

import (
	"bytes"
	"os"
	"testing"

	"github.com/magpie-monitoring/magpie/plugins/internal/certificates"
	"github.com/magpie-monitoring/magpie/sdk"
)

// A certificate that is rotated is shown at the next handshake; what does not fit together leaves the one that did.
func TestARotatedCertificateIsShownAndABadOneIsNot(t *testing.T) {
	t.Parallel()
	a := certificates.New(t)
	first, second := a.Issue(), a.Issue()
	files := a.Issue()
	put := func(cert, key string) {
		for to, from := range map[string]string{files.Cert: cert, files.Key: key} {
			text, _ := os.ReadFile(from)
			if err := os.WriteFile(to, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(first.Cert, first.Key)
	pair := &sdk.KeyPair{CertFile: files.Cert, KeyFile: files.Key}
	one, err := pair.Load()
	if err != nil {
		t.Fatal(err)
	}
	put(second.Cert, first.Key) // the key is written a moment later
	if now, err := pair.Load(); err != nil || !bytes.Equal(now.Certificate[0], one.Certificate[0]) {
		t.Errorf("half a rotation is shown: %v", err)
	}
	put(second.Cert, second.Key)
	if now, err := pair.Load(); err != nil || bytes.Equal(now.Certificate[0], one.Certificate[0]) {
		t.Errorf("the new certificate is not shown: %v", err)
	}
	if _, err := (&sdk.KeyPair{CertFile: "none", KeyFile: "none"}).Load(); err == nil {
		t.Error("nothing was read, and there is no error")
	}
}
