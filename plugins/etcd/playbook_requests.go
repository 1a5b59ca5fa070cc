package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// What codes of gRPC mean in etcd. OutOfRange is a revision that was compacted or is not there yet.
var failures = []struct {
	code     string
	severity sdk.Severity
	means    string
}{
	{"DataLoss", sdk.Critical, "data could not be read or are corrupt"},
	{"Internal", sdk.Warning, "the server failed"},
	{"Unavailable", sdk.Warning, "no leader, a time-out of a proposal, or the server is stopping"},
	{"DeadlineExceeded", sdk.Warning, "the client's time was up"},
	{"ResourceExhausted", sdk.Warning, "the database is full, or there are too many requests"},
	{"Unknown", sdk.Warning, "an error without a code of its own; up to 3.6 also a request that the client gave up"},
}

// handled counts the requests that ended with a code at all members, by method: between the readings, or since the members
// started. Watches are left out: they end with errors whenever a client goes away.
func (x *exam) handled(code string, since bool) (methods map[string]float64) {
	methods = map[string]float64{}
	for _, m := range x.answering() {
		for _, method := range m.newest().each("grpc_server_handled_total", "grpc_method") {
			if method == "Watch" || method == "LeaseKeepAlive" {
				continue
			}
			n, _ := m.newest().sum("grpc_server_handled_total", "grpc_method", method, "grpc_code", code)
			if !since {
				n, _ = grew(m.page, m.after, "grpc_server_handled_total", "grpc_method", method, "grpc_code", code)
			}
			if n > 0 {
				methods[method] += n
			}
		}
	}
	return methods
}

