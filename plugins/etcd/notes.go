package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

// noteList says where the members are known from.
func (x *exam) noteList(members []*member, err error) {
	switch {
	case !x.DiscoverMembers:
		x.report.Checked("member list", fmt.Sprintf("not asked for: %s as configured", plural(len(members), "endpoint")), nil)
	case err != nil:
		x.report.Checked("member list", "", err)
	case x.roster.local:
		x.report.Checked("member list", fmt.Sprintf("%s, as %s knows by itself: the cluster does not agree to it", plural(len(members), "member"), hostOf(x.roster.last)), nil)
	default:
		x.report.Checked("member list", plural(len(members), "member")+", from "+hostOf(x.roster.last), nil)
	}
}

// notes says what was looked at, member by member, and of the user what it may not.
func (x *exam) notes() {
	for _, m := range x.members {
		if m.id == 0 && m.status != nil {
			m.id = m.status.GetHeader().GetMemberId()
		}
		if m.problem != nil {
			x.report.Checked("member "+m.instance, "", m.problem)
			continue
		}
		outcome := ""
		if s := m.last(); s != nil {
			outcome = fmt.Sprintf("etcd %s, term %d, raft index %d, applied %d, database %s", s.Version, s.RaftTerm, s.RaftIndex, s.RaftAppliedIndex, size(float64(s.DbSize)))
		}
		x.report.Checked("status of "+m.title(), outcome, m.statusErr)
		outcome = ""
		if m.page != nil {
			outcome = fmt.Sprintf("%d metrics", len(m.page.series))
			if m.after != nil {
				outcome += fmt.Sprintf(", twice within %s", span(m.after.at.Sub(m.page.at)))
			}
		}
		x.report.Checked("metrics page of "+m.title(), outcome, m.pageErr)
		outcome = "healthy"
		var unknown error
		if errors.As(m.sick, new(silence)) {
			unknown = m.sick
		} else if m.sick != nil {
			outcome = m.sick.Error()
		}
		x.report.Checked("/health of "+m.title(), outcome, unknown)
		x.report.Checked("linearizable read at "+m.title(), "answered", m.linear)
		x.report.Checked("serializable read at "+m.title(), "answered", m.serial)
	}
	x.noteData()
}

func (x *exam) noteData() {
	switch c := x.data; {
	case !x.CompareHashes:
		x.report.Checked("hashes of the data", "not compared: compare_hashes = false", nil)
	case x.tooLarge != nil:
		x.report.Checked("hashes of the data", fmt.Sprintf("not compared: the database of %s has %s, more than hash_up_to = %q", x.tooLarge.title(), size(float64(x.tooLarge.status.DbSize)), x.HashUpTo), nil)
	case len(c.all) == 0:
		x.report.Checked("hashes of the data", "not compared: fewer than two members answer", nil)
	case c.compared == 0 && c.incomparable() != nil:
		x.report.Checked("hashes of the data", "", c.incomparable())
	default:
		said := "all equal"
		if len(c.odd) > 0 {
			said = "not equal: " + strings.Join(c.odd, ", ")
		}
		x.report.Checked("hashes of the data", fmt.Sprintf("%d of %d members compared at revision %d: %s", c.compared, len(x.members), c.revision, said), nil)
		for _, h := range c.all {
			if h.err != nil {
				x.report.Checked("hash of "+h.instance, "", h.err)
			}
		}
		for _, h := range c.alone {
			x.report.Checked("hash of "+h.instance, fmt.Sprintf("%08x, compacted to %d as no other member is: it cannot be compared now", h.hash, h.compacted), nil)
		}
	}
	for _, h := range x.data.all {
		if isDenied(h.err) {
			x.denied("HashKV, with which the members' data are compared", `the role "root"`, x.etcdctl(urlsOf(x.answering()), "user", "grant-role", x.Username, "root"))
			return
		}
	}
}

// denied says which permission is missing exactly. The diagnosis goes on without.
func (x *exam) denied(call, permission, command string) {
	x.report.Find(sdk.Finding{
		Severity: sdk.Info, Title: fmt.Sprintf("user %q may not ask for %s: it needs %s", x.Username, call, permission),
		Text:     "The diagnosis went on without that part. As the user root may do everything, a user of its own for Magpie is one to think about: without the permission all else works.",
		Evidence: []sdk.Evidence{{What: call, Value: "etcdserver: permission denied"}},
		Next:     []sdk.NextStep{change("Give the user "+permission+", if that part is worth it", strings.Replace(command, "--user="+quoted(x.Username), "--user=root", 1))},
	})
}

// whyDown says what an error means for somebody who goes to look.
func (m *seen) whyDown() (short, text string) {
	switch {
	case m.problem != nil:
		return m.problem.Error(), ""
	case m.reached == nil:
		return "it takes connections and does not answer", "The process is there, and stopped (SIGSTOP, a debugger), stuck on its disk, or without CPU; or it is starting."
	case strings.Contains(m.reached.Error(), "connection refused"):
		return "connection refused", "Its machine answers, and no process listens there: etcd is not running, or listens elsewhere. If it does not start, its log says why: a data directory that it may not read or write, a full or read-only disk, a damaged log (walpb: crc mismatch) or database."
	case errors.Is(m.reached, errNoAnswer):
		return "no answer in time", "Nothing at all comes back: the machine is down, or the network drops what goes there."
	}
	return m.reached.Error(), ""
}
