package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/magpie-monitoring/magpie/sdk"
)

// maxMembers is more than any cluster has; etcd advises 7 at most.
const maxMembers = 100

// member is whom to ask.
type member struct {
	instance string // the label: unique among the members
	url      string // where it serves clients; "" where problem says why there is none
	problem  error

	listed  bool // the rest is what the list says
	name    string
	id      uint64
	started bool
	learner bool

	peerURLs []string // where the others reach it
}

// roster knows the members of a cluster.
type roster struct {
	access  *Access
	clients *clients
	wait    time.Duration // for one list
	alone   time.Duration // for one member, before the others are asked as well, and for those when one has answered

	known []*member // as the last list has them; nil before there was one
	last  string    // the URL that gave it
	local bool      // that member gave it without asking the others
}

// members are those of the list, or of the last list with an error that says why there is no newer one.
func (r *roster) members(ctx context.Context) ([]*member, error) {
	if !r.access.DiscoverMembers {
		return standIns(r.access.urls()), nil
	}
	list, err := r.list(ctx)
	if err == nil {
		r.known = membersOf(list, r.access.urls())
		return r.known, nil
	}
	if r.known != nil {
		return r.known, err
	}
	return standIns(r.access.urls()), err
}

// everyone is whom the member list can be asked of: the endpoints, and the members known.
func (r *roster) everyone() []string {
	urls := slices.Clone(r.access.urls())
	for _, m := range r.known {
		if m.url != "" && !slices.Contains(urls, m.url) {
			urls = append(urls, m.url)
		}
	}
	return urls
}

// list asks for the member list: first whoever gave the last one, then everybody. Only before the first list it
// is content with what a member knows without asking the others, which may be old: so a member of a minority cannot
// bring back members that were removed.
func (r *roster) list(ctx context.Context) ([]*etcdserverpb.Member, error) {
	if r.last != "" {
		if list, err := r.listFrom(ctx, []string{r.last}); err == nil {
			return list, nil
		}
		r.last = ""
	}
	r.local = false
	list, err := r.listFrom(ctx, r.everyone())
	if err == nil || r.known != nil {
		return list, err
	}
	list, local := r.listFrom(ctx, r.access.urls(), clientv3.WithSerializable())
	if local == nil {
		r.local = true
		return list, nil
	}
	return nil, err
}

// listFrom takes the first answer of several URLs. It asks the next one when the one before has failed, and all when that takes long; who
// was asked has a moment more after the first answer, for etcd up to 3.6 counts requests that are given up as failed ones (Unknown). It
// returns when all questions have ended.
func (r *roster) listFrom(ctx context.Context, urls []string, options ...clientv3.OpOption) (list []*etcdserverpb.Member, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.wait)
	defer cancel()
	type reply struct {
		url  string
		list []*etcdserverpb.Member
		err  error
	}
	replies := make(chan reply, len(urls))
	asked, answered := 0, 0
	ask := func(upTo int) {
		for ; asked < min(upTo, len(urls)); asked++ {
			go func(url string) {
				a := reply{url: url}
				a.err = sdk.Recover("the member list", func() (err error) {
					a.list, err = r.clients.members(ctx, url, options...)
					return err
				})
				replies <- a
			}(urls[asked])
		}
	}
	ask(1)
	long := time.NewTimer(r.alone)
	defer long.Stop()
	var errs []error
	for answered < asked {
		var a reply
		select {
		case a = <-replies:
			answered++
		case <-long.C:
			if list == nil {
				ask(len(urls))
			}
			continue
		}
		switch {
		case list != nil:
		case a.err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", a.url, a.err))
		case len(a.list) == 0 || len(a.list) > maxMembers:
			errs = append(errs, sdk.Target(fmt.Errorf("%s: a list of %d members is not etcd's", a.url, len(a.list))))
		default:
			list, r.last = a.list, a.url
			time.AfterFunc(r.alone, cancel)
		}
		if list == nil {
			ask(asked + 1)
		}
	}
	if list != nil {
		return list, nil
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return nil, fmt.Errorf("no endpoint gives the member list: %w", join(errs...))
}

// standIns makes members of URLs about which no list says anything.
func standIns(urls []string) (members []*member) {
	for _, url := range urls {
		members = append(members, &member{instance: hostOf(url), url: url})
	}
	return members
}

// membersOf reads a list. Of several client URLs a member is asked at one that is an endpoint too, otherwise at the first,
// so that instance stays the same whatever answers.
func membersOf(list []*etcdserverpb.Member, endpoints []string) []*member {
	var members []*member
	taken := map[string]string{} // instance → member
	for _, m := range list {
		// A member has no name until it has started (etcd: Member.IsStarted).
		n := &member{listed: true, name: m.Name, id: m.ID, started: m.Name != "", learner: m.IsLearner, peerURLs: m.PeerURLs[:min(len(m.PeerURLs), 8)]}
		n.url = pick(m.ClientURLs, endpoints)
		n.instance = hostOf(n.url)
		switch {
		case !n.started:
			n.fail(errors.New("the member was added to the cluster, but never started"), "Start it, or remove it with etcdctl member remove %x.", m.ID)
		case n.url == "":
			n.fail(fmt.Errorf("the member advertises no client URL with http:// or https:// and a port, but %q", m.ClientURLs), "Start it with another --advertise-client-urls, or set discover_members = false.")
		case taken[n.instance] != "":
			n.fail(fmt.Errorf("the member advertises the same client URL %s as %s", n.url, taken[n.instance]), "Start it with another --advertise-client-urls, or set discover_members = false.")
		}
		if n.problem != nil {
			n.instance, n.url = peerOf(m), ""
		}
		if taken[n.instance] != "" {
			n.instance = hex(m.ID)
		}
		if taken[n.instance] != "" {
			continue // the same id twice: not etcd's
		}
		taken[n.instance] = "member " + hex(m.ID)
		members = append(members, n)
	}
	return members
}

func (m *member) fail(err error, fix string, args ...any) {
	m.problem = sdk.Fix(sdk.Target(err), fix, args...)
}

// pick chooses one of a member's client URLs, "" if none can be used.
func pick(urls, endpoints []string) (first string) {
	for _, text := range urls {
		u, err := parseURL(text)
		if err != nil {
			continue
		}
		if slices.Contains(endpoints, u) {
			return u
		}
		if first == "" {
			first = u
		}
	}
	return first
}

// peerOf names a member that cannot be asked: the host:port of its peer URL, or its id.
func peerOf(m *etcdserverpb.Member) string {
	for _, text := range m.PeerURLs {
		if u, err := url.Parse(text); err == nil && u.Host != "" && len(u.Host) <= maxURL && utf8.ValidString(u.Host) {
			return u.Host
		}
	}
	return hex(m.ID)
}