// byMethod writes counts, the most first, and returns their sum.
func byMethod(methods map[string]float64) (text string, total float64) {
	names := slices.SortedFunc(maps.Keys(methods), func(a, b string) int {
		if methods[a] != methods[b] {
			return int(methods[b] - methods[a])
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, n := range names {
		parts = append(parts, fmt.Sprintf("%s %s", n, number64(methods[n])))
		total += methods[n]
	}
	return strings.Join(parts, ", "), total
}

// requests looks at how clients fare.
func (x *exam) requests(context.Context) {
	read, twice := 0, 0
	for _, m := range x.members {
		if m.page != nil {
			read++
		}
		if m.after != nil {
			twice++
		}
	}
	if read == 0 {
		x.report.Checked("requests by code and method", "", fmt.Errorf("no member's metrics page was read"))
		return
	}
	x.report.Checked("requests by code and method", fmt.Sprintf("on %d of %d pages, twice on %d", read, len(x.members), twice), nil)
	x.compacted()
	served := slices.ContainsFunc(x.members, func(m *seen) bool { return m.linear == nil })
	for _, c := range failures {
		if !served && (c.code == "Unavailable" || c.code == "DeadlineExceeded" || c.code == "Unknown") {
			continue // without a quorum, our own reads are among them
		}
		now, n := byMethod(x.handled(c.code, false))
		all, total := byMethod(x.handled(c.code, true))
		f := sdk.Finding{Severity: c.severity, Text: fmt.Sprintf("%s: %s.", c.code, c.means)}
		switch {
		case n > 0:
			f.Title = fmt.Sprintf("requests fail with %s now: %s in %s", c.code, number64(n), span(x.watched))
			f.Evidence = append(f.Evidence, sdk.Evidence{Where: "all members", What: "failed while we looked", Value: now})
		case total > 0 && c.code == "DataLoss":
			f.Title = fmt.Sprintf("requests have failed with %s: %s since the members started", c.code, number64(total))
		default:
			continue
		}
		f.Evidence = append(f.Evidence, sdk.Evidence{Where: "all members", What: "failed since the members started", Value: all})
		f.Next = []sdk.NextStep{look("At each member, see what it says of these requests", "journalctl -u etcd -n 200 | grep -E 'error|warn|took too long'")}
		x.report.Find(f)
	}
}

// compacted finds clients that ask for revisions that are no more.
func (x *exam) compacted() {
	now, n := byMethod(x.handled("OutOfRange", false))
	all, total := byMethod(x.handled("OutOfRange", true))
	if total == 0 {
		return
	}
	f := sdk.Finding{
		Severity: sdk.Info, Title: fmt.Sprintf("clients have asked for revisions that are compacted: %s since the members started", plural(int(total), "request")),
		Text: "They fail with OutOfRange, etcdserver: mvcc: required revision has been compacted. A client that was away longer than the history lasts must list anew and watch from the revision of the list; most libraries do. Watches from such a revision are cancelled, and do not show as failed requests. If it keeps happening, the history is too short for the slowest client.",
		Next: []sdk.NextStep{
			look("See the present revision, which a client can read and watch from", x.etcdctl(urlsOf(x.answering()), "endpoint", "status", "-w", "json")),
			change("Keep the history longer, on every member: --auto-compaction-retention, or the interval of whoever compacts (Kubernetes' API server: --etcd-compaction-interval)", "systemctl restart etcd"),
		},
	}
	if n > 0 {
		f.Severity, f.Title = sdk.Warning, fmt.Sprintf("clients ask for revisions that are compacted: %s in %s", plural(int(n), "request"), span(x.watched))
		f.Evidence = append(f.Evidence, sdk.Evidence{Where: "all members", What: "OutOfRange while we looked", Value: now})
	}
	f.Evidence = append(f.Evidence, sdk.Evidence{Where: "all members", What: "OutOfRange since the members started", Value: all})
	for _, m := range x.answering() {
		if compacted, ok := m.newest().sum("etcd_debugging_mvcc_compact_revision"); ok {
			f.Evidence = append(f.Evidence, sdk.Evidence{Time: m.at, Where: m.instance, What: "compacted revision", Value: fmt.Sprintf("%s, and the present one is %d", number64(compacted), m.last().GetHeader().GetRevision())})
		}
	}
	x.report.Find(f)
}

// certificates looks when the certificates of clients' and peers' URLs expire, and the one that we show.
func (x *exam) certificates(context.Context) {
	now, seen := time.Now(), 0
	for _, m := range x.members {
		if m.shown != nil {
			seen++
			x.expires("client URL of "+m.title(), m.url, m.shown.NotAfter, expiry(m.shown, now), now)
		}
		for _, p := range m.peers {
			if p.shown != nil {
				seen++
				x.expires("peer URL of "+m.title(), p.url, p.shown.NotAfter, expiry(p.shown, now), now)
			}
		}
	}
	if t := x.TLS; t != nil && t.CertFile != "" {
		own, err := certificateIn(t.CertFile)
		if err != nil {
			x.report.Checked("our own certificate", "", err)
		} else {
			seen++
			x.expires("certificate that we show", t.CertFile, own.NotAfter, expiry(own, now), now)
		}
	}
	if seen == 0 {
		x.report.Checked("certificates", "none: no URL is https://", nil)
	} else {
		x.report.Checked("certificates", fmt.Sprintf("%d looked at", seen), nil)
	}
}

func (x *exam) expires(of, where string, at time.Time, when string, now time.Time) {
	left := at.Sub(now)
	if left > x.CertificateWarning {
		return
	}
	f := sdk.Finding{
		Severity: sdk.Warning, Title: fmt.Sprintf("certificate of the %s %s", of, when),
		Text:     "When it has expired, clients and peers refuse the connection: a member whose peers refuse it drops out. etcd reads its files again at each connection, so that a new one needs no restart.",
		Evidence: []sdk.Evidence{{Time: now, Where: where, What: "valid until", Value: at.UTC().Format(time.RFC3339)}},
		Next:     []sdk.NextStep{change("Issue a new one and put it in the place of the old: --cert-file, --peer-cert-file", "openssl x509 -in CERT_FILE -noout -enddate")},
	}
	f.Title = strings.Replace(f.Title, "certificate of the certificate", "the certificate", 1)
	if left <= 0 {
		f.Severity = sdk.Critical
	}
	x.report.Find(f)
}
