package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

func TestItKeepsTheContract(t *testing.T) { plugintest.Verify(t, ".") }

func TestTheExampleIsValid(t *testing.T) {
	plugintest.Example(t, "example.hcl", "certs", capability)
}

// made makes a certificate, in DER.
func made(t testing.TB, name string, serial int64, until time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Unix(1000, 0), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func inPEM(der ...[]byte) (text []byte) {
	for _, d := range der {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d})...)
	}
	return text
}

func write(t testing.TB, dir, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEachCertificateOfAChainIsTold(t *testing.T) {
	dir, until := t.TempDir(), time.Unix(2_000_000_000, 0)
	leaf, ca := made(t, "shop", 0xabc, until), made(t, "authority", 7, until.Add(time.Hour))
	write(t, dir, "chain.pem", append([]byte("a remark\n"), inPEM(leaf, ca, leaf)...))
	write(t, dir, "one.der", ca)
	c := plugintest.Open(t, capability, plugintest.Config{"files": []string{dir + "/*.pem", dir + "/*"}})
	plugintest.Golden(t, "chain.metrics", c.Cycle(), dir, "DIR")
}

func TestWhatOpensslMadeIsRead(t *testing.T) {
	openssl := plugintest.Program(t, "openssl")
	dir := t.TempDir()
	out, err := exec.Command(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", dir+"/both.pem", "-out", dir+"/c.crt", "-days", "30", "-subj", "/O=Züri/CN=shop", "-utf8").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	key, _ := os.ReadFile(dir + "/both.pem")
	cert, _ := os.ReadFile(dir + "/c.crt")
	write(t, dir, "both.pem", append(key, cert...)) // as HAProxy has them
	got := plugintest.Open(t, capability, plugintest.Config{"files": []string{dir + "/both.pem"}}).Cycle()
	if one := got.Find("certificate_not_after_timestamp_seconds", "subject", "CN=shop,O=Züri"); len(one) != 1 || time.Until(time.Unix(int64(one[0].Value), 0)).Round(24*time.Hour) != 30*24*time.Hour {
		t.Errorf("%s", got)
	}
}

func TestAFileThatCannotBeReadDoesNotHideTheOthers(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.pem", []byte("no certificate"))
	write(t, dir, "b.pem", inPEM(made(t, "b", 1, time.Unix(2e9, 0))))
	write(t, dir, "c.pem", inPEM([]byte("junk")))
	write(t, dir, "d.pem", make([]byte, maxFile+1))
	if err := os.Mkdir(filepath.Join(dir, "e.pem"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := plugintest.Open(t, capability, plugintest.Config{"files": []string{"/nonexistent/*.pem", dir + "/*.pem"}})
	plugintest.Golden(t, "damaged.metrics", c.Cycle(), dir, "DIR")
	h := c.Health()
	if text := h.LastError.GetText(); h.Errors["target"] != 1 || !strings.Contains(text, "there is no file /nonexistent/*.pem") || !strings.Contains(text, "and 2 more") {
		t.Errorf("%v", h)
	}
}

func TestAPatternThatIsNoneIsSaidWhereItIs(t *testing.T) {
	if got, want := plugintest.Remarks(t, capability, plugintest.Config{"files": []string{"/a", "/b["}}), `files[1]: "/b[" is no pattern: syntax error in pattern`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := plugintest.Remarks(t, capability, plugintest.Config{"files": []string{}}); !strings.HasPrefix(got, "files: ") {
		t.Errorf("got %q", got)
	}
}

func TestAProbeSaysUntilWhen(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "a.pem", inPEM(made(t, "a", 1, time.Now().Add(100*24*time.Hour))))
	found, err := plugintest.Probe(t, capability, plugintest.Config{"files": []string{path}})
	if err != nil || len(found) != 1 || !strings.Contains(found[0], "the certificate of CN=a is valid until") {
		t.Errorf("%q, %v", found, err)
	}
	write(t, dir, "a.pem", inPEM(made(t, "a", 1, time.Unix(2000, 0))))
	if _, err := plugintest.Probe(t, capability, plugintest.Config{"files": []string{path}}); err == nil || !strings.Contains(err.Error(), "expired at 1970-01-01") {
		t.Errorf("%v", err)
	}
}

func TestThePageListsWhatIsInTheFilesNow(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.pem", inPEM(made(t, "shop", 1, time.Unix(2e9, 0))))
	c := plugintest.Open(t, capability, plugintest.Config{"files": []string{dir + "/*.pem", "/nonexistent"}})
	ask := func(method, path string) (status int, kind, body string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, "http://plugin"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := c.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, answer.Header.Get("Content-Type"), string(text)
	}
	status, kind, body := ask("GET", "/")
	if status != 200 || kind != "application/json" {
		t.Errorf("%d %s\n%s", status, kind, body)
	}
	plugintest.Golden(t, "page.json", json.RawMessage(body), dir, "DIR")
	if status, _, body = ask("POST", "/"); status != 405 {
		t.Errorf("%d\n%s", status, body)
	}
	if status, _, body = ask("GET", "/../etc/passwd"); status != 404 {
		t.Errorf("%d\n%s", status, body)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(inPEM(made(f, "a", 1, time.Unix(2e9, 0))))
	f.Add(made(f, "b", 2, time.Unix(2e9, 0)))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		found, err := parse(text)
		if (err == nil) != (len(found) > 0) {
			t.Fatalf("%d certificates, %v", len(found), err)
		}
		for _, c := range found {
			if !sdk.NewLabels("subject", c.subject, "issuer", c.issuer, "serial", c.serial).Valid() && len(c.subject)+len(c.issuer)+len(c.serial) < 1<<16 {
				t.Fatalf("%q, %q, %q are no values of labels", c.subject, c.issuer, c.serial)
			}
		}
	})
}
