// The notifier "mail" sends notifications by mail, over SMTP: with STARTTLS, TLS from the beginning or neither, with a
// password or without. All notifications of a group of alerts are one thread; the subject and the text are those that the
// daemon rendered.
//
// # Delivery
//
// A mail counts as delivered when the server has taken it. What it refuses for now (4xx, such as greylisting) or what does
// not reach it is tried again by the daemon; 5xx is final. Every attempt has the same Message-ID, by which receivers drop a
// second one. An address that is refused for good is left out and logged, if there is another.
//
// # How it is tested
//
// Against the SMTP server of github.com/emersion/go-smtp in the same process, with a certificate and passwords. Not tried:
// the servers of mail providers.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Config is the block of the notifier.
type Config struct {
	Server   string        `hcl:"server" check:"hostport" doc:"Host and port: 587 for starttls, 465 for tls, 25 for none, as a rule."`
	Security string        `hcl:"security,optional" default:"starttls" check:"oneof=starttls tls none" doc:"How the connection is encrypted; starttls fails where the server does not offer it."`
	From     string        `hcl:"from" doc:"Sender: Magpie <magpie@example.org>."`
	To       []string      `hcl:"to" doc:"Receivers."`
	Username string        `hcl:"username,optional" doc:"User to authenticate as; none: no authentication."`
	Password sdk.Secret    `hcl:"password,optional" doc:"Password of username."`
	Hello    string        `hcl:"hello,optional" default:"localhost" doc:"Name to greet with; some servers want one that resolves."`
	Timeout  time.Duration `hcl:"send_timeout,optional" default:"30s" check:"min=100ms,max=50s" doc:"How long one attempt may take."`
	TLS      *sdk.TLS      `hcl:"tls,block" doc:"How to verify the server, and what to show it."`
}

// Validate checks the addresses, and what belongs together.
func (c *Config) Validate(d *sdk.Diags) {
	if _, err := mail.ParseAddress(c.From); err != nil {
		d.Errorf(&c.From, "%q is no mail address", c.From)
	}
	if len(c.To) == 0 {
		d.Errorf(&c.To, "name at least one receiver")
	}
	for i := range c.To {
		if _, err := mail.ParseAddress(c.To[i]); err != nil {
			d.Errorf(&c.To[i], "%q is no mail address", c.To[i])
		}
	}
	switch {
	case c.Password.IsSet() && c.Username == "":
		d.Errorf(&c.Password, "a password needs a username")
	case c.Password.IsSet() && c.Security == "none":
		d.Errorf(&c.Security, "a password is not sent over a connection that is not encrypted")
	case c.TLS != nil && c.Security == "none":
		d.Errorf(&c.TLS, "a tls block has no use with security = \"none\"")
	}
	if c.TLS != nil {
		c.TLS.Validate(d)
	}
}

type notifier struct {
	cfg  *Config
	host sdk.Host
}

func open(_ context.Context, cfg *Config, host sdk.Host) (*notifier, error) {
	return &notifier{cfg, host}, nil
}

// Notify sends one mail. The receipt is the Message-ID of the group's first one, which the others answer to.
func (n *notifier) Notify(ctx context.Context, m sdk.Notification) (sdk.Receipt, error) {
	first := m.Previous
	id := messageID(m)
	if first.ID == "" {
		first.ID = id
	}
	err := n.cfg.session(ctx, func(c *smtp.Client) error {
		if err := n.envelope(c); err != nil {
			return err
		}
		w, err := c.Data()
		if err != nil {
			return err
		}
		if err := n.cfg.message(w, m, id); err != nil {
			return err
		}
		return w.Close() // the server's answer
	})
	return first, err
}

// envelope names sender and receivers. A refusal for now stops it, before anybody gets a mail that others get twice.
func (n *notifier) envelope(c *smtp.Client) error {
	if err := c.Mail(address(n.cfg.From)); err != nil {
		return sdk.At(&n.cfg.From, err)
	}
	taken := 0
	var refused error
	for i := range n.cfg.To {
		err := c.Rcpt(address(n.cfg.To[i]))
		switch {
		case err == nil:
			taken++
		case !final(err):
			return err
		default:
			refused = sdk.At(&n.cfg.To[i], err)
			n.host.Log().Warn("the server refuses a receiver", "to", n.cfg.To[i], "error", err)
		}
	}
	if taken == 0 {
		return refused
	}
	return nil
}

// Probe logs in and sends nothing, for magpie check -online.
func (c *Config) Probe(ctx context.Context) error {
	return c.session(ctx, func(client *smtp.Client) error { return client.Noop() })
}

// session connects, encrypts and authenticates, calls talk and says good-bye. It says of an error whose it is.
func (c *Config) session(ctx context.Context, talk func(*smtp.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	err := c.connected(ctx, talk)
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return sdk.Target(fmt.Errorf("%s did not take it within %s", c.Server, c.Timeout))
	}
	if err = sdk.Target(fmt.Errorf("%s: %w", c.Server, err)); final(err) {
		return sdk.Permanent(err)
	}
	return err
}

func (c *Config) connected(ctx context.Context, talk func(*smtp.Client) error) error {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.TLS != nil {
		var err error
		if config, err = c.TLS.Config(); err != nil {
			return err
		}
	}
	host, _, err := net.SplitHostPort(c.Server)
	if err != nil {
		return sdk.At(&c.Server, err)
	}
	if config.ServerName == "" {
		config.ServerName = host
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", c.Server)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })() // net/smtp knows no context
	if c.Security == "tls" {
		conn = tls.Client(conn, config)
	}
	client, err := smtp.NewClient(conn, host)
	if err != nil {
		return err
	}
	if err := client.Hello(c.Hello); err != nil {
		return err
	}
	if c.Security == "starttls" {
		if ok, _ := client.Extension("STARTTLS"); !ok {
			return sdk.Permanent(sdk.At(&c.Security, errors.New("the server does not offer STARTTLS")))
		}
		if err := client.StartTLS(config); err != nil {
			return err
		}
	}
	if c.Username != "" {
		if err := client.Auth(smtp.PlainAuth("", c.Username, c.Password.Reveal(), host)); err != nil {
			return sdk.At(&c.Password, err)
		}
	}
	if err := talk(client); err != nil {
		return err
	}
	client.Quit() // what was taken is taken, whatever it says to that
	return nil
}

// final reports whether the server says that it will never take this.
func final(err error) bool {
	var answer *textproto.Error
	return errors.As(err, &answer) && answer.Code/100 == 5
}

// address is the bare address of one that Validate has read.
func address(text string) string {
	a, err := mail.ParseAddress(text)
	if err != nil {
		return text
	}
	return a.Address
}

var (
	_ sdk.Messenger = (*notifier)(nil)
	_ sdk.Prober    = (*Config)(nil)
	_ sdk.Validator = (*Config)(nil)
)
