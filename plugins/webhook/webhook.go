// The notifier "webhook" posts each notification to a URL, as the JSON that Alertmanager's webhook_config sends (version
// "4"), so that whatever receives alerts from Alertmanager receives them from Magpie. The field receiver is the address of
// the notifier, such as notifier.webhook.oncall. What the other fields are is said at
// https://prometheus.io/docs/alerting/latest/configuration/#webhook_config.
//
// # Delivery
//
// A notification counts as delivered when the answer is 2xx. What may pass is tried again by the daemon: no answer, 408,
// 425, 429 and 5xx, not before the time that a Retry-After header names, up to an hour. Any other answer is final, such as
// 404; so is a redirect that would turn the POST into a GET.
//
// Every attempt at the same notification carries the same
// Idempotency-Key header, by which a receiver can tell that it had it already, from this daemon or from another.
//
// # Secrets
//
// The path and query of the URL, tokens, passwords and header values appear in no error and no log, even where the answer
// of the receiver, whose beginning an error quotes, repeats them (but for those that are read from files).
//
// # How it is tested
//
// A real Alertmanager and this plugin send the same alerts to the same receiver, and the messages are compared. The
// receivers are stand-ins: HTTP servers of the tests, not anyone's paging service.
//
// # Files
//
// webhook.go sends, message.go has the JSON, redact.go keeps secrets out of errors.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Config is the block of the notifier.
type Config struct {
	URL            sdk.Secret    `hcl:"url" check:"url" doc:"Address to send to, http:// or https://. It is treated as a secret, since many services put a token into it."`
	Method         string        `hcl:"method,optional" default:"POST" check:"oneof=POST PUT" doc:"HTTP method."`
	Token          sdk.Secret    `hcl:"token,optional" doc:"Token sent as Authorization: Bearer; a short name for bearer_token."`
	RequestTimeout time.Duration `hcl:"request_timeout,optional" default:"10s" check:"min=100ms,max=50s" doc:"How long one attempt may take."`
	MaxAlerts      int           `hcl:"max_alerts,optional" default:"0" check:"min=0" doc:"Alerts in one message; the rest is only counted, in truncatedAlerts. 0: all that the daemon hands over."`
	sdk.HTTPClient
}

// Validate checks what belongs together.
func (c *Config) Validate(d *sdk.Diags) {
	if u, err := url.Parse(c.URL.Reveal()); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		d.Errorf(&c.URL, "url is no http:// or https:// address")
	}
	if c.Token.IsSet() && (c.BearerToken.IsSet() || c.BearerTokenFile != "" || c.BasicAuth != nil) {
		d.Errorf(&c.Token, "token and bearer_token, bearer_token_file or basic_auth exclude each other: keep one")
	}
	c.HTTPClient.Validate(d)
}

// Probe asks without notifying anyone: with a HEAD, which few receivers of a POST answer with a success, but which shows that they
// are there, that their certificate is good, and that they do not turn us away.
func (c *Config) Probe(ctx context.Context) error {
	if c.Token.IsSet() {
		c.BearerToken = c.Token
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, c.URL.Reveal(), nil)
	if err != nil {
		return sdk.At(&c.URL, errors.New("url is no address"))
	}
	r.Header.Set("User-Agent", "Magpie/"+version)
	status, err := c.ProbeHTTP(r, &c.URL)
	switch {
	case status == http.StatusNotFound:
		sdk.Progress(ctx, "it answers 404 to a HEAD, as some receivers do that take a "+c.Method+": a notification will show")
		return nil
	case status/100 == 4 && err != nil && c.Token.IsSet():
		return sdk.At(&c.Token, err)
	}
	return err
}

// maxBody is how much of an answer is read.
const maxBody = 4 << 10

// webhook is an open component.
type webhook struct {
	cfg      *Config
	client   *http.Client
	redacted *strings.Replacer
	where    string // the address as errors have it
}

func open(_ context.Context, cfg *Config, _ sdk.Host) (*webhook, error) {
	u, err := url.Parse(cfg.URL.Reveal())
	if err != nil {
		return nil, sdk.At(&cfg.URL, errors.New("url is no address"))
	}
	if cfg.Token.IsSet() {
		cfg.BearerToken = cfg.Token
	}
	client, err := cfg.Client(cfg.RequestTimeout, 1)
	if err != nil {
		return nil, err
	}
	return &webhook{cfg, client, redaction(cfg, u), u.Scheme + "://" + u.Host}, nil
}

// Notify sends one notification.
func (w *webhook) Notify(ctx context.Context, n sdk.Notification) (receipt sdk.Receipt, err error) {
	body, err := encode(n, w.cfg.MaxAlerts)
	if err != nil {
		return receipt, sdk.Permanent(err)
	}
	request, err := http.NewRequestWithContext(ctx, w.cfg.Method, w.cfg.URL.Reveal(), bytes.NewReader(body))
	if err != nil {
		return receipt, sdk.At(&w.cfg.URL, errors.New("url is no address"))
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "Magpie/"+version)
	if n.IdempotencyKey != "" {
		request.Header.Set("Idempotency-Key", n.IdempotencyKey)
	}
	response, err := w.client.Do(request)
	if err != nil {
		return receipt, sdk.Target(w.fail(err))
	}
	defer response.Body.Close()
	return receipt, w.judge(response)
}

// fail says a failed request without the address that the client puts into its errors.
func (w *webhook) fail(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		if outer.Timeout() {
			return fmt.Errorf("%s %s: no answer in time (request_timeout is %s)", w.cfg.Method, w.where, w.cfg.RequestTimeout)
		}
		err = outer.Err
	}
	return fmt.Errorf("%s %s: %s", w.cfg.Method, w.where, w.redacted.Replace(err.Error()))
}

// judge makes nil of a success, and of any other answer an error that says whether to try again.
func (w *webhook) judge(r *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxBody)) // what came of it is enough
	if r.StatusCode/100 == 2 {
		return nil
	}
	err := sdk.Target(fmt.Errorf("%s %s answers %d %s%s", w.cfg.Method, w.where, r.StatusCode, http.StatusText(r.StatusCode), sdk.Excerpt(w.redacted.Replace(strings.ToValidUTF8(string(body), "")))))
	switch {
	case r.StatusCode/100 == 3:
		return sdk.Permanent(sdk.Fix(err, "Write the address that the redirect leads to into url."))
	case r.StatusCode/100 == 5, r.StatusCode == http.StatusTooManyRequests, r.StatusCode == http.StatusRequestTimeout, r.StatusCode == http.StatusTooEarly:
		return sdk.RetryAfter(err, sdk.AskedPause(r.Header.Get("Retry-After"), time.Now()))
	}
	return sdk.Permanent(err)
}

// Close ends the idle connections.
func (w *webhook) Close(context.Context) error {
	w.client.CloseIdleConnections()
	return nil
}

var (
	_ sdk.Messenger = (*webhook)(nil)
	_ sdk.Closer    = (*webhook)(nil)
	_ sdk.Validator = (*Config)(nil)
	_ sdk.Prober    = (*Config)(nil)
)
