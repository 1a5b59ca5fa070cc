package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

// membership looks who is there, who should be, and whether that makes a quorum.
func (x *exam) membership(context.Context) {
	var voters, up []*seen
	for _, m := range x.members {
		if m.learner {
			continue
		}
		voters = append(voters, m)
		if m.status != nil {
			up = append(up, m)
		}
	}
	need := len(voters)/2 + 1
	served := slices.ContainsFunc(x.members, func(m *seen) bool { return m.linear == nil })
	if !served {
		x.quorum(voters, up, need)
	}
	for _, m := range x.members {
		switch {
		case m.listed && !m.started:
			x.neverStarted(m)
		case m.status == nil && len(up) > 0:
			x.down(m, len(up)-need, served)
		}
		x.misplaced(m)
	}
	x.learners()
	x.versions()
	if n := len(voters); x.DiscoverMembers && n > 1 && n%2 == 0 && !x.roster.local {
		x.report.Find(sdk.Finding{
			Severity: sdk.Info, Title: fmt.Sprintf("%d members vote, an even number", n),
			Text:     fmt.Sprintf("%d of them may fail, as with %d members: the last one adds nothing but another that can.", (n-1)/2, n-1),
			Evidence: []sdk.Evidence{{What: "voting members", Value: list(voters)}, {What: "quorum", Value: fmt.Sprint(need)}},
			Next:     []sdk.NextStep{look("See the members, and add or remove one", x.etcdctl(urlsOf(up), "member", "list", "-w", "table"))},
		})
	}
}

// quorum says what is wrong where no member answers a read that needs the others.
func (x *exam) quorum(voters, up []*seen, need int) {
	f := sdk.Finding{Severity: sdk.Critical}
	var evidence []sdk.Evidence
	for _, m := range x.members {
		e := sdk.Evidence{Time: m.at, Where: m.instance, What: "status"}
		switch s := m.last(); {
		case s == nil:
			e.Value, _ = m.whyDown()
		case s.Leader == 0:
			e.Value = fmt.Sprintf("answers, knows no leader, term %d", s.RaftTerm)
		default:
			e.Value = fmt.Sprintf("answers, follows %s, term %d", hex(s.Leader), s.RaftTerm)
		}
		evidence = append(evidence, e)
		if m.status != nil {
			evidence = append(evidence, sdk.Evidence{Time: m.at, Where: m.instance, What: "linearizable read", Value: outcome(m.linear)},
				sdk.Evidence{Time: m.at, Where: m.instance, What: "serializable read", Value: outcome(m.serial)})
		}
	}
	f.Evidence = evidence
	if len(up) == 0 {
		f.Title = fmt.Sprintf("no member answers: 0 of %d", len(voters))
		f.Text = "Either all are down, or this machine does not reach them. Nothing is known of the cluster's state."
		for _, m := range x.members {
			f.Next = append(f.Next, look("At "+m.instance+", see whether etcd runs and what it said last", "systemctl status etcd\njournalctl -u etcd -n 50"))
		}
		x.report.Find(f)
		return
	}
	if len(up) < need {
		f.Title = fmt.Sprintf("the quorum is lost: %d of %d voting members answer, and %d are needed", len(up), len(voters), need)
		f.Text = "No write and no linearizable read is answered (etcdserver: request timed out, no leader). Those that answer still serve serializable reads and snapshots, which may be old. It comes back by itself as soon as enough members run again: their data are not lost by being down."
		for _, m := range voters {
			if m.status == nil {
				_, why := m.whyDown()
				f.Next = append(f.Next, look("Bring "+m.title()+" back. "+why, "systemctl status etcd\njournalctl -u etcd -n 50"))
			}
		}
		f.Next = append(f.Next,
			look("Meanwhile, read what a member has", x.etcdctl([]string{up[0].url}, "get", "--consistency=s", "--prefix", "--keys-only", "--limit=10", "")),
			change("Save what a member has before anything else is tried", x.etcdctl([]string{up[0].url}, "snapshot", "save", "quorum-lost.db")),
			change("Only if the others are gone for good: make a new cluster of one member from the snapshot, and add members to it. What they had and this one had not is lost", x.offline()+" snapshot restore quorum-lost.db --data-dir NEW_DATA_DIR"))
	} else {
		f.Title = fmt.Sprintf("no member answers a linearizable read, though %d of %d voting members are there", len(up), len(voters))
		f.Text = "They do not agree on a leader, or the leader does not get through to them: the network between the members, a member that hangs, or disks that stall. Compare what they say of leader and term, and the round trip times."
		f.Next = append(f.Next, look("See what each member takes for the leader", x.etcdctl(urlsOf(x.members), "endpoint", "status", "-w", "table")),
			look("At each member, see what it says of elections and of its peers", "journalctl -u etcd -n 200 | grep -E 'elect|leader|peer|overloaded|slow'"))
	}
	x.report.Find(f)
}

