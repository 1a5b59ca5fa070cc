// Package cluster runs real clusters of etcd, breaks them in the ways in which clusters break, and repairs them. The demo and the story
// tests share it, so that there is one description of each break.
//
// Members are processes on this machine: of an etcd that is installed, or of the one that is linked into this program, which runs itself
// again for it. A program that starts such clusters calls RunMember before anything else. Each process has its own metrics, can be
// stopped with a signal, and fails to start as it does elsewhere.
//
// What members say to each other goes through a proxy before each member, which knows who speaks to whom: links.go.
//
//	cluster.go       members, and who leads
//	process.go       one member's process and its settings
//	links.go         the network between members, to be cut
//	certificates.go  for clusters with TLS
//	load.go          clients that read and write
//	breaks.go        the ways to break it, by name
//	files.go         damage to what is on disk
//	upgrade.go       members of another version, one after another
package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Options say what cluster to run.
type Options struct {
	Dir     string         // for data, logs and settings; it must be there
	Program string         // path of an etcd; "": the one that is linked in
	Newer   []string       // what the break unfinished-upgrade goes to, one version after another; none: the one that is linked in
	Members int            // 0: three
	TLS     bool           // clients' URLs are https://, with certificates that are valid for a month
	Set     map[string]any // further settings, under the names of etcd's configuration file
}

// Cluster is a running cluster.
type Cluster struct {
	options   Options
	members   []*member
	links     *links
	authority *authority // nil without TLS
	tls       *tls.Config
}

// Start runs a cluster and waits until every member follows a leader.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if o.Members == 0 {
		o.Members = 3
	}
	c := &Cluster{options: o, links: newLinks()}
	if o.TLS {
		if err := c.certify(); err != nil {
			return nil, err
		}
	}
	var initial []string
	for i := range o.Members {
		m, err := c.newMember(fmt.Sprintf("m%d", i))
		if err != nil {
			return nil, err
		}
		c.members = append(c.members, m)
		initial = append(initial, m.name+"="+m.peer)
	}
	for i, m := range c.members {
		m.set["initial-cluster"] = strings.Join(initial, ",")
		if err := c.Run(i); err != nil {
			c.Close()
			return nil, err
		}
	}
	if err := c.Ready(ctx); err != nil {
		c.Close()
		return nil, err
	}
	for i, m := range c.members {
		s, err := c.status(ctx, i)
		if err != nil {
			c.Close()
			return nil, err
		}
		m.id = s.Header.MemberId
		c.links.know(i, m.id)
	}
	return c, nil
}

// Close ends all members; the data stay.
func (c *Cluster) Close() {
	for i := range c.members {
		c.Stop(i)
	}
}

// Run starts member i, if it does not run.
func (c *Cluster) Run(i int) error {
	m := c.members[i]
	if m.process != nil {
		return nil
	}
	if err := c.links.open(i, m.peer, m.behind); err != nil {
		return err
	}
	if err := m.start(); err != nil {
		return err
	}
	m.set["initial-cluster-state"] = "existing"
	return nil
}

// Stop kills member i, paused ones too.
func (c *Cluster) Stop(i int) {
	c.links.close(i)
	c.members[i].kill()
}

// Pause stops the process of member i as a debugger or a frozen machine would; Resume lets it go on.
func (c *Cluster) Pause(i int)  { c.members[i].signal(pause) }
func (c *Cluster) Resume(i int) { c.members[i].signal(resume) }

// Ready waits until every member that can answers a read that needs the others.
func (c *Cluster) Ready(ctx context.Context) error {
	var asking sync.WaitGroup
	errs := make([]error, len(c.members))
	for i, m := range c.members {
		if !m.serving() {
			continue
		}
		asking.Go(func() { errs[i] = c.serves(ctx, i) })
	}
	asking.Wait()
	return errors.Join(errs...)
}

