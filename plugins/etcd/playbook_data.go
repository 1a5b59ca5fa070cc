package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/magpie-monitoring/magpie/sdk"
)

// quotaOf is a member's quota: from its status since 3.6, from its page before.
func (m *seen) quotaOf() float64 {
	if q := m.status.DbSizeQuota; q > 0 {
		return float64(q)
	}
	q, _ := m.page.sum("etcd_server_quota_backend_bytes")
	return q
}

// raised lists the members that know of an alarm.
func (x *exam) raised(alarm string) (members []*seen) {
	for _, m := range x.answering() {
		if alarms, _ := countErrors(m.last().Errors); alarms[alarm] > 0 {
			members = append(members, m)
		}
	}
	return members
}

// space looks at sizes against the quota, at what could be freed, and at how fast they grow.
func (x *exam) space(ctx context.Context) {
	alarmed := x.raised(etcdserverpb.AlarmType_NOSPACE.String())
	worst, fragmented := 0.0, []*seen{}
	for _, m := range x.answering() {
		s := m.last()
		if q := m.quotaOf(); q > 0 {
			worst = max(worst, float64(s.DbSize)/q)
		}
		if s.DbSize > 100<<20 && float64(s.DbSizeInUse) < 0.5*float64(s.DbSize) {
			fragmented = append(fragmented, m)
		}
	}
	switch {
	case len(alarmed) > 0:
		f := sdk.Finding{
			Severity: sdk.Critical, Title: "the database is full: alarm NOSPACE is raised, and writes are refused",
			Text:     "Clients get mvcc: database space exceeded; reads and deletes still work. A compaction alone does not clear it: it frees pages within the file, the defragmentation gives them back, and the alarm stays until it is disarmed.",
			Evidence: append(x.alarms(), x.sizes(ctx)...),
		}
		if worst < 0.8 {
			f.Title = "alarm NOSPACE is still raised, though there is space again"
			f.Next = []sdk.NextStep{change("Disarm it", x.etcdctl(urlsOf(x.answering()), "alarm", "disarm"))}
		} else {
			f.Next = x.makeRoom(true)
		}
		x.report.Find(f)
	case worst >= 0.8:
		f := sdk.Finding{
			Severity: sdk.Warning, Title: fmt.Sprintf("the database is at %s of its quota", share(worst, 1)),
			Text:     "At the quota the alarm NOSPACE is raised and no more writes are taken, on all members.",
			Evidence: x.sizes(ctx), Next: x.makeRoom(false),
		}
		if worst > 0.95 {
			f.Severity = sdk.Critical
		}
		x.report.Find(f)
	case len(fragmented) > 0:
		x.report.Find(sdk.Finding{
			Severity: sdk.Info, Title: fmt.Sprintf("less than half of the database file is in use at %s", list(fragmented)),
			Text:     "The free pages are used again by later writes. A defragmentation gives them back to the disk; the member does nothing else meanwhile.",
			Evidence: x.sizes(ctx), Next: x.defragment(),
		})
	}
	x.forecast(ctx)
}

// alarms is what the members say of alarms.
func (x *exam) alarms() (evidence []sdk.Evidence) {
	for _, m := range x.answering() {
		for _, e := range m.last().Errors {
			if alarmText.MatchString(e) {
				evidence = append(evidence, sdk.Evidence{Time: m.at, Where: m.instance, What: "status says", Value: strings.Join(strings.Fields(e), " ")})
			}
		}
	}
	return evidence
}

