// The source "etcd" watches a whole etcd cluster, given the client URL of one of its members, the diagnoser "etcd" finds out
// what is wrong with one, and the coordinator "etcd" has one decide between daemons. They are written for etcd 3.4 to 3.7.
//
// Every interval it asks an endpoint for the list of members, and then all members side by side for three things:
//
//   - the metrics page, /metrics. Its series are passed through under etcd's own names, so that the rules and dashboards
//     of etcd-mixin work unchanged. The metric up says whether this page was read.
//   - the maintenance status, over gRPC: what etcdctl endpoint status prints. These are the metrics etcd_status_*.
//   - /health: the metric etcd_health. Beside it, where etcd has them (3.5.11 and later), /livez and /readyz check by check:
//     etcd_health_check.
//
// Every five minutes it looks when the certificates of https:// URLs expire, those of clients and, where this machine reaches
// them, those of peers: etcd_certificate_expiry_timestamp_seconds.
//
// # Data that differ
//
// With hash_interval the members' data are compared by their hashes (HashKV): all at one revision, only where the compacted
// revision is the same, and a second time before it is said that they differ. It runs beside the cycles, for it takes as long
// as reading the database, during which a member's writes wait: members with a database larger than hash_up_to are left out. The
// user needs the role root; learners are left out.
//
// # Acting as a client
//
// With probe { } the source reads at every member, with and without the quorum, and at one member in turn puts a key, waits for
// the event of a watch and deletes the key. It costs the cluster two writes an interval and a lease, which is kept alive and
// given back at the end; what is left behind by a kill goes when the lease ends, after a minute or four intervals. The times
// are the histogram etcd_probe_duration_seconds by operation (linearizable_read, serializable_read, put, watch, delete),
// failures are etcd_probe_success 0.
//
// # The log
//
// With log { path member } the source follows the log of the member on its own machine, and counts lines that no metric shows:
// etcd_log_pattern_total by pattern. What was in the log before is not counted. The diagnoser with the same block shows the last of
// those lines.
//
// # What it costs a member
//
// An interval: four GET requests (page, /health, /livez, /readyz; the second and the last make a read that the quorum agrees
// to), one Status call, and for one member the list. With the probe two reads more, and for one member the writes. Every five
// minutes, and when the list changes them, a look at the URLs: a handshake at those with TLS, one GET request (/raft/probing,
// as members ask each other) at peer URLs without.
//
// # Members
//
// Each member is a target of its own: the label instance is the host:port of its client URL.
//
// A member that does not answer within half of the block's timeout has up 0. No other member waits for it, but the samples
// of all are sent together, so that a member that hangs delays them by that time at most.
//
// A member that was added but never started is a target too, under the address of its peer URL: it counts for the quorum,
// and its up is 0.
//
// While no endpoint gives the list, the members of the last one are watched; before there was one, the endpoints are.
//
// # Alerts
//
// Beside etcd-mixin's rules these expressions are worth an alert:
//
//	# A member is out of space, or its data is corrupt.
//	max by (job, alarm) (etcd_status_alarms) > 0
//	# The members follow different leaders.
//	count by (job) (count by (job, leader) (etcd_status_leader)) > 1
//	# A member falls behind its own log.
//	etcd_status_raft_index - etcd_status_raft_applied_index > 5000
//	# A member was added and never started.
//	etcd_member_started == 0
//	# For an hour: a learner that was never promoted.
//	etcd_member_learner == 1
//	# The peer URL of one member does not answer, and those of others do.
//	etcd_peer_url_answers == 0 and ignoring (instance, peer_url) group without (instance, peer_url) (etcd_peer_url_answers == 1)
//	# An even number of voters.
//	count by (job) (etcd_member_learner == 0) % 2 == 0
//	# For an hour: an upgrade that was never finished.
//	count by (job) (count by (job, version) (etcd_status_info)) > 1
//	# The page is served, but gRPC does not answer.
//	etcd_status_success == 0 and on (job, instance) up == 1
//
// # Diagnosis
//
// The diagnoser "etcd" does what somebody on call does with etcdctl at night: it asks every member side by side, twice, and says
// what is wrong, the worst first, with what was seen at which member and when, and the next safe steps with their commands.
// It never changes anything itself. Steps that do are marked, and come in the order in which they are safe: followers first,
// the leader last.
//
//   - Quorum lost, no leader, members that follow different leaders, terms that differ, a leader that changes.
//   - Members that do not answer, and whether their process is gone, hangs or cannot be reached; members that never started,
//     learners that do not catch up, client and peer URLs that lead nowhere or to somebody else, an even number of voters, an
//     upgrade that was not finished.
//   - What makes members late: the log and the database on disk, the way to each peer, a member that is behind its own log or
//     the leader's.
//   - Space: alarm NOSPACE, the size against the quota, what a defragmentation would free, keys by prefix, when the quota will
//     be reached, by the store's history of what the source collected where there is some, else by the two readings; and the way out, step by step.
//   - Data that differ between members: hashes (HashKV) of all at one revision, compared only where the compacted revision is
//     the same, and twice before it is said; alarm CORRUPT.
//   - Requests that fail, by code and method; clients that ask for revisions that are compacted. Watches are left out: they
//     end with errors whenever a client goes away.
//   - Certificates that expire: of client and peer URLs, and the one that Magpie shows.
//   - With data_dir, on the member's own machine: owner and mode of the directory, the mount, space and inodes left; and while the
//     member does not run, whether its database and its log are damaged.
//
// Alarms are read from the members' status. The Alarm call of etcd goes through the quorum, and hangs without one.
//
// A member is waited for member_timeout at most with each question, the others meanwhile are not. What it costs a member:
// three reads, two readings of status and page, a look at its certificates and peer URLs, and, unless compare_hashes is off,
// one reading of its whole database (two where data differ). When there is no space, up to 60 counts at one follower.
//
// Permissions: a user without a role sees all but the hashes, which need the role root, and the number of keys by prefix,
// which needs to read all keys. What is missing is said, and the rest goes on.
//
// # Coordination
//
// The coordinator "etcd" gives leases and tells members of each other, below one prefix. This version of the daemon opens it and
// shows how it is (the cluster answers, which leases are held and waited for); it takes no leases yet, and each daemon works
// alone. magpie plugin run tries it.
//
//   - A lease on a key is the key PREFIX/leases/KEY, made in a transaction that fails where it is there, under an etcd lease of
//     the ttl, in whole seconds, at least two of them. Its value says who holds it. Who waits watches the key.
//   - The fence is the key's create_revision: what acts can compare it in the transaction of the act itself, so that etcd refuses
//     who held the lease before. It is the cluster's own, and rises with every change of anything: a counter below the prefix
//     would cost a write more, could be deleted, and would fall as well where a snapshot is restored. Restore with
//     --bump-revision (etcd 3.6) where something outside of etcd remembers fences.
//   - It is renewed four times in a ttl, counted from before etcd was asked, and only if a read through the quorum still finds
//     the key: a leader that was paused and does not know yet that there is another one prolongs leases that are no more.
//     Where it did so before the lease had ended for the others, a holder may be wrong for less than a ttl; the fence is right.
//   - Members are the keys PREFIX/members/LEASE, each under an etcd lease of its own. When the list cannot be read for a ttl,
//     the call ends: what was told last may be wrong by then.
//
// With users, it needs a role that may read and write what is below the prefix:
//
//	etcdctl role add magpie && etcdctl role grant-permission magpie --prefix=true readwrite magpie/
//
// # How it is tested
//
// The coordinator: all checks of magpie plugin verify on leases and members against etcd 3.7, where holders are killed and
// stopped; three holders that race on clusters of 3.7 and of Debian's 3.4 while members hang, are killed and come back, and the
// quorum is lost: no two are sure to hold at once, and the acts that the cluster accepts have fences that never fall; a holder
// with a slow clock, whose acts are refused.
//
// The source: against real etcd 3.7 servers, clusters of one and of three members, with TLS and with users; and, beside the
// diagnoser, against the others. The diagnoser: against clusters of three members of etcd 3.7 and of Debian's 3.4.23, which are broken in
// one way after another: clients behind a compaction, a wrong peer URL, a learner that never starts, a bit changed in a member's
// database, a member stopped, the quorum lost, the database full, a user without a role, a leader whose process is stopped by a signal
// (not 3.7, which runs in the test's own process), certificates that expire (3.7 only).
// A member that does not start: its database and its log damaged, and its directory's mode changed.
//
// make soak does what is told of 3.4 on 3.5.35 and 3.6.16, too.
//
// Source, rules and diagnoser together: each break of examples/03-etcd-demo is a story, told on the four versions, and one cluster goes
// from 3.4 to 3.7 with a halt on each of the three ways; its page lists which alert fired and what was found.
//
// # Files
//
// coordinator.go holds the leases, coordinator_members.go the members, coordinator_stored.go reads what is stored of both.
//
// access.go holds the attributes, members.go who the members are, clients.go the connections, member.go what is asked of one
// member, page.go its metrics page, metrics.go the metrics that are not etcd's own, hash.go the comparison of data, kept.go what
// the source keeps from cycle to cycle, probe.go how it acts as a client, log.go what a member says in its log. Of the diagnoser, diagnoser.go asks, reading.go reads
// a page for it, notes.go says what was looked at, playbook_*.go and directory.go what follows from it, and steps.go what to do.
package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Config is the block of the source.
type Config struct {
	Access
	HashInterval time.Duration `hcl:"hash_interval,optional" default:"0s" check:"min=0s" doc:"How often to compare the members' data by their hashes (HashKV); 0s: never. Each member reads its whole database for it, and its writes wait meanwhile. The user needs the role root."`
	HashUpTo     sdk.Bytes     `hcl:"hash_up_to,optional" default:"512MiB" doc:"Do not compare the data of members with larger databases: their writes would wait for long."`
	Log          *LogConfig    `hcl:"log,block" doc:"Counts what the member on this machine says in its log and on no page: crc mismatch, failed to list data directory, slow fdatasync, lost leader, apply request took too long."`
	Probe        *ProbeConfig  `hcl:"probe,block" doc:"Acts as a client: reads at every member, and two writes an interval under a lease at one of them, in turn."`
}

