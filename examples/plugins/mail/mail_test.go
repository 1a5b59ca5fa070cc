package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

func TestItKeepsTheContract(t *testing.T) { plugintest.Verify(t, ".") }

func TestTheExampleIsValid(t *testing.T) {
	t.Setenv("MAIL_PASSWORD", "right")
	plugintest.Example(t, "example.hcl", "mail", capability)
}

// server is a real SMTP server with a certificate. What it refuses depends on the address; what it took is in mails.
type server struct {
	address, ca string
	mails       chan received
	greylist    int // how often rare@ is to come again
}

type received struct {
	from string
	to   []string
	text string
}

func serveMail(t *testing.T, wrap func(net.Listener, *tls.Config) net.Listener) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{address: l.Addr().String(), ca: filepath.Join(t.TempDir(), "ca.pem"), mails: make(chan received, 10)}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	daemon := smtp.NewServer(s)
	daemon.Domain, daemon.TLSConfig, daemon.AllowInsecureAuth = "mail.test", config, false
	if wrap != nil {
		l, daemon.TLSConfig = wrap(l, config), nil
	}
	go daemon.Serve(l)
	t.Cleanup(func() { daemon.Close() })
	return s
}

func (s *server) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{s: s}, nil }

type session struct {
	s    *server
	user string
	mail received
}

func (x *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (x *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if password != "right" {
			return smtp.ErrAuthFailed
		}
		x.user = user
		return nil
	}), nil
}

func (x *session) Mail(from string, _ *smtp.MailOptions) error {
	if x.user == "" {
		return smtp.ErrAuthRequired
	}
	x.mail = received{from: from}
	return nil
}

func (x *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "unknown@") {
		return &smtp.SMTPError{Code: 550, Message: "no such user"}
	}
	if strings.HasPrefix(to, "rare@") && x.s.greylist > 0 {
		x.s.greylist--
		return &smtp.SMTPError{Code: 450, Message: "greylisted"}
	}
	x.mail.to = append(x.mail.to, to)
	return nil
}

func (x *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	x.mail.text = string(text)
	x.s.mails <- x.mail
	return err
}

func (x *session) Reset()        {}
func (x *session) Logout() error { return nil }

func (s *server) config(change plugintest.Config) plugintest.Config {
	cfg := plugintest.Config{
		"server": s.address, "from": "Mägpie <magpie@example.org>", "to": []string{"a@example.org", "Zoë <b@example.org>"},
		"username": "magpie", "password": "right", "tls": plugintest.Config{"ca_file": s.ca},
	}
	for name, value := range change {
		cfg[name] = value
	}
	return cfg
}

func note() sdk.Notification {
	return sdk.Notification{
		GroupKey: "{}", IdempotencyKey: "abc", Status: sdk.Firing, ExternalURL: "http://magpie:9470",
		Title: "[FIRING:1] Übel\r\nBcc: everybody@example.org", Text: "db-1 antwortet nicht\n.\n" + strings.Repeat("long ", 30),
	}
}

func TestAServerTakesTheMailOverSTARTTLS(t *testing.T) {
	s := serveMail(t, nil)
	c := plugintest.Open(t, capability, s.config(nil))
	first, err := c.Notify(t.Context(), c.Number, note())
	if err != nil {
		t.Fatal(err)
	}
	got := <-s.mails
	if got.from != "magpie@example.org" || strings.Join(got.to, " ") != "a@example.org b@example.org" {
		t.Errorf("%+v", got)
	}
	golden(t, "first.mail", got)
	later := note()
	later.IdempotencyKey, later.Previous = "def", first
	if again, err := c.Notify(t.Context(), c.Number, later); err != nil || again != first {
		t.Errorf("%v, %v", again, err)
	}
	golden(t, "later.mail", <-s.mails)
}

// golden compares a mail with a file of testdata.
func golden(t *testing.T, name string, got received) {
	t.Helper()
	plugintest.Golden(t, name, got.text, `\r`, "", `(?m)^Date: .*`, "Date: …")
}

func TestAServerTakesTheMailOverTLS(t *testing.T) {
	s := serveMail(t, func(l net.Listener, c *tls.Config) net.Listener { return tls.NewListener(l, c) })
	c := plugintest.Open(t, capability, s.config(plugintest.Config{"security": "tls"}))
	if _, err := c.Notify(t.Context(), c.Number, note()); err != nil {
		t.Error(err)
	}
}