// sizes are the members' databases, their history, and whose keys they are.
func (x *exam) sizes(ctx context.Context) (evidence []sdk.Evidence) {
	for _, m := range x.answering() {
		s := m.last()
		value := size(float64(s.DbSize))
		if q := m.quotaOf(); q > 0 {
			value += fmt.Sprintf(" of %s, %s", size(q), share(float64(s.DbSize), q))
		}
		value += fmt.Sprintf("; %s of it in use", size(float64(s.DbSizeInUse)))
		evidence = append(evidence, sdk.Evidence{Time: m.at, Where: m.instance, What: "database size", Value: value})
	}
	answering := x.answering()
	if len(answering) == 0 {
		return evidence
	}
	m := answering[0]
	revision := m.last().GetHeader().GetRevision()
	value := fmt.Sprint("revision ", revision)
	if compacted, ok := m.newest().sum("etcd_debugging_mvcc_compact_revision"); ok {
		value = fmt.Sprintf("revision %d, compacted to %s", revision, number64(max(compacted, 0)))
		if compacted <= 0 {
			value = fmt.Sprintf("revision %d, never compacted: set --auto-compaction-retention", revision)
		}
	}
	if keys, ok := m.newest().sum("etcd_debugging_mvcc_keys_total"); ok {
		value += fmt.Sprintf(", %s keys", number64(keys))
	}
	return append(append(evidence, sdk.Evidence{Time: m.at, Where: m.instance, What: "history", Value: value}), x.prefixes(ctx)...)
}

// maxPrefixes bounds the questions of prefixes: two each.
const maxPrefixes = 30

// prefixes counts the keys by the first part of their name, without reading them: a follower is asked for the first key behind
// those of the last part, and then for the number of all that begin alike.
func (x *exam) prefixes(ctx context.Context) (evidence []sdk.Evidence) {
	var m *seen
	for _, o := range x.leaderLast() {
		if o.serial == nil {
			m = o
			break
		}
	}
	if m == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, x.MemberTimeout)
	defer cancel()
	counts, err := x.clients.countPrefixes(ctx, m.url)
	switch {
	case isDenied(err):
		x.report.Checked("keys by prefix", "", err)
		x.denied("the number of keys by prefix", "to read all keys", x.etcdctl(urlsOf(x.answering()), "role", "grant-permission", "ROLE", "read", "", "--prefix"))
		return nil
	case err != nil:
		x.report.Checked("keys by prefix", "", err)
		return nil
	}
	x.report.Checked("keys by prefix", plural(len(counts), "prefix")+" at "+m.instance, nil)
	for _, c := range counts[:min(len(counts), 10)] {
		evidence = append(evidence, sdk.Evidence{Where: m.instance, What: fmt.Sprintf("keys under %q", c.prefix), Value: fmt.Sprint(c.keys)})
	}
	return evidence
}

type prefixCount struct {
	prefix string
	keys   int64
}

func (c *clients) countPrefixes(ctx context.Context, url string) (counts []prefixCount, err error) {
	err = c.use(ctx, url, func(client *clientv3.Client) error {
		for from := "\x00"; len(counts) < maxPrefixes; {
			next, err := client.Get(ctx, from, clientv3.WithFromKey(), clientv3.WithKeysOnly(), clientv3.WithLimit(1), clientv3.WithSerializable())
			if err != nil {
				return err
			}
			if len(next.Kvs) == 0 {
				return nil
			}
			prefix := firstPart(string(next.Kvs[0].Key))
			n, err := client.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithCountOnly(), clientv3.WithSerializable())
			if err != nil {
				return err
			}
			counts = append(counts, prefixCount{prefix, n.Count})
			if from = clientv3.GetPrefixRangeEnd(prefix); from == "\x00" {
				return nil // behind the last prefix there is
			}
		}
		return nil
	})
	slices.SortStableFunc(counts, func(a, b prefixCount) int { return int(b.keys - a.keys) })
	return counts, err
}

// firstPart is a key's name up to its second separator, such as /registry/ of /registry/pods/default/x; at least the first
// separator, at most 64 bytes.
func firstPart(key string) string {
	if i := strings.IndexAny(key[min(len(key), 1):], "/.-_:"); i >= 0 {
		key = key[:i+2]
	}
	return key[:min(len(key), 64)]
}

