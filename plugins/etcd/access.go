package main

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Reach is how to reach the members of a cluster: what all three kinds have in common.
type Reach struct {
	Endpoints []string   `hcl:"endpoints" doc:"Client URLs of members, http:// or https://. One is enough to find the others; several find them while one is down."`
	Username  string     `hcl:"username,optional" doc:"User, where the cluster has authentication on. Without a role the user sees all but the hashes of the data, which need the role root."`
	Password  sdk.Secret `hcl:"password,optional" doc:"The user's password."`
	TLS       *sdk.TLS   `hcl:"tls,block" doc:"How to verify the members, and what to show them."`
}

// Access is how to watch a cluster: what source and diagnoser have in common.
type Access struct {
	Reach
	DiscoverMembers  bool              `hcl:"discover_members,optional" default:"true" doc:"Watch every member of the cluster's member list. false: watch exactly the endpoints, for clusters whose members advertise client URLs that this machine cannot reach."`
	MetricsEndpoints map[string]string `hcl:"metrics_endpoints,optional" doc:"URLs of members that serve /metrics and /health elsewhere than at their client URL (--listen-metrics-urls, --listen-client-http-urls), by the member's name or by the host:port of its client URL."`
}

// Validate checks what no tag can say.
func (c *Access) Validate(d *sdk.Diags) {
	c.Reach.Validate(d)
	for name, e := range c.MetricsEndpoints {
		if _, err := parseURL(e); err != nil {
			d.Errorf(&c.MetricsEndpoints, "metrics endpoint of %q: %s", name, err)
		}
	}
}

// Validate checks what no tag can say.
func (c *Reach) Validate(d *sdk.Diags) {
	if len(c.Endpoints) == 0 {
		d.Errorf(&c.Endpoints, "endpoints is empty: give the client URL of at least one member")
	}
	var seen []string
	secure := false
	for i := range c.Endpoints {
		e := &c.Endpoints[i]
		u, err := parseURL(*e)
		switch {
		case err != nil:
			d.Errorf(e, "endpoint %s", err)
		case slices.Contains(seen, u):
			d.Errorf(e, "endpoint %s is there twice: remove one", u)
		}
		seen = append(seen, u)
		secure = secure || strings.HasPrefix(u, "https://")
	}
	switch {
	case c.Username != "" && !c.Password.IsSet():
		d.Errorf(&c.Username, "username needs a password beside it")
	case c.Username == "" && c.Password.IsSet():
		d.Errorf(&c.Password, "password needs a username beside it")
	case c.Username != "" && !secure:
		d.Warnf(&c.Endpoints, "the password goes over the network in clear text: no endpoint is https://")
	}
	if c.TLS != nil {
		c.TLS.Validate(d)
		if !secure {
			d.Warnf(c.TLS, "tls has no effect on the endpoints: none is https://")
		}
	}
}

// metricsURL is where a member serves HTTP.
func (c *Access) metricsURL(m *member) string {
	for _, key := range []string{m.name, m.instance} {
		if u, ok := c.MetricsEndpoints[key]; ok && key != "" {
			u, _ = parseURL(u) // Validate has seen it
			return u
		}
	}
	return m.url
}

// urls are the endpoints in their short form.
func (c *Reach) urls() []string {
	urls := make([]string, len(c.Endpoints))
	for i, e := range c.Endpoints {
		urls[i], _ = parseURL(e) // Validate has seen them
	}
	return urls
}

// maxURL bounds a member's URL, for its host becomes a label.
const maxURL = 512

// parseURL checks a member's URL and returns it as scheme://host:port.
func parseURL(text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || len(text) > maxURL || !utf8.ValidString(u.Host):
		return "", fmt.Errorf("%.80q is no URL: write http://host:port or https://host:port", text)
	case u.User != nil:
		return "", fmt.Errorf("%q holds a user: write it into username and password", u.Redacted())
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return "", fmt.Errorf("%q does not start with http://host or https://host", text)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return "", fmt.Errorf("%q goes on after the port: write %s://%s", text, u.Scheme, u.Host)
	case u.Port() == "":
		return "", fmt.Errorf("%q has no port: etcd's is usually 2379", text)
	}
	return u.Scheme + "://" + u.Host, nil
}

// hostOf is the host:port of a URL that parseURL made.
func hostOf(url string) string {
	_, host, _ := strings.Cut(url, "://")
	return host
}
