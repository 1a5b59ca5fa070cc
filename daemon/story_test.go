package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/examples/03-etcd-demo/cluster"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// The story of examples/04-two-clusters is a page that is its own golden file: what stands in its blocks is written to files, typed, and printed.

// places are the addresses of the page, whose numbers count; volatile is what a command prints otherwise each time: times, sizes, counts of samples, who asks.
var (
	places   = strings.NewReplacer("127.0.0.1:2379", "shop-one", "127.0.0.1:22379", "shop-two", "127.0.0.1:32379", "shop-three", "127.0.0.1:42379", "search-one")
	volatile = regexp.MustCompile(`\b(\d+h)?(\d+m)?\d+(s|m|h|d|ms|µs)\b|[0-9]{8}T[0-9a-fT.Z-]+|\d[\d.:T-]*\d(e[+-]?\d+)?( ?[a-zµ%]*[bBsmh]\b(\d+s)?| UTC)?|\b(term|index|applied|revision) \d+|uid \d+ \([^)]*\)|on \S+, up`)
)

// steady is a text without what is volatile, and without the spaces that align it.
func steady(text string) string {
	return strings.Join(strings.Fields(volatile.ReplaceAllString(places.Replace(text), "…")), " ")
}

// agree reports whether a command printed what the page has. On a machine that has other things to do, a diagnosis may find more, and a source may have missed
// an interval.
func agree(command, got, want string) bool {
	if !strings.HasPrefix(command, "magpie diagnose") && !strings.HasPrefix(command, "magpie explain") {
		return steady(got) == steady(want)
	}
	printed := map[string]bool{}
	for line := range strings.Lines(got) {
		printed[steady(line)] = true
	}
	for line := range strings.Lines(want) {
		if text := steady(line); !printed[text] && !strings.HasPrefix(text, "pack.etcd.diagnoser") { // which counts the findings
			return false
		}
	}
	return true
}

// story plays a page in a directory.
type story struct {
	*testing.T
	dir   string
	shop  *etcd
	m     *magpie
	real  *strings.Replacer // what is on the page → what it is here
	paged *strings.Replacer // and back
}

// lead makes a member of the shop the leader: who is lost does not lead.
func (s *story) lead(member int) {
	leader, err := s.shop.Leader(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	client, err := s.shop.Client(leader)
	if err != nil {
		s.Fatal(err)
	}
	defer client.Close()
	all, err := client.MemberList(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	for _, m := range all.Members {
		if m.Name == s.shop.Cluster.Name(member) && leader != member {
			if _, err := client.MoveLeader(s.Context(), m.ID); err != nil {
				s.Fatal(err)
			}
		}
	}
}

// play does what a command of the page does.
func (s *story) play(command string) string {
	switch command {
	case "ssh m2 systemctl stop etcd":
		s.shop.Stop(2)
		return ""
	case "ssh m2 systemctl start etcd":
		s.shop.start(2)
		return ""
	}
	ctx, cancel := context.WithTimeout(s.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", s.real.Replace(command))
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), "PATH="+filepath.Dir(magpieBinary(s))+":"+os.Getenv("PATH"), "XDG_CACHE_HOME="+filepath.Join(filepath.Dir(s.dir), "cache"))
	out, _ := cmd.CombinedOutput()
	return s.paged.Replace(string(out))
}

// asks reports whether a command only asks: it is asked again until its answer is the page's.
func asks(command string) bool {
	return regexp.MustCompile(`^magpie (status|query|explain|diagnose|history|check -online)\b`).MatchString(command)
}

func TestTheStoryOfTwoClusters(t *testing.T) {
	t.Parallel()
	const path = "../examples/04-two-clusters/README.md"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	s := &story{T: t, dir: filepath.Join(root, "watch"), shop: startCluster(t)}
	s.lead(0)
	search := startEtcd(t, cluster.Options{Members: 1})
	packs, err := filepath.Abs("../examples/packs")
	if err == nil {
		err = os.Mkdir(s.dir, 0o700)
	}
	if err == nil {
		err = os.Symlink(packs, filepath.Join(root, "packs"))
	}
	if err != nil {
		t.Fatal(err)
	}
	listen := plugintest.FreeAddress(t)
	var there, back []string
	for paged, real := range map[string]string{"127.0.0.1:2379": s.shop.Instance(0), "127.0.0.1:22379": s.shop.Instance(1), "127.0.0.1:32379": s.shop.Instance(2), "127.0.0.1:42379": search.Instance(0), "127.0.0.1:9470": listen} {
		there, back = append(there, paged, real), append(back, real, paged)
	}
	s.real, s.paged = strings.NewReplacer(there...), strings.NewReplacer(back...)

	var written strings.Builder // the page with what is printed here
	fence, file, body := "", "", ""
	for line := range strings.Lines(string(page)) {
		text := strings.TrimSuffix(line, "\n")
		switch {
		case fence == "" && strings.HasPrefix(text, "```hcl "):
			fence, file, body = "hcl", strings.TrimPrefix(text, "```hcl "), ""
		case fence == "" && text == "```console":
			fence, body = "console", ""
		case fence == "hcl" && text == "```":
			if err := os.WriteFile(filepath.Join(s.dir, file), []byte(s.real.Replace(body)), 0o600); err != nil {
				t.Fatal(err)
			}
			fence = ""
		case fence == "console" && text == "```":
			written.WriteString(s.console(body, listen))
			fence = ""
		case fence != "":
			if body += line; fence == "console" {
				continue
			}
		}
		written.WriteString(line)
	}
	if updating() {
		if err := os.WriteFile(path, []byte(written.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"config.hcl", "shop.hcl"} { // where the story ends is the example
		_, last, _ := strings.Cut(string(page[bytes.LastIndex(page, []byte("```hcl "+file+"\n")):]), "\n")
		last, _, _ = strings.Cut(last, "```")
		if there, err := os.ReadFile(filepath.Join(filepath.Dir(path), file)); err != nil || string(there) != last {
			t.Errorf("the last %s of the story is not that of the example: %v", file, err)
		}
	}
}

// console plays the commands of a block, and compares what they print.
func (s *story) console(body, listen string) string {
	var out strings.Builder
	for _, part := range strings.Split("\n"+body, "\n$ ")[1:] {
		command, want, _ := strings.Cut(part, "\n")
		got := ""
		if command == "magpie run" {
			s.m = &magpie{TB: s.T, dir: s.dir, args: []string{"-listen", listen}}
			s.m.run()
			s.m.endWithTheTest()
		} else {
			limit := time.Now().Add(2 * time.Minute)
			for got = s.play(command); asks(command) && time.Now().Before(limit) && (updating() && time.Now().Before(limit.Add(-100*time.Second)) || !updating() && steady(got) != steady(want)); got = s.play(command) {
				time.Sleep(200 * time.Millisecond)
			}
			if !updating() && !agree(command, got, want) {
				s.Errorf("$ %s\nprints\n%s\nand the page has\n%s\nWithout what differs each time:\n%s\n%s", command, got, want, steady(got), steady(want))
			}
		}
		if got != "" && !strings.HasSuffix(got, "\n") {
			got += "\n"
		}
		fmt.Fprintf(&out, "$ %s\n%s", command, got)
	}
	return out.String()
}