// makeRoom are the steps out of a full database.
func (x *exam) makeRoom(disarm bool) (steps []sdk.NextStep) {
	revision := int64(0)
	for _, m := range x.answering() {
		revision = max(revision, m.last().GetHeader().GetRevision())
	}
	all := urlsOf(x.answering())
	steps = append(steps,
		look("See what writes: the prefixes above, and the rate of their revisions", x.etcdctl(all, "endpoint", "status", "-w", "table")),
		change("Forget the history before the present revision. Watches and reads behind it will fail and must begin anew", x.etcdctl(all[:min(len(all), 1)], "compact", fmt.Sprint(revision))))
	steps = append(steps, x.defragment()...)
	if disarm {
		steps = append(steps, change("Disarm the alarm when all members are below the quota: writes are taken again", x.etcdctl(all, "alarm", "disarm")))
	}
	return append(steps, change("If what is in use is itself near the quota, delete keys, or raise --quota-backend-bytes on every member (8 GiB is what etcd advises at most)", "systemctl restart etcd"))
}

// agreement looks whether all members hold the same data.
func (x *exam) agreement(context.Context) {
	var table []sdk.Evidence
	for _, h := range x.data.all {
		value := fmt.Sprintf("%08x at revision %d, compacted to %d", h.hash, x.data.revision, h.compacted)
		if h.err != nil {
			value = h.err.Error()
		}
		table = append(table, sdk.Evidence{Time: h.at, Where: h.instance, What: "hash", Value: value})
	}
	alarmed := x.raised(etcdserverpb.AlarmType_CORRUPT.String())
	if len(alarmed) > 0 {
		x.report.Find(sdk.Finding{
			Severity: sdk.Critical, Title: "alarm CORRUPT is raised: a member's data differ from the others'",
			Text:     "etcd's own check found it. Until the alarm is disarmed writes and most reads are refused. Replace the member named in the alarm, then disarm it.",
			Evidence: append(x.alarms(), table...),
			Next:     append(x.replaceOdd(), change("When all members agree again, disarm it", x.etcdctl(urlsOf(x.answering()), "alarm", "disarm"))),
		})
	}
	if len(x.data.odd) == 0 {
		return
	}
	f := sdk.Finding{Severity: sdk.Critical, Evidence: table, Next: x.replaceOdd()}
	f.Title = "the data of " + x.named(x.data.odd) + " differ from those of the majority"
	f.Text = "At the same revision, and compacted to the same, all members must have the same hash. They had not, twice. Which value a client reads depends on the member that it asks, and it does not heal by itself."
	if x.data.split {
		f.Title = "the members' data differ, and no majority says whose are right: " + x.named(x.data.odd)
		f.Text += " Take snapshots of all of them, and compare the keys, before one is chosen."
		f.Next = nil
		for _, m := range x.answering() {
			f.Next = append(f.Next, change("Save a snapshot of "+m.title(), x.etcdctl([]string{m.url}, "snapshot", "save", m.name+".db")))
		}
	}
	if x.mixed() {
		f.Severity = sdk.Warning
		f.Text += " But the members run different minor versions of etcd, some of which hash differently: finish the upgrade and compare again."
	}
	x.report.Find(f)
}

func (x *exam) mixed() bool {
	var minors []string
	for _, m := range x.answering() {
		minors = append(minors, minor(m.status.Version))
	}
	slices.Sort(minors)
	return len(slices.Compact(minors)) > 1
}

func (x *exam) named(instances []string) string {
	var members []*seen
	for _, m := range x.members {
		if slices.Contains(instances, m.instance) {
			members = append(members, m)
		}
	}
	return list(members)
}

func (x *exam) replaceOdd() (steps []sdk.NextStep) {
	if x.data.split {
		return nil
	}
	for _, m := range x.members {
		if slices.Contains(x.data.odd, m.instance) {
			steps = append(steps, x.replace(m)...)
		}
	}
	return steps
}