func outcome(err error) string {
	if err != nil {
		return err.Error()
	}
	return "answered"
}

// down says that a member does not answer; spare is how many more may fail.
func (x *exam) down(m *seen, spare int, served bool) {
	short, text := m.whyDown()
	f := sdk.Finding{
		Severity: sdk.Warning, Title: fmt.Sprintf("member %s does not answer: %s", m.title(), short), Text: text,
		Evidence: []sdk.Evidence{{Time: m.at, Where: m.instance, What: "connection", Value: connection(m.reached)}, {Time: m.at, Where: m.instance, What: "status", Value: outcome(m.statusErr)}},
		Next: []sdk.NextStep{
			look("At "+m.instance+", see whether the process runs and is not stopped (state T)", "ps -o pid,stat,etime,cmd -C etcd"),
			look("See what it said last", "journalctl -u etcd -n 50"),
		},
	}
	if !m.learner && served {
		if spare > 0 {
			f.Text += fmt.Sprintf(" The cluster works on; %s may fail before it takes no more writes.", plural(spare, "more member"))
		} else {
			f.Text += " The cluster works on, but if one more member fails it takes no more writes."
		}
	}
	for _, p := range m.peers {
		f.Evidence = append(f.Evidence, sdk.Evidence{Time: m.at, Where: m.instance, What: "peer URL " + p.url, Value: outcome(p.err)})
	}
	for _, o := range x.answering() {
		if active, ok := o.newest().sum("etcd_network_active_peers", "Remote", hex(m.id)); ok {
			f.Evidence = append(f.Evidence, sdk.Evidence{Where: o.instance, What: "connected to " + m.instance + " as a peer", Value: yes(active > 0)})
		}
	}
	x.report.Find(f)
}

