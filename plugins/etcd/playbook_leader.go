package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// What makes a member slow, as etcd-mixin has it, and what it bears of a gap between log and state (etcd refuses writes at
// 5,000: maxGapBetweenApplyAndCommitIndex) and of one to the leader (behind by 5,000 a follower needs a snapshot).
const (
	slowFsync, stalledFsync = 0.5, 1.0
	slowCommit              = 0.25
	slowPeer                = 0.15
	largeGap                = 5000
	fewEvents               = 20 // of fewer, a 99th percentile says nothing
)

// leadership looks whether the members agree on a leader, and whether it stays.
func (x *exam) leadership(context.Context) {
	answering := x.answering()
	var leaders []uint64
	var orphans []*seen
	for _, m := range answering {
		switch id := m.last().Leader; {
		case id == 0:
			orphans = append(orphans, m)
		case !slices.Contains(leaders, id):
			leaders = append(leaders, id)
		}
	}
	if len(leaders) > 1 && x.still(func(m *seen) uint64 { return m.status.Leader }) {
		x.report.Find(sdk.Finding{
			Severity: sdk.Critical, Title: fmt.Sprintf("the members follow %d different leaders", len(leaders)),
			Text:     "One of them leads no majority any more and has not noticed, or the members belong to different clusters. What is written to the wrong one is refused; what is read from it without the quorum may be old.",
			Evidence: x.terms(), Next: []sdk.NextStep{look("See what each member takes for the leader, and how far its log is", x.etcdctl(urlsOf(x.members), "endpoint", "status", "-w", "table"))},
		})
	}
	served := slices.ContainsFunc(answering, func(m *seen) bool { return m.linear == nil })
	for _, m := range orphans {
		if served {
			x.report.Find(sdk.Finding{
				Severity: sdk.Critical, Title: "member " + m.title() + " knows no leader, while others have one",
				Text:     "It is cut off from its peers, though this machine reaches it. Clients that speak to it get errors or old data.",
				Evidence: x.terms(), Next: []sdk.NextStep{look("From "+m.instance+", see whether the peer URLs of the others answer", x.probes(m))},
			})
		}
	}
	if x.still(func(m *seen) uint64 { return m.status.RaftTerm }) {
		if low, high := x.span(func(m *seen) uint64 { return m.last().RaftTerm }); high > low && len(orphans) == 0 {
			x.report.Find(sdk.Finding{
				Severity: sdk.Warning, Title: fmt.Sprintf("the members are in different terms: %d to %d", low, high),
				Text:     "A member with an older term has missed an election: it is cut off, stopped, or of another cluster.",
				Evidence: x.terms(), Next: []sdk.NextStep{look("See terms and indexes again", x.etcdctl(urlsOf(x.members), "endpoint", "status", "-w", "table"))},
			})
		}
	}
	x.flapping()
}

// still reports whether every member that answered twice said the same both times.
func (x *exam) still(of func(*seen) uint64) bool {
	for _, m := range x.answering() {
		if m.later != nil {
			again := *m
			again.status = m.later
			if of(m) != of(&again) {
				return false
			}
		}
	}
	return true
}

func (x *exam) span(of func(*seen) uint64) (low, high uint64) {
	low = math.MaxUint64
	for _, m := range x.answering() {
		low, high = min(low, of(m)), max(high, of(m))
	}
	return low, high
}

// terms is what every member says of leader, term and log.
func (x *exam) terms() (evidence []sdk.Evidence) {
	for _, m := range x.answering() {
		s := m.last()
		leader := "none"
		if s.Leader != 0 {
			leader = hex(s.Leader)
		}
		value := fmt.Sprintf("leader %s, term %d, raft index %d", leader, s.RaftTerm, s.RaftIndex)
		if m.later != nil && m.later.RaftTerm != m.status.RaftTerm {
			value += fmt.Sprintf("; term %d before", m.status.RaftTerm)
		}
		evidence = append(evidence, sdk.Evidence{Time: m.at, Where: m.instance, What: "follows", Value: value})
		for _, of := range []struct{ name, what string }{
			{"etcd_server_leader_changes_seen_total", "leader changes seen since it started"},
			{"etcd_server_proposals_failed_total", "proposals failed since it started"},
			{"etcd_server_heartbeat_send_failures_total", "heartbeats sent late since it started"},
		} {
			if n, ok := m.newest().sum(of.name); ok && n > 0 {
				evidence = append(evidence, sdk.Evidence{Time: m.at, Where: m.instance, What: of.what, Value: number64(n)})
			}
		}
	}
	return evidence
}

