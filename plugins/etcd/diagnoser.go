package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/magpie-monitoring/magpie/sdk"
)

// DiagnoserConfig is the block of the diagnoser.
type DiagnoserConfig struct {
	Access
	MemberTimeout      time.Duration `hcl:"member_timeout,optional" default:"5s" check:"min=100ms,max=30s" doc:"How long to wait for each answer of a member."`
	WatchFor           time.Duration `hcl:"watch_for,optional" default:"3s" check:"min=0s,max=30s" doc:"Time between the two readings of each member that rates and changes are seen from."`
	CompareHashes      bool          `hcl:"compare_hashes,optional" default:"true" doc:"Compare the members' data by HashKV. Each member reads its whole database for it, and its writes wait meanwhile."`
	HashUpTo           sdk.Bytes     `hcl:"hash_up_to,optional" default:"512MiB" doc:"Do not compare the data of larger databases: their writes would wait for long."`
	CertificateWarning time.Duration `hcl:"certificate_warning,optional" default:"30d" check:"min=0s" doc:"Certificates that expire within this time are a finding."`
	Log                *LogConfig    `hcl:"log,block" doc:"Log of the member on this machine, whose last lines are looked at."`
	DataDir            string        `hcl:"data_dir,optional" doc:"Data directory of the member that runs on this machine (etcd's --data-dir), to be looked at: owner, permissions, mount, space and inodes."`
}

// diagnoser is an open component. Every question makes connections of its own.
type diagnoser struct {
	cfg  *DiagnoserConfig
	host sdk.Host
}

func openDiagnoser(_ context.Context, cfg *DiagnoserConfig, host sdk.Host) (*diagnoser, error) {
	if _, err := newClients(&cfg.Reach); err != nil {
		return nil, err
	}
	return &diagnoser{cfg, host}, nil
}

// exam is one diagnosis: what was seen, and the report that it becomes.
type exam struct {
	*DiagnoserConfig
	report  *sdk.Report
	ask     func(context.Context, sdk.Query) (*sdk.Result, error) // the store
	clients *clients
	http    *http.Client
	roster  *roster

	members  []*seen
	data     comparison
	tooLarge *seen         // why data were not compared
	watched  time.Duration // from the first reading to the last
}

// seen is what one member showed.
type seen struct {
	*member
	at            time.Time
	reached       error // nil: something takes connections at its client URL
	status, later *etcdserverpb.StatusResponse
	statusErr     error
	page, after   *reading
	pageErr       error
	healthy       bool
	sick          error
	linear        error // of a read that needs the quorum
	serial        error // of one that the member answers alone
	shown         *x509.Certificate
	peers         []peerURL
}

// peerURL is one of a member's, as it looks from here.
type peerURL struct {
	url   string
	shown *x509.Certificate
	err   error
}

// Diagnose asks all members side by side, twice, compares their data, and says what follows. The order is that of the time
// that the answers take; each question has its own limit, so that a member that hangs costs one of them.
func (d *diagnoser) Diagnose(ctx context.Context, _ sdk.Question, r *sdk.Report) error {
	clients, err := newClients(&d.cfg.Reach)
	if err != nil {
		return err
	}
	defer clients.keep(nil)
	client, err := (&sdk.HTTPClient{TLS: d.cfg.TLS}).Client(0, 2)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	x := &exam{DiagnoserConfig: d.cfg, report: r, ask: d.host.Query, clients: clients, http: client}
	x.roster = &roster{access: &d.cfg.Access, clients: clients, wait: d.cfg.MemberTimeout, alone: min(d.cfg.MemberTimeout/4, time.Second/2)}

	r.Progress("asking for the member list")
	members, err := x.roster.members(ctx)
	x.noteList(members, err)
	for _, m := range members {
		x.members = append(x.members, &seen{member: m})
	}
	slices.SortFunc(x.members, func(a, b *seen) int { return strings.Compare(a.title(), b.title()) })
	r.Progress(fmt.Sprintf("asking %d members", len(members)))
	began := time.Now()
	x.each(ctx, x.first)
	r.Progress(fmt.Sprintf("watching for %s", d.cfg.WatchFor))
	select {
	case <-time.After(d.cfg.WatchFor):
	case <-ctx.Done():
	}
	x.each(ctx, x.second)
	x.watched = time.Since(began)
	if d.cfg.CompareHashes {
		r.Progress("comparing the members' data")
		x.compareData(ctx)
	}
	x.notes()
	for _, playbook := range []func(context.Context){x.membership, x.leadership, x.speed, x.space, x.agreement, x.requests, x.certificates, x.directory, x.logs} {
		playbook(ctx)
	}
	return ctx.Err()
}