func (c *Cluster) serves(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	return c.with(i, func(client *clientv3.Client) error {
		for {
			err := within(ctx, 5*time.Second, func(ctx context.Context) error {
				_, err := client.Get(ctx, "nothing")
				return err
			})
			if err == nil {
				return nil
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("member %s does not serve: %w\n%s", c.Name(i), err, c.members[i].said(2000))
			case <-c.members[i].ended():
				return fmt.Errorf("member %s has ended:\n%s", c.Name(i), c.members[i].said(2000))
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
}

// Name is what member i is called, Instance the host:port of its client URL, URL that URL, Dir its data directory, Log its log.
func (c *Cluster) Name(i int) string     { return c.members[i].name }
func (c *Cluster) Instance(i int) string { return c.members[i].client }
func (c *Cluster) URL(i int) string      { return c.scheme() + c.members[i].client }
func (c *Cluster) Dir(i int) string      { return c.members[i].dir }
func (c *Cluster) Log(i int) string      { return c.members[i].log }

// Len is the number of members.
func (c *Cluster) Len() int { return len(c.members) }

// Running reports whether member i has a process, that may be paused.
func (c *Cluster) Running(i int) bool { return c.members[i].process != nil && !c.members[i].unable }

func (c *Cluster) scheme() string {
	if c.options.TLS {
		return "https://"
	}
	return "http://"
}

// URLs are those of all members.
func (c *Cluster) URLs() (urls []string) {
	for i := range c.members {
		urls = append(urls, c.URL(i))
	}
	return urls
}

// title is how diagnoses call a member.
func (c *Cluster) title(i int) string { return fmt.Sprintf("%s (%s)", c.Name(i), c.Instance(i)) }

// Client speaks to members, to all if none are named. The caller closes it.
func (c *Cluster) Client(members ...int) (*clientv3.Client, error) {
	urls := c.URLs()
	if len(members) > 0 {
		urls = nil
		for _, i := range members {
			urls = append(urls, c.URL(i))
		}
	}
	return clientv3.New(clientv3.Config{Endpoints: urls, TLS: c.tls, Logger: zap.NewNop(), DialTimeout: 5 * time.Second})
}

// with calls do with a client of one member.
func (c *Cluster) with(i int, do func(*clientv3.Client) error) error {
	client, err := c.Client(i)
	if err != nil {
		return err
	}
	defer client.Close()
	return do(client)
}

func (c *Cluster) status(ctx context.Context, i int) (s *clientv3.StatusResponse, err error) {
	err = c.with(i, func(client *clientv3.Client) error {
		return within(ctx, 5*time.Second, func(ctx context.Context) (err error) {
			s, err = client.Status(ctx, c.URL(i))
			return err
		})
	})
	return s, err
}

// Leader is the member that another one takes for the leader.
func (c *Cluster) Leader(ctx context.Context) (int, error) { return c.leaderBut(ctx, -1) }

// leaderBut waits until a member leads that is not the one given.
func (c *Cluster) leaderBut(ctx context.Context, not int) (leader int, err error) {
	err = patiently(ctx, "a member leads", func(ctx context.Context) error {
		for i, m := range c.members {
			if i == not || !m.serving() {
				continue
			}
			s, err := c.status(ctx, i)
			if err != nil {
				continue
			}
			at := slices.IndexFunc(c.members, func(m *member) bool { return m.id == s.Leader && s.Leader != 0 })
			if at >= 0 && at != not {
				leader = at
				return nil
			}
		}
		return errors.New("none does")
	})
	return leader, err
}

// follower is a member that does not lead, and answers.
func (c *Cluster) follower(ctx context.Context) (int, error) {
	leader, err := c.Leader(ctx)
	if err != nil {
		return 0, err
	}
	for n := range len(c.members) - 1 {
		if i := (leader + 1 + n) % len(c.members); c.members[i].serving() {
			return i, nil
		}
	}
	return 0, errors.New("no follower is left")
}

// patiently tries for up to a minute and a half until there is no error.
func patiently(ctx context.Context, what string, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it did not come about that %s: %w", what, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func within(ctx context.Context, d time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return do(ctx)
}

// loopback is an address of this process' own, so that a port stays free while its member is stopped: connections that go out
// from 127.0.0.1, and other programs, do not take it.
var loopback = func() string {
	own := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(250), rand.IntN(250), 1+rand.IntN(250))
	l, err := net.Listen("tcp", own+":0")
	if err != nil {
		return "127.0.0.1" // not on Linux
	}
	l.Close()
	return own
}()

var handedOut sync.Map // host:port

// FreeAddress is a host:port of this machine that nobody listens on, and that is given out once.
func FreeAddress() (string, error) {
	for {
		l, err := net.Listen("tcp", loopback+":0")
		if err != nil {
			return "", err
		}
		address := l.Addr().String()
		l.Close()
		if _, twice := handedOut.LoadOrStore(address, true); !twice {
			return address, nil
		}
	}
}

// path is one beside the members' data.
func (c *Cluster) path(name string) string { return filepath.Join(c.options.Dir, name) }

func writeFile(path string, text []byte) error { return os.WriteFile(path, text, 0o600) }