func connection(err error) string {
	if err != nil {
		return err.Error()
	}
	return "taken"
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

func (x *exam) neverStarted(m *seen) {
	at := urlsOf(x.answering())
	kind := "member"
	if m.learner {
		kind = "learner"
	}
	f := sdk.Finding{
		Severity: sdk.Warning, Title: fmt.Sprintf("a %s was added and has never started: peer URL %s", kind, m.instance),
		Text:     "A voting member counts for the quorum from the moment it is added, running or not. It has not started, its --initial-cluster differs, or the peer URL that it was added with is wrong.",
		Evidence: []sdk.Evidence{{Time: m.at, Where: m.instance, What: "member id", Value: hex(m.id)}},
		Next: []sdk.NextStep{
			look("Start it with --initial-cluster-state existing and exactly this peer URL, or see why it does not", "journalctl -u etcd -n 50"),
			change("If the peer URL is wrong, correct it", x.etcdctl(at, "member", "update", hex(m.id), "--peer-urls=RIGHT_URL")),
			change("If nobody will start it, remove it", x.etcdctl(at, "member", "remove", hex(m.id))),
		},
	}
	for _, p := range m.peers {
		f.Evidence = append(f.Evidence, sdk.Evidence{Time: m.at, Where: m.instance, What: "peer URL " + p.url, Value: outcome(p.err)})
	}
	x.report.Find(f)
}

// misplaced finds URLs of the list that lead nowhere, or to somebody else.
func (x *exam) misplaced(m *seen) {
	if m.status == nil || !m.listed {
		return
	}
	if id := m.status.GetHeader().GetMemberId(); id != m.id {
		x.report.Find(sdk.Finding{
			Severity: sdk.Warning, Title: fmt.Sprintf("the client URL of %s leads to another member, %s", m.title(), hex(id)),
			Text:     "Clients that are given all members' URLs ask one member twice and another never. Its --advertise-client-urls is wrong, or something stands between.",
			Evidence: []sdk.Evidence{{Time: m.at, Where: m.url, What: "member id", Value: hex(id)}, {Where: "member list", What: "member id of " + m.url, Value: hex(m.id)}},
			Next:     []sdk.NextStep{change("Start "+m.name+" with the right --advertise-client-urls", "systemctl restart etcd")},
		})
	}
	reachable := slices.ContainsFunc(x.members, func(o *seen) bool {
		return o != m && slices.ContainsFunc(o.peers, func(p peerURL) bool { return p.err == nil })
	})
	for _, p := range m.peers {
		if p.err == nil || !reachable {
			continue // nothing to compare with: peer URLs may be behind a wall
		}
		x.report.Find(sdk.Finding{
			Severity: sdk.Warning, Title: fmt.Sprintf("the peer URL of %s is wrong or cannot be reached: %s", m.title(), p.url),
			Text:     "The member runs and answers clients, and peer URLs of others answer from here. As long as it reaches the others itself the cluster may seem well; members that cannot reach it send it no snapshots, and it may drop out at the next restart.",
			Evidence: []sdk.Evidence{{Time: m.at, Where: m.instance, What: "peer URL " + p.url, Value: p.err.Error()}, {Time: m.at, Where: m.instance, What: "client URL " + m.url, Value: "answers"}},
			Next: []sdk.NextStep{
				look("See what it listens on, and compare with the list", x.etcdctl(urlsOf(x.answering()), "member", "list", "-w", "table")),
				change("Correct the list", x.etcdctl(urlsOf(x.answering()), "member", "update", hex(m.id), "--peer-urls=RIGHT_URL")),
			},
		})
	}
}

// learners finds those that do not catch up, and those that have and were forgotten.
func (x *exam) learners() {
	for _, m := range x.answering() {
		if !m.last().IsLearner {
			continue
		}
		if lag := x.lagging(m); len(lag) > 0 {
			x.report.Find(sdk.Finding{
				Severity: sdk.Warning, Title: "learner " + m.title() + " is stuck: it does not catch up with the leader",
				Text:     "It cannot be promoted before it has. The leader sends it a snapshot and then the log; a peer URL that the leader does not reach, or writes that come faster than they are sent, hold it back.",
				Evidence: lag, Next: []sdk.NextStep{look("At the learner, see what it says of snapshots and peers", "journalctl -u etcd -n 200 | grep -E 'snapshot|peer|learner'")},
			})
			continue
		}
		x.report.Find(sdk.Finding{
			Severity: sdk.Info, Title: "learner " + m.title() + " has caught up and does not vote yet",
			Text:     "Until it is promoted it adds nothing to what may fail.",
			Evidence: []sdk.Evidence{{Time: m.at, Where: m.instance, What: "raft index", Value: fmt.Sprint(m.last().RaftIndex)}},
			Next:     []sdk.NextStep{change("Promote it", x.etcdctl(urlsOf(x.answering()), "member", "promote", hex(m.id)))},
		})
	}
}

// versions finds a cluster in the middle of an upgrade.
func (x *exam) versions() {
	var evidence []sdk.Evidence
	var minors []string
	running := map[string][]*seen{}
	for _, m := range x.answering() {
		v := m.status.Version
		evidence = append(evidence, sdk.Evidence{Time: m.at, Where: m.instance, What: "version", Value: v})
		running[v] = append(running[v], m)
		if !slices.Contains(minors, minor(v)) {
			minors = append(minors, minor(v))
		}
	}
	if len(running) < 2 {
		return
	}
	all := slices.SortedFunc(maps.Keys(running), compareVersions)
	newest := all[len(all)-1]
	var which []string
	for _, v := range all {
		which = append(which, fmt.Sprintf("%s at %s", v, list(running[v])))
	}
	f := sdk.Finding{
		Severity: sdk.Info, Title: "the members run different versions of etcd: " + strings.Join(which, "; "), Evidence: evidence,
		Text: "In an upgrade that goes on this is as it should be. Features of the newer version come when all have it.",
	}
	if len(minors) > 2 {
		f.Severity, f.Text = sdk.Warning, "More than two minor versions at a time are not supported: upgrade one minor version after the other."
		newest = "the next minor version"
	}
	for _, m := range x.leaderLast() {
		if m.status.Version != all[len(all)-1] {
			f.Next = append(f.Next, change("Upgrade "+m.title()+" to "+newest+", and wait until it is healthy again", "systemctl restart etcd"))
		}
	}
	x.report.Find(f)
}

// compareVersions tells which of two versions is older, part by part: 3.5.9 is older than 3.5.10.
func compareVersions(a, b string) int {
	number := func(part string) int { n, _ := strconv.Atoi(part); return n }
	return cmp.Or(slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), func(p, q string) int { return cmp.Compare(number(p), number(q)) }), strings.Compare(a, b))
}