// each calls look for every member that can be asked, within its time.
func (x *exam) each(ctx context.Context, look func(context.Context, *seen)) {
	sideBySide(len(x.members), func(i int) {
		ctx, cancel := context.WithTimeout(ctx, x.MemberTimeout)
		defer cancel()
		look(ctx, x.members[i])
	})
}

// first asks a member everything at once. The reads are of a key that nobody has: that is all that is wanted of them.
func (x *exam) first(ctx context.Context, m *seen) {
	m.at = time.Now()
	m.peers = make([]peerURL, len(m.peerURLs))
	questions := []func(){func() {
		sideBySide(len(m.peers), func(i int) {
			p := &m.peers[i]
			p.url = m.peerURLs[i]
			p.shown, p.err = askPeer(ctx, x.clients, x.http, p.url)
		})
	}}
	if m.url != "" {
		place := x.metricsURL(m.member)
		questions = append(questions,
			func() { m.shown, m.reached = certificateOf(ctx, m.url, x.clients.tls) },
			func() { m.status, m.statusErr = x.clients.status(ctx, m.url) },
			func() { m.page, m.pageErr = readPage(ctx, x.http, place) },
			func() {
				var err error
				if m.healthy, m.sick, err = askHealth(ctx, x.http, place); err != nil {
					m.sick = err
				}
			},
			func() { m.linear = x.clients.read(ctx, m.url) },
			func() { m.serial = x.clients.read(ctx, m.url, clientv3.WithSerializable()) },
		)
	} else {
		m.statusErr, m.pageErr, m.linear, m.serial, m.reached = m.problem, m.problem, m.problem, m.problem, m.problem
	}
	sideBySide(len(questions), func(i int) { questions[i]() })
}

// second asks again what changes.
func (x *exam) second(ctx context.Context, m *seen) {
	if m.url == "" {
		return
	}
	questions := []func(){func() {
		if m.status != nil {
			m.later, _ = x.clients.status(ctx, m.url)
		}
	}, func() {
		if m.page != nil {
			m.after, _ = readPage(ctx, x.http, x.metricsURL(m.member))
		}
	}}
	sideBySide(len(questions), func(i int) { questions[i]() })
}

// readKey is a key that nobody has.
const readKey = "magpie/diagnosis"

// read reads a key, as a client would; that the user may not is an answer, too.
func (c *clients) read(ctx context.Context, url string, options ...clientv3.OpOption) error {
	err := c.use(ctx, url, func(client *clientv3.Client) error {
		_, err := client.Get(ctx, readKey, append(options, clientv3.WithCountOnly())...)
		return err
	})
	if isDenied(err) {
		return nil
	}
	return err
}

// compareData asks for the hashes of all members that answered. A learner that is behind would hold all others back.
func (x *exam) compareData(ctx context.Context) {
	var members []*member
	for _, m := range x.members {
		if m.status != nil && m.status.DbSize > int64(x.HashUpTo) {
			x.tooLarge = m
			return
		}
		if m.status != nil && (!m.status.IsLearner || len(x.lagging(m)) == 0) {
			members = append(members, m.member)
		}
	}
	if len(members) < 2 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 6*x.MemberTimeout) // a member reads its whole database
	defer cancel()
	x.data = x.clients.disagreement(ctx, members, int64(x.HashUpTo), time.Second)
}

// name is how a member is called in a line.
func (m *seen) title() string {
	if m.name != "" {
		return fmt.Sprintf("%s (%s)", m.name, m.instance)
	}
	return m.instance
}

// last is the newest status that a member gave.
func (m *seen) last() *etcdserverpb.StatusResponse {
	if m.later != nil {
		return m.later
	}
	return m.status
}

// newest is the newest page that a member gave.
func (m *seen) newest() *reading {
	if m.after != nil {
		return m.after
	}
	return m.page
}

// leader is the member that most take for the leader, nil if none is known.
func (x *exam) leader() *seen {
	votes := map[uint64]int{}
	for _, m := range x.answering() {
		votes[m.last().Leader]++
	}
	delete(votes, 0)
	var best *seen
	for _, m := range x.members {
		if n := votes[m.id]; m.id != 0 && n > 0 && (best == nil || n > votes[best.id]) {
			best = m
		}
	}
	return best
}

// answering are the members that gave a status.
func (x *exam) answering() (members []*seen) {
	for _, m := range x.members {
		if m.status != nil {
			members = append(members, m)
		}
	}
	return members
}

// leaderLast are the members that answer, in the order in which to do what makes a member slow or restarts it.
func (x *exam) leaderLast() []*seen {
	members, leader := x.answering(), x.leader()
	slices.SortStableFunc(members, func(a, b *seen) int {
		switch {
		case a == leader && b != leader:
			return 1
		case b == leader && a != leader:
			return -1
		}
		return 0
	})
	return members
}

var (
	_ sdk.Examiner  = (*diagnoser)(nil)
	_ sdk.Validator = (*DiagnoserConfig)(nil)
)