// Validate checks what no tag can say.
func (c *Config) Validate(d *sdk.Diags) {
	c.Access.Validate(d)
	if c.Probe != nil {
		c.Probe.checkPrefix(d)
	}
}

// source is an open component. Its fields belong to Collect, but for the clients.
type source struct {
	cfg     *Config
	host    sdk.Host
	timeout time.Duration // of one Collect
	http    *http.Client
	*roster
	kept  map[string]*kept // by instance
	probe *probe           // nil: none
	log   *followed        // nil: none
	data  *watching
}

func open(_ context.Context, cfg *Config, host sdk.Host) (*source, error) {
	s := &source{cfg: cfg, host: host, timeout: cmp.Or(host.Source().Timeout, 10*time.Second)}
	var err error
	if s.http, err = (&sdk.HTTPClient{TLS: cfg.TLS}).Client(0, 2); err != nil {
		return nil, err
	}
	clients, err := newClients(&cfg.Reach)
	s.probe = newProbe(cfg.Probe, clients, host.Source().Interval)
	s.log = follow(cfg.Log)
	s.data = newWatching(clients, cfg.HashInterval, int64(cfg.HashUpTo))
	s.roster = &roster{access: &cfg.Access, clients: clients, wait: s.timeout / 8, alone: s.timeout / 32}
	return s, err
}

