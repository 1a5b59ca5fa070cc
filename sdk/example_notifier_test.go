package sdk_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

type ChatConfig struct {
	URL sdk.Secret `hcl:"url" doc:"Address of the room; a secret, since it has a token."`
	sdk.HTTPClient
}

func (c *ChatConfig) Validate(d *sdk.Diags) { c.HTTPClient.Validate(d) }

type chat struct {
	cfg    *ChatConfig
	client *http.Client
}

func openChat(_ context.Context, cfg *ChatConfig, _ sdk.Host) (*chat, error) {
	client, err := cfg.Client(30*time.Second, 1)
	return &chat{cfg, client}, err
}

// Notify says by its error whether the daemon is to try again.
func (c *chat) Notify(ctx context.Context, n sdk.Notification) (sdk.Receipt, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.cfg.URL.Reveal(), strings.NewReader(n.Title+"\n"+n.Text))
	if err != nil {
		return n.Previous, sdk.At(&c.cfg.URL, fmt.Errorf("the address is none")) // err has the token
	}
	if n.Previous.ID != "" {
		r.Header.Set("X-Thread", n.Previous.ID) // the group's first message
	}
	answer, err := c.client.Do(r)
	if err != nil {
		return n.Previous, sdk.Target(fmt.Errorf("the room does not answer"))
	}
	defer answer.Body.Close()
	switch code := answer.StatusCode; {
	case code/100 == 2:
		return sdk.Receipt{ID: answer.Header.Get("X-Thread")}, nil
	case code == http.StatusTooManyRequests, code/100 == 5:
		return n.Previous, sdk.RetryAfter(fmt.Errorf("the room answers %s", answer.Status), sdk.AskedPause(answer.Header.Get("Retry-After"), time.Now()))
	}
	return n.Previous, sdk.Permanent(sdk.Target(fmt.Errorf("the room answers %s", answer.Status)))
}

var (
	_ sdk.Messenger = (*chat)(nil)
	_ sdk.Validator = (*ChatConfig)(nil)
)

// A notifier.
func ExampleNotifier() {
	serve.Main("chat", "0.1.0", sdk.Notifier(openChat, sdk.Doc("Sends notifications to a room.")))
}
