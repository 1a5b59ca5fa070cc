package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// ---- A plugin that tells everybody what it was told in confidence.

type leakyConfig struct {
	Dir       string            `hcl:"dir,optional" doc:"Where it looks for the files panic, die and print."`
	How       string            `hcl:"how,optional" doc:"open: it does not open and says why. exit: its process ends. validate: it says why it is invalid."`
	Plain     string            `hcl:"plain,optional" doc:"A secret that is declared as none."`
	List      []string          `hcl:"list,optional" doc:"Some more."`
	Count     int               `hcl:"count,optional" doc:"A number."`
	Password  sdk.Secret        `hcl:"password,optional" doc:"A secret."`
	Passwords []sdk.Secret      `hcl:"passwords,optional" doc:"Secrets."`
	Headers   map[string]string `hcl:"headers,optional" sensitive:"true" doc:"Headers."`
	URL       string            `hcl:"url,optional" check:"url" doc:"A URL."`
	Basic     *sdk.BasicAuth    `hcl:"basic_auth,block" doc:"A login."`
	Login     []leakyLogin      `hcl:"login,block" doc:"More logins."`
}

type leakyLogin struct {
	User     string     `hcl:"user,label" doc:"A user."`
	Password sdk.Secret `hcl:"password" doc:"A secret."`
}

// secrets are all that it knows, in several writings.
func (c *leakyConfig) secrets() (all []string) {
	plain := append([]string{c.Plain, c.Password.Reveal(), c.URL}, c.List...)
	for _, s := range c.Passwords {
		plain = append(plain, s.Reveal())
	}
	for _, s := range c.Headers {
		plain = append(plain, s)
	}
	for _, l := range c.Login {
		plain = append(plain, l.Password.Reveal())
	}
	if c.Basic != nil {
		plain = append(plain, c.Basic.Password.Reveal())
	}
	for _, s := range plain {
		if len(s) > 3 {
			all = append(all, strings.Join([]string{s, fmt.Sprintf("%q", s), url.QueryEscape(s), base64.StdEncoding.EncodeToString([]byte("user:" + s)), base64.URLEncoding.EncodeToString([]byte(s)), hex.EncodeToString([]byte(s))}, " "))
		}
	}
	return all
}

func (c *leakyConfig) Validate(d *sdk.Diags) {
	d.Warnf(&c.Password, "is it wise to say %s?", strings.Join(c.secrets(), " "))
	if c.How == "validate" {
		d.Errorf(&c.Plain, "not %s", strings.Join(c.secrets(), " "))
	}
}

type leaky struct {
	cfg  *leakyConfig
	host sdk.Host
}

func openLeaky(ctx context.Context, cfg *leakyConfig, host sdk.Host) (*leaky, error) {
	l := &leaky{cfg, host}
	for _, s := range cfg.secrets() {
		host.Log().Debug("leaked debug "+s, "secret", s)
		host.Log().Info("leaked info "+s, "secret", s)
		host.Log().Warn("leaked warn "+s, s, 1)
		host.Log().Error("leaked error "+s, "error", errors.New(s))
		sdk.Progress(ctx, "leaked progress "+s)
	}
	l.print()
	told := strings.Join(cfg.secrets(), " ")
	if cfg.How == "exit" {
		os.Exit(3)
	}
	if cfg.How == "open" {
		return nil, sdk.Fix(sdk.At(&cfg.Password, errors.New("leaked opening "+told)), "say %s", told)
	}
	if err := host.Put(ctx, "secret", []byte(told)); err == nil && told != "" {
		return nil, errors.New("the daemon keeps a secret")
	}
	return l, nil
}

func (l *leaky) print() {
	for _, s := range l.cfg.secrets() {
		fmt.Println("leaked stdout", s)
		fmt.Fprintln(os.Stderr, "leaked stderr", s)
	}
}

func (l *leaky) Stream(ctx context.Context, out sdk.Emitter) error {
	told := strings.Join(l.cfg.secrets(), " ")
	batch := out.Batch()
	gauge := &sdk.Family{Name: "leaked", Type: sdk.GaugeType, Help: "leaked help " + told}
	for i, s := range l.cfg.secrets() {
		batch.PutAt(batch.Define(sdk.Series{Family: gauge, Labels: sdk.NewLabels("__name__", "leaked", "n", fmt.Sprint(i), "password", s)}), 1, time.Now())
	}
	if err := out.Emit(ctx, batch); err != nil {
		return err
	}
	l.host.Fail(errors.New("leaked failure " + told))
	l.host.Status(sdk.Degraded, "leaked status "+told)
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		switch {
		case l.did("print"):
			l.print()
		case l.did("panic"):
			panic("leaked panic " + told)
		case l.did("die"):
			l.print()
			go func() { panic("leaked death " + told) }()
			time.Sleep(time.Hour)
		}
	}
}

// did reports whether something is asked for, once.
func (l *leaky) did(what string) bool { return os.Remove(filepath.Join(l.cfg.Dir, what)) == nil }

type leakyNotifier struct{ cfg *leakyConfig }

func openLeakyNotifier(_ context.Context, cfg *leakyConfig, _ sdk.Host) (*leakyNotifier, error) {
	return &leakyNotifier{cfg}, nil
}

func (l *leakyNotifier) Notify(context.Context, sdk.Notification) (sdk.Receipt, error) {
	return sdk.Receipt{}, errors.New("leaked notification " + strings.Join(l.cfg.secrets(), " "))
}
