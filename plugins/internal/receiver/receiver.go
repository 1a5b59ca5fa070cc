// Package receiver is what stands before a source that is sent data over HTTP or gRPC: who may write, encryption, the server,
// and the reading of a request that may mean harm.
//
//	type Config struct {
//		Listen          string `hcl:"listen" check:"hostport" doc:"…"`
//		receiver.Access // tls, bearer_token, basic_auth
//	}
//
//	func (c *Config) Validate(d *sdk.Diags) {
//		c.Access.Validate(d)
//		receiver.ValidateAddress(d, &c.Listen, c.Guarded(), "set bearer_token, basic_auth, or client_ca_file in tls")
//	}
//
// At Open, so that a mistake points at its attribute, and in Stream:
//
//	listener, err := cfg.TLS.Listen(host, &cfg.Listen, "h2", "http/1.1")
//	err := receiver.Serve(ctx, listener, handler)
//
// And in the handler, where an error of the second is a *Refusal, whose status is the answer's:
//
//	admitted, err := cfg.Admits(receiver.Authorization(r.Header.Get("Authorization")))
//	body, err := receiver.Body(r, limit)
//
// # How it is tested
//
// With certificates that the tests make, over real listeners: those who show the right one, another one or none, and those
// who do not encrypt. The plugins that use it test the same once from end to end.
package receiver

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Access is who may write: embed it in a Config. A source whose attributes have other names fills one itself.
type Access struct {
	TLS         *TLS           `hcl:"tls,block" doc:"Certificate to show to senders; without it, connections are not encrypted."`
	BearerToken sdk.Secret     `hcl:"bearer_token,optional" doc:"Token that senders must send as Authorization: Bearer."`
	BasicAuth   *sdk.BasicAuth `hcl:"basic_auth,block" doc:"User and password that senders must send."`
}

// Validate checks what belongs together.
func (a *Access) Validate(d *sdk.Diags) {
	ValidateLogin(d, a.BasicAuth)
	if a.BasicAuth != nil && a.BearerToken.IsSet() {
		d.Errorf(&a.BearerToken, "basic_auth and bearer_token exclude each other: both are the Authorization header")
	}
}

// ValidateLogin checks a basic_auth block, if there is one.
func ValidateLogin(d *sdk.Diags, b *sdk.BasicAuth) {
	if b != nil && b.Password.IsSet() == (b.PasswordFile != "") {
		d.Errorf(b, "give basic_auth a password or a password_file")
	}
}

// ValidateAddress checks an address to listen at, and warns where anyone who reaches it can write; guard says what to do
// about that.
func ValidateAddress(d *sdk.Diags, address *string, guarded bool, guard string) {
	host, _, err := net.SplitHostPort(*address)
	if err != nil {
		d.Errorf(address, "%q is not host:port", *address)
		return
	}
	if guarded || host == "localhost" || net.ParseIP(host).IsLoopback() {
		return
	}
	if guard != "" {
		guard = ": " + guard
	}
	d.Warnf(address, "anyone who reaches %s can write metrics%s", *address, guard)
}

// Guarded reports whether not everybody may write who reaches the address.
func (a *Access) Guarded() bool {
	return a.asks() || a.TLS != nil && a.TLS.ClientCAFile != ""
}

func (a *Access) asks() bool { return a.BearerToken.IsSet() || a.BasicAuth != nil }

// Challenge is the WWW-Authenticate header for who is not admitted.
func (a *Access) Challenge(realm string) string {
	if a.BasicAuth != nil {
		return fmt.Sprintf("Basic realm=%q", realm)
	}
	return fmt.Sprintf("Bearer realm=%q", realm)
}

// Credentials are what a sender shows: a token, or a user and a password.
type Credentials struct{ Token, User, Password string }

// Authorization reads the header of that name. The scheme's case does not matter.
func Authorization(header string) (c Credentials) {
	scheme, rest, _ := strings.Cut(header, " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		c.Token = rest
	case strings.EqualFold(scheme, "Basic"):
		if pair, err := base64.StdEncoding.DecodeString(rest); err == nil {
			c.User, c.Password, _ = strings.Cut(string(pair), ":")
		}
	}
	return c
}

// Admits compares what a sender shows with what is asked for, in constant time; where both a token and a password are asked
// for, either will do. An error is not the sender's fault: it is to come again.
func (a *Access) Admits(shown Credentials) (bool, error) {
	if !a.asks() {
		return true, nil
	}
	if a.BearerToken.IsSet() && same(shown.Token, a.BearerToken.Reveal()) == 1 {
		return true, nil
	}
	b := a.BasicAuth
	if b == nil {
		return false, nil
	}
	password := b.Password.Reveal()
	if b.PasswordFile != "" {
		content, err := os.ReadFile(b.PasswordFile)
		if err != nil {
			return false, sdk.At(&b.PasswordFile, err)
		}
		password = strings.TrimSpace(string(content))
	}
	return same(shown.User, b.Username)&same(shown.Password, password) == 1 && password != "", nil
}

// same is 1 for equal texts; how long it takes says nothing of where they differ, nor of their lengths.
func same(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}