// Collect asks all members side by side. It gives the list at most a quarter of the timeout and the members half of it, so
// that what was found is sent before the timeout strikes.
func (s *source) Collect(ctx context.Context, out *sdk.Batch) error {
	members, err := s.members(ctx)
	s.kept = keptOf(members, s.kept)
	writer := s.probe.writer(members)
	s.data.start(members)
	answers := make([]answer, len(members))
	var asked sync.WaitGroup
	for i, m := range members {
		asked.Go(func() {
			out.Target(m.instance, func(t *sdk.Batch) error {
				answers[i].failed = fmt.Errorf("%s: the plugin has a bug", m.instance) // stands if ask panics
				answers[i] = s.ask(ctx, m, writer, t)
				return answers[i].failed
			})
		})
	}
	asked.Wait()
	s.clients.keep(s.everyone())
	errs := []error{err, s.unknown(members)}
	for _, a := range answers {
		errs = append(errs, a.incomplete)
	}
	err = join(errs...)
	s.say(answers, err)
	return err
}

// keptOf keeps what is known of the members that are still there. The refs of the others died with their target.
func keptOf(members []*member, old map[string]*kept) map[string]*kept {
	all := make(map[string]*kept, len(members))
	for _, m := range members {
		if all[m.instance] = old[m.instance]; all[m.instance] == nil {
			all[m.instance] = &kept{}
		}
	}
	return all
}