func TestRefusalsSayWhetherToTryAgain(t *testing.T) {
	s := serveMail(t, nil)
	for _, c := range []struct {
		change    plugintest.Config
		permanent bool
		path, is  string
	}{
		{plugintest.Config{"password": "wrong-word"}, true, "password", "535"},
		{plugintest.Config{"to": []string{"unknown@x.org"}}, true, "to[0]", "no such user"},
		{plugintest.Config{"tls": plugintest.Config{}}, false, "", "certificate"},
		{plugintest.Config{"server": "127.0.0.1:1"}, false, "", "refused"},
	} {
		o := plugintest.Open(t, capability, s.config(c.change))
		_, err := o.Notify(t.Context(), o.Number, note())
		p := sdk.AsProblem(err)
		if p == nil || p.Permanent != c.permanent || p.Path.String() != c.path || p.Blame != sdk.BlameTarget || !strings.Contains(p.Error(), c.is) || strings.Contains(p.Error(), "wrong-word") {
			t.Errorf("%v: permanent %v, blames %s at %q: %v", c.change, p.Permanent, p.Blame, p.Path, p)
		}
	}
	if len(s.mails) != 0 {
		t.Error("a mail came")
	}
}

func TestAReceiverThatIsNotThereDoesNotKeepTheOthersFromTheirs(t *testing.T) {
	s := serveMail(t, nil)
	s.greylist = 1
	c := plugintest.Open(t, capability, s.config(plugintest.Config{"to": []string{"unknown@x.org", "a@x.org", "rare@x.org"}}))
	if _, err := c.Notify(t.Context(), c.Number, note()); err == nil || sdk.AsProblem(err).Permanent || len(s.mails) != 0 {
		t.Errorf("greylisted: %v", err)
	}
	if _, err := c.Notify(t.Context(), c.Number, note()); err != nil {
		t.Fatal(err)
	}
	if got := <-s.mails; strings.Join(got.to, " ") != "a@x.org rare@x.org" {
		t.Errorf("%+v", got)
	}
}

func TestASilentServerIsGivenUpInTime(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := &server{address: l.Addr().String()}
	c := plugintest.Open(t, capability, s.config(plugintest.Config{"tls": nil, "send_timeout": 100 * time.Millisecond}))
	if _, err := c.Notify(t.Context(), c.Number, note()); err == nil || !strings.Contains(err.Error(), "did not take it within 100ms") || sdk.AsProblem(err).Permanent {
		t.Error(err)
	}
}

func TestWhatDoesNotFitTogetherIsSaidOffline(t *testing.T) {
	for want, change := range map[string]plugintest.Config{
		`to[1]: "nobody" is no mail address`:                                       {"to": []string{"a@b.c", "nobody"}},
		"to: name at least one receiver":                                           {"to": []string{}},
		"password: a password needs a username":                                    {"username": ""},
		"security: a password is not sent over a connection that is not encrypted": {"security": "none"},
		`from: "x" is no mail address`:                                             {"from": "x"},
		`tls: a tls block has no use with security = "none"`:                       {"security": "none", "password": "", "username": ""},
		"tls: cert_file and key_file go together: one of them is missing":          {"tls": plugintest.Config{"cert_file": "/dev/null"}},
	} {
		if got := plugintest.Remarks(t, capability, (&server{address: "a:1"}).config(change)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestAProbeLogsIn(t *testing.T) {
	s := serveMail(t, nil)
	if _, err := plugintest.Probe(t, capability, s.config(nil)); err != nil {
		t.Error(err)
	}
	if _, err := plugintest.Probe(t, capability, s.config(plugintest.Config{"password": "wrong"})); err == nil || sdk.AsProblem(err).Path.String() != "password" {
		t.Error(err)
	}
}

func FuzzMessage(f *testing.F) {
	f.Add("title", "text", "<a@b>")
	f.Add("ü\r\nBcc: x", ".\r\n..", "")
	f.Fuzz(func(t *testing.T, title, text, previous string) {
		if strings.ContainsAny(previous, "\r\n") {
			return // it is what an earlier messageID was
		}
		c := Config{From: "a@b.c", To: []string{"d@e.f"}}
		n := sdk.Notification{Title: title, Text: text, Previous: sdk.Receipt{ID: previous}}
		var out bytes.Buffer
		if err := c.message(&out, n, messageID(n)); err != nil {
			t.Fatal(err)
		}
		m, err := mail.ReadMessage(&out)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Header) > 11 {
			t.Fatalf("%v", m.Header)
		}
	})
}
