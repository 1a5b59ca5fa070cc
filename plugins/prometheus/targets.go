package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"

	"github.com/magpie-monitoring/magpie/plugins/internal/relabel"
	"github.com/magpie-monitoring/magpie/sdk"
)

// Labels of a target with a meaning, as Prometheus has them. Those that begin with __ are not on its series.
const (
	addressLabel  = "__address__"
	schemeLabel   = "__scheme__"
	pathLabel     = "__metrics_path__"
	intervalLabel = "__scrape_interval__"
	timeoutLabel  = "__scrape_timeout__"
	paramPrefix   = "__param_"
	metaPrefix    = "__meta_"
)

// endpoint is where a target is, and how it is scraped.
type endpoint struct {
	key      string // tells targets apart: the URL and all labels
	url      *url.URL
	labels   sdk.Labels // of its series
	interval time.Duration
	timeout  time.Duration
}

// String is the URL as it may be shown: parameters can hold secrets.
func (e *endpoint) String() string {
	return (&url.URL{Scheme: e.url.Scheme, Host: e.url.Host, Path: e.url.Path}).String()
}

// targeting makes endpoints of what is configured and of what is discovered.
type targeting struct {
	cfg      *Config
	settings sdk.SourceSettings
	rules    relabel.Rules
}

// endpoints lists the targets, each once, and why others were refused.
func (t *targeting) endpoints(discovered []sdk.Discovered) (list []*endpoint, refused []error) {
	known := map[string]bool{}
	add := func(address string, labels map[string]string) {
		e, err := t.endpoint(address, labels)
		switch {
		case err != nil:
			refused = append(refused, fmt.Errorf("target %s: %w", cmp.Or(address, labels[addressLabel], "without an address"), err))
		case e != nil && !known[e.key]:
			known[e.key] = true
			list = append(list, e)
		}
	}
	for _, address := range t.cfg.Targets {
		add(address, nil)
	}
	for _, target := range t.cfg.Target {
		add(target.Address, target.Labels)
	}
	for _, d := range discovered {
		add(d.Address, d.Labels)
	}
	return list, refused
}

// endpoint gives a target its labels as Prometheus does for static configs: its own, then the block's, then the defaults;
// then relabelling. nil: relabelling drops it.
func (t *targeting) endpoint(address string, own map[string]string) (*endpoint, error) {
	labels := maps.Clone(own)
	if labels == nil {
		labels = map[string]string{}
	}
	if err := splitAddress(address, labels); err != nil {
		return nil, err
	}
	for name, value := range t.settings.Labels {
		setDefault(labels, name, value)
	}
	setDefault(labels, "job", t.settings.Job)
	setDefault(labels, intervalLabel, model.Duration(t.settings.Interval).String())
	setDefault(labels, timeoutLabel, model.Duration(t.timeout()).String())
	setDefault(labels, pathLabel, t.cfg.MetricsPath)
	setDefault(labels, schemeLabel, t.cfg.Scheme)
	for name, values := range t.cfg.Params {
		if len(values) > 0 {
			setDefault(labels, paramPrefix+name, values[0])
		}
	}
	var ls sdk.Labels
	for name, value := range labels {
		ls = ls.Set(name, value)
	}
	ls, keep := t.rules.Apply(ls)
	if !keep {
		return nil, nil
	}
	return t.finish(ls)
}

func setDefault(labels map[string]string, name, value string) {
	if labels[name] == "" {
		labels[name] = value
	}
}

// timeout is that of a scrape where no label says another.
func (t *targeting) timeout() time.Duration {
	if t.settings.Timeout > 0 {
		return min(t.settings.Timeout, t.settings.Interval)
	}
	return min(10*time.Second, t.settings.Interval)
}

// splitAddress sets the address labels from host:port or a URL, whose parts become labels where there are none.
func splitAddress(address string, labels map[string]string) error {
	if !strings.Contains(address, "://") {
		if address != "" {
			labels[addressLabel] = address
		}
		return nil
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return fmt.Errorf("it is no URL: %w", errors.Unwrap(err)) // without the address, which stands before it
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("the scheme is %q, and can be http or https", u.Scheme)
	case u.Host == "":
		return errors.New("the URL has no host")
	case u.User != nil:
		return errors.New("the URL has a user: write a basic_auth block instead")
	}
	labels[addressLabel] = u.Host
	setDefault(labels, schemeLabel, u.Scheme)
	setDefault(labels, pathLabel, u.Path)
	for name, values := range u.Query() {
		if len(values) > 1 {
			return fmt.Errorf("the parameter %q is given twice: write it as params", name)
		}
		setDefault(labels, paramPrefix+name, values[0])
	}
	return nil
}

// finish checks a target's labels after relabelling.
func (t *targeting) finish(ls sdk.Labels) (*endpoint, error) {
	address := ls.Get(addressLabel)
	switch {
	case address == "":
		return nil, errors.New("it has no address")
	case strings.Contains(address, "/"):
		return nil, fmt.Errorf("the address %q is not host:port: the path belongs into %s", address, pathLabel)
	}
	e := &endpoint{}
	var err error
	if e.interval, err = labelDuration(ls, intervalLabel); err != nil {
		return nil, err
	}
	if e.timeout, err = labelDuration(ls, timeoutLabel); err != nil {
		return nil, err
	}
	if e.timeout > e.interval {
		return nil, fmt.Errorf("%s is %s, longer than %s with %s", timeoutLabel, e.timeout, intervalLabel, e.interval)
	}
	ls = slices.DeleteFunc(slices.Clone(ls), func(l sdk.Label) bool { return strings.HasPrefix(l.Name, metaPrefix) })
	if ls.Get("instance") == "" {
		ls = ls.Set("instance", address)
	}
	for _, l := range ls {
		if !utf8.ValidString(l.Name) || !utf8.ValidString(l.Value) {
			return nil, fmt.Errorf("the label %q is not UTF-8", l.Name)
		}
		if !strings.HasPrefix(l.Name, "__") {
			e.labels = append(e.labels, l)
		}
	}
	e.url = t.url(ls)
	e.key = e.url.String() + " " + ls.String()
	return e, nil
}

func labelDuration(ls sdk.Labels, name string) (time.Duration, error) {
	d, err := model.ParseDuration(ls.Get(name))
	if err == nil && d == 0 {
		err = errors.New("it cannot be 0")
	}
	if err != nil {
		return 0, fmt.Errorf("%s is %q: %w", name, ls.Get(name), err)
	}
	return time.Duration(d), nil
}

// url is what is requested; a __param_ label stands for the first value of a parameter.
func (t *targeting) url(ls sdk.Labels) *url.URL {
	params := url.Values{}
	for name, values := range t.cfg.Params {
		params[name] = slices.Clone(values)
	}
	for _, l := range ls {
		name, ok := strings.CutPrefix(l.Name, paramPrefix)
		switch {
		case !ok:
		case len(params[name]) > 0:
			params[name][0] = l.Value
		default:
			params.Set(name, l.Value)
		}
	}
	return &url.URL{Scheme: ls.Get(schemeLabel), Host: ls.Get(addressLabel), Path: ls.Get(pathLabel), RawQuery: params.Encode()}
}