// unknown finds metrics_endpoints that are no member's.
func (s *source) unknown(members []*member) (err error) {
	for _, key := range slices.Sorted(maps.Keys(s.cfg.MetricsEndpoints)) {
		if !slices.ContainsFunc(members, func(m *member) bool { return key == m.name || key == m.instance }) {
			err = join(err, sdk.At(&s.cfg.MetricsEndpoints, fmt.Errorf("metrics_endpoints names %q, and no member has that name or host:port", key)))
		}
	}
	return err
}

// say tells the state of the cluster in a line.
func (s *source) say(answers []answer, err error) {
	errs := []error{err}
	up := 0
	for _, a := range answers {
		errs = append(errs, a.failed, a.sick)
		if a.failed == nil {
			up++
		}
	}
	text := fmt.Sprintf("%d of %d members answer", up, len(answers))
	if err := join(errs...); err != nil {
		s.host.Status(sdk.Degraded, text+": "+err.Error())
		return
	}
	s.host.Status(sdk.OK, text)
}

// Probe asks every endpoint for its status.
func (s *source) Probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	urls := s.cfg.urls()
	errs := make([]error, len(urls))
	var asked sync.WaitGroup
	for i, url := range urls {
		asked.Go(func() {
			_, err := s.clients.status(ctx, url)
			if err == nil && strings.HasPrefix(url, "https://") {
				err = sdk.ProbeTLS(ctx, hostOf(url), s.cfg.TLS)
			}
			if err != nil {
				errs[i] = sdk.At(&s.cfg.Endpoints[i], fmt.Errorf("%s: %w", url, err))
			}
		})
	}
	asked.Wait()
	return join(errs...)
}

// Close gives the probe's lease back and ends the connections.
func (s *source) Close(ctx context.Context) error {
	s.data.stop()
	s.log.close()
	s.probe.end(ctx)
	s.clients.keep(nil)
	s.http.CloseIdleConnections()
	return nil
}

// join makes one error in one line of those that are not nil. It steers as the first that blames the configuration does,
// for that one can be mended here, or else as the first.
func join(errs ...error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) == 0 {
		return nil
	}
	slices.SortStableFunc(errs, func(a, b error) int { return cmp.Compare(rank(a), rank(b)) })
	all := errs[0]
	for _, err := range errs[1:] {
		all = fmt.Errorf("%w; %v", all, err)
	}
	return all
}

func rank(err error) int {
	if sdk.AsProblem(err).Blame == sdk.BlameConfig {
		return 0
	}
	return 1
}

var (
	_ sdk.Collector = (*source)(nil)
	_ sdk.Prober    = (*source)(nil)
	_ sdk.Closer    = (*source)(nil)
	_ sdk.Validator = (*Config)(nil)
)
