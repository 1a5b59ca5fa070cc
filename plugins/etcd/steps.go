package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

// etcdctl is a command for members at URLs, with the files of tls and the user's name; etcdctl asks for the password.
func (x *exam) etcdctl(urls []string, words ...string) string {
	command := []string{"etcdctl", "--endpoints=" + quoted(strings.Join(urls, ","))}
	if t := x.TLS; t != nil {
		for _, f := range []struct{ flag, file string }{{"--cacert=", t.CAFile}, {"--cert=", t.CertFile}, {"--key=", t.KeyFile}} {
			if f.file != "" {
				command = append(command, f.flag+quoted(f.file))
			}
		}
	}
	if x.Username != "" {
		command = append(command, "--user="+quoted(x.Username))
	}
	for _, w := range words {
		command = append(command, quoted(w))
	}
	return strings.Join(command, " ")
}

// quoted makes one word of a text for a shell: some come from the cluster.
func quoted(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:,=@+[]", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 && !strings.ContainsAny(s, "[]") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// urls of members that can be asked.
func urlsOf(members []*seen) (urls []string) {
	for _, m := range members {
		if m.url != "" {
			urls = append(urls, m.url)
		}
	}
	return urls
}

// offline is the tool that works on files. etcd 3.4 has etcdctl only, and 3.6 took these commands out of etcdctl.
func (x *exam) offline() string {
	for _, m := range x.answering() {
		if minor(m.status.Version) == "3.4" {
			return "etcdctl"
		}
	}
	return "etcdutl"
}

func look(text, command string) sdk.NextStep { return sdk.NextStep{Text: text, Command: command} }

func change(text, command string) sdk.NextStep {
	return sdk.NextStep{Text: text, Command: command, Changes: true}
}

// defragment are the steps that give free pages back: a member does nothing else meanwhile, so that they come one by one, and
// the leader at last.
func (x *exam) defragment() (steps []sdk.NextStep) {
	leader := x.leader()
	for _, m := range x.leaderLast() {
		text := "Defragment the follower " + m.title() + ", and wait until it is healthy again"
		if m == leader {
			text = "Defragment the leader " + m.title() + " last; it can hand the lead over first, with etcdctl move-leader"
		}
		steps = append(steps, change(text, x.etcdctl([]string{m.url}, "defrag", "--command-timeout=60s")))
	}
	return steps
}

// replace are the steps for a member whose data cannot be kept.
func (x *exam) replace(m *seen) (steps []sdk.NextStep) {
	var others []*seen
	for _, o := range x.answering() {
		if o.instance != m.instance {
			others = append(others, o)
		}
	}
	if len(others) == 0 {
		return nil
	}
	peers := strings.Join(m.peerURLs, ",")
	return []sdk.NextStep{
		change("Save a snapshot of a member that is in order, and look at it", x.etcdctl([]string{others[0].url}, "snapshot", "save", "before.db")+"\n"+x.offline()+" snapshot status before.db -w table"),
		change("Stop etcd at "+m.title()+" and move its data directory away; keep it", "systemctl stop etcd\nmv DATA_DIR DATA_DIR.old"),
		change("Take the member out of the cluster and add it anew", x.etcdctl(urlsOf(others), "member", "remove", hex(m.id))+"\n"+x.etcdctl(urlsOf(others), "member", "add", m.name, "--peer-urls="+peers)),
		change("Start it with an empty data directory and --initial-cluster-state existing: it copies the data from the leader", "systemctl start etcd"),
		look("See that it has caught up", x.etcdctl(urlsOf(x.members), "endpoint", "status", "-w", "table")),
	}
}

// size writes bytes as people read them.
func size(n float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for n >= 1024 && i < len(units)-1 {
		n, i = n/1024, i+1
	}
	text := strconv.FormatFloat(n, 'f', 1, 64)
	return strings.TrimSuffix(text, ".0") + " " + units[i]
}

func share(part, whole float64) string { return fmt.Sprintf("%.0f %%", 100*part/whole) }

// plural writes a number of things.
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// list writes names with commas between.
func list(members []*seen) string {
	var names []string
	for _, m := range members {
		names = append(names, m.title())
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