func number64(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// probes are commands that ask the others' peer URLs as the member itself does.
func (x *exam) probes(m *seen) (commands string) {
	for _, o := range x.members {
		for _, p := range o.peerURLs {
			if o != m {
				commands += "curl -k --max-time 3 " + quoted(p+"/raft/probing") + "\n"
			}
		}
	}
	return commands
}

// flapping finds a leader that changes, now or often since the members started.
func (x *exam) flapping() {
	now, most, since := 0.0, 0.0, time.Duration(0)
	for _, m := range x.answering() {
		if n, ok := grew(m.page, m.after, "etcd_server_leader_changes_seen_total"); ok {
			now = max(now, n)
		}
		if m.later != nil && m.later.RaftTerm > m.status.RaftTerm {
			now = max(now, float64(m.later.RaftTerm-m.status.RaftTerm))
		}
		n, _ := m.newest().sum("etcd_server_leader_changes_seen_total")
		began, ok := m.newest().sum("process_start_time_seconds")
		if ok && n > most {
			most, since = n, m.newest().at.Sub(time.Unix(int64(began), 0))
		}
	}
	f := sdk.Finding{
		Severity: sdk.Warning, Evidence: x.terms(),
		Text: "While there is no leader nothing is written: clients see etcdserver: request timed out, leader changed. A leader is lost when its heartbeats come later than the election timeout: over a slow disk, a slow or lossy network between the members, too little CPU, or because its process stops.",
		Next: []sdk.NextStep{
			look("At each member, see why elections were called", "journalctl -u etcd -n 500 | grep -E 'elect|leader|slow fdatasync|overloaded|took too long'"),
			look("Measure a member's disk", "etcdctl check perf   # writes: not while the cluster suffers"),
		},
	}
	switch {
	case now > 0:
		f.Severity = sdk.Critical
		f.Title = fmt.Sprintf("the leader changes while we look: %s in %s", plural(int(now), "election"), span(x.watched))
	case most >= 4 && most > 4*since.Hours():
		f.Title = fmt.Sprintf("the leader changes often: %s in the %s since the member started", plural(int(most), "time"), span(since))
	default:
		return
	}
	x.report.Find(f)
}

// lagging is the evidence that a member does not keep up with the leader, nil if it does.
func (x *exam) lagging(m *seen) []sdk.Evidence {
	leader := x.leader()
	if leader == nil || leader == m || leader.status == nil {
		return nil
	}
	ahead, own := leader.last(), m.last()
	// The status calls were not at one moment: a member that still moves is behind by what it says less than what came since.
	gap := int64(ahead.RaftIndex) - int64(own.RaftIndex)
	stands := m.later != nil && m.later.RaftIndex == m.status.RaftIndex && leader.later != nil && leader.later.RaftIndex > leader.status.RaftIndex
	if gap < largeGap && !(own.RaftIndex < ahead.RaftIndex/10*9 && gap > 10) && !(stands && gap > 0) {
		return nil
	}
	return []sdk.Evidence{
		{Where: leader.instance, What: "raft index of the leader", Value: fmt.Sprint(ahead.RaftIndex)},
		{Where: m.instance, What: "raft index", Value: fmt.Sprintf("%d, %d behind", own.RaftIndex, gap)},
		{Where: m.instance, What: "moved meanwhile", Value: yes(!stands)},
	}
}

// speed looks for what makes members late: logs that are not applied, disks, the network between them.
func (x *exam) speed(context.Context) {
	for _, m := range x.answering() {
		s := m.last()
		if gap := int64(s.RaftIndex) - int64(s.RaftAppliedIndex); gap >= largeGap/5 {
			f := sdk.Finding{
				Severity: sdk.Warning, Title: fmt.Sprintf("member %s is %d entries behind its own log", m.title(), gap),
				Text:     fmt.Sprintf("It writes the log faster than it applies it to its database: a slow disk, a huge transaction, a compaction or a defragmentation. At %d it refuses requests: etcdserver: too many requests.", largeGap),
				Evidence: []sdk.Evidence{{Where: m.instance, What: "raft index", Value: fmt.Sprint(s.RaftIndex)}, {Where: m.instance, What: "applied index", Value: fmt.Sprint(s.RaftAppliedIndex)}},
				Next:     []sdk.NextStep{look("See whether it gets smaller", x.etcdctl([]string{m.url}, "endpoint", "status", "-w", "table"))},
			}
			if gap >= largeGap {
				f.Severity = sdk.Critical
			}
			x.report.Find(f)
		}
		if lag := x.lagging(m); len(lag) > 0 && !s.IsLearner {
			x.report.Find(sdk.Finding{
				Severity: sdk.Warning, Title: "follower " + m.title() + " does not keep up with the leader", Evidence: lag,
				Text: "What is read from it without the quorum is old, and should the leader fail it cannot take its place.",
				Next: []sdk.NextStep{look("See whether the distance gets smaller", x.etcdctl(urlsOf(x.answering()), "endpoint", "status", "-w", "table"))},
			})
		}
		x.slow(m, "etcd_disk_wal_fsync_duration_seconds", "writing its log to disk (WAL fsync)", slowFsync, stalledFsync,
			"Every write waits for it, and heartbeats of a leader that waits come late. etcd wants a disk of its own, with a 99th percentile below 10 ms.", "iostat -x 1 5")
		x.slow(m, "etcd_disk_backend_commit_duration_seconds", "committing its database to disk", slowCommit, math.Inf(1),
			"Requests pile up behind it. Besides a slow disk, huge transactions and a large database without compaction make it so.", "iostat -x 1 5")
		for _, to := range m.newest().each("etcd_network_peer_round_trip_time_seconds_bucket", "To") {
			name := to
			for _, o := range x.members {
				if hex(o.id) == to {
					name = o.title()
				}
			}
			x.slow(m, "etcd_network_peer_round_trip_time_seconds", "reaching its peer "+name, slowPeer, math.Inf(1),
				"Elections start when heartbeats come later than the election timeout (--election-timeout, 1 s by default), and every write waits for a majority.", "ping -c 10 PEER", "To", to)
		}
		if n, ok := grew(m.page, m.after, "etcd_server_proposals_failed_total"); ok && n > 0 {
			x.report.Find(sdk.Finding{
				Severity: sdk.Warning, Title: fmt.Sprintf("proposals fail at %s: %s in %s", m.title(), number64(n), span(x.watched)),
				Text:     "Writes that the members did not agree to in time: during an election, or without a quorum.",
				Evidence: x.terms(), Next: []sdk.NextStep{look("See who leads, and in which term", x.etcdctl(urlsOf(x.members), "endpoint", "status", "-w", "table"))},
			})
		}
	}
}

// slow compares a 99th percentile with what etcd bears: of the time between the readings, or, where too little happened, of
// all the time since the member started, which is then only worth knowing.
func (x *exam) slow(m *seen, name, doing string, limit, critical float64, text, command string, pairs ...string) {
	seconds, events := math.NaN(), 0.0
	if m.after != nil {
		seconds, events = percentile99(m.page, m.after, name, pairs...)
	}
	severity, when := sdk.Warning, fmt.Sprintf("%s events in %s", number64(events), span(x.watched))
	if events < fewEvents {
		if seconds, events = percentile99(nil, m.newest(), name, pairs...); events < fewEvents {
			return
		}
		severity, when = sdk.Info, fmt.Sprintf("%s events since it started", number64(events))
	}
	if !(seconds > limit) {
		return
	}
	if seconds > critical && severity == sdk.Warning {
		severity = sdk.Critical
	}
	x.report.Find(sdk.Finding{
		Severity: severity, Title: fmt.Sprintf("%s is slow in %s: 99th percentile %.2g s", m.title(), doing, seconds), Text: text,
		Evidence: []sdk.Evidence{{Time: m.newest().at, Where: m.instance, What: name, Value: fmt.Sprintf("p99 %.3g s of %s; more than %.2g s is too slow", seconds, when, limit)}},
		Next:     []sdk.NextStep{look("At "+m.instance+", measure it", command)},
	})
}
