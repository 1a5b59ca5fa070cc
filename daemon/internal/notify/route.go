package notify

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Route is one route of the tree. What a route inherits is filled in already. The first child that matches takes an alert,
// and the next ones too while those that matched say Continue; an alert that no child takes is the route's own.
type Route struct {
	Match          []sdk.Matcher // all of them; a route without takes every alert
	Notify         []string      // addresses of receivers; none: nobody is told
	GroupBy        []string      // label names; "...": by all labels
	GroupWait      time.Duration
	GroupInterval  time.Duration
	RepeatInterval time.Duration
	Continue       bool
	Routes         []*Route
}

// route is a Route that is ready.
type route struct {
	*Route
	key    string // the matchers on the way to it, as Alertmanager's group keys have them
	match  matchers
	routes []*route
}

// matchers are those that all must match.
type matchers []func(labels map[string]string) bool

func (m matchers) match(labels map[string]string) bool {
	return !slices.ContainsFunc(m, func(matches func(map[string]string) bool) bool { return !matches(labels) })
}

// compileMatchers makes matchers, and their sorted texts.
func compileMatchers(list []sdk.Matcher) (out matchers, texts []string, err error) {
	for _, m := range list {
		match, err := m.Func()
		if err != nil {
			return nil, nil, err
		}
		out = append(out, match)
		texts = append(texts, m.Label+m.Op+strconv.Quote(m.Value))
	}
	slices.Sort(texts)
	return out, texts, nil
}

func compile(r *Route, above string) (*route, error) {
	match, texts, err := compileMatchers(r.Match)
	if err != nil {
		return nil, err
	}
	out := &route{Route: r, match: match, key: above + "{" + strings.Join(texts, ",") + "}"}
	for _, child := range r.Routes {
		c, err := compile(child, out.key+"/")
		if err != nil {
			return nil, err
		}
		out.routes = append(out.routes, c)
	}
	return out, nil
}

// find returns the routes that take an alert, as dispatch.Route.Match of Alertmanager does.
func (r *route) find(labels map[string]string) []*route {
	if !r.match.match(labels) {
		return nil
	}
	var all []*route
	for _, child := range r.routes {
		found := child.find(labels)
		all = append(all, found...)
		if found != nil && !child.Continue {
			break
		}
	}
	if len(all) == 0 {
		all = append(all, r)
	}
	return all
}

// receivers are those whom the route tells of an alert.
func (r *route) receivers(a *alert) []string {
	if len(a.Notify) > 0 {
		return a.Notify
	}
	return r.Notify
}

func (r *route) groupLabels(labels map[string]string) map[string]string {
	if slices.Contains(r.GroupBy, "...") {
		return labels
	}
	group := map[string]string{}
	for _, name := range r.GroupBy {
		if value, ok := labels[name]; ok {
			group[name] = value
		}
	}
	return group
}

// labelsText prints labels as Alertmanager's group keys have them: {a="b", c="d"}.
func labelsText(labels map[string]string) string {
	texts := make([]string, 0, len(labels))
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		texts = append(texts, name+"="+strconv.Quote(labels[name]))
	}
	return "{" + strings.Join(texts, ", ") + "}"
}

// fingerprint is the hash of labels that Alertmanager shows: FNV-1a over names and values, each ended by 0xff.
func fingerprint(labels map[string]string) uint64 {
	h := fnv.New64a()
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		h.Write([]byte(name + "\xff" + labels[name] + "\xff"))
	}
	return h.Sum64()
}

func hex(fingerprint uint64) string { return fmt.Sprintf("%016x", fingerprint) }
