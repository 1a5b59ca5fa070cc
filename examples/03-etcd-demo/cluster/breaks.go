package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Break is one way in which a cluster breaks, and what is to be seen of it with the rules and the diagnoser for etcd.
type Break struct {
	Name  string // in menus and scripts
	About string // what is done
	Alert string // that fires
	// Other critical alerts that come of the same.
	Beside []string
	do     func(context.Context, *Cluster) (Broken, error)
}

// Broken is a cluster that was broken.
type Broken struct {
	Instance string // the label of the alert that fires, "" where it is the cluster's
	Cause    string // how the title of the finding begins that names the cause
	Repair   func(context.Context) error
}

// Do breaks a cluster that is in order.
func (b Break) Do(ctx context.Context, c *Cluster) (Broken, error) { return b.do(ctx, c) }

// Breaks are all of them.
func Breaks() []Break {
	return []Break{
		{"stop-member", "kill a follower", "etcdMembersDown", nil, stopMember},
		{"lose-quorum", "kill two of three members", "etcdInsufficientMembers", []string{"etcdNoLeader", "etcdHighNumberOfFailedGRPCRequests"}, loseQuorum},
		{"pause-leader", "freeze the leader's process (SIGSTOP)", "etcdMembersDown", nil, pauseLeader},
		{"flap-leader", "freeze whoever leads for three seconds, again and again", "etcdHighNumberOfLeaderChanges", []string{"etcdNoLeader", "etcdLeadersDisagree"}, flapLeader},
		{"cut-link", "cut the link between the leader and one follower", "etcdNoLeader", []string{"etcdLeadersDisagree"}, cutLink},
		{"cut-leader", "cut the leader off from both followers", "etcdTermsDiffer", []string{"etcdNoLeader", "etcdLeadersDisagree"}, cutLeader},
		{"slow-disk", "let each fsync of a follower take 700 ms (strace)", "etcdHighFsyncDurations", []string{"etcdHighNumberOfFailedGRPCRequests"}, slowDisk},
		{"fill-quota", "write until the database is full", "etcdAlarm", []string{"etcdDatabaseQuotaLowSpace", "etcdHighNumberOfFailedGRPCRequests"}, fillQuota},
		{"compact", "compact behind a watcher and a reader of old revisions", "etcdClientsBehindCompaction", []string{"etcdHighNumberOfFailedGRPCRequests"}, compact},
		{"corrupt-member", "change a letter in the database of a stopped follower", "etcdDataDiffer", []string{"etcdAlarm", "etcdHighNumberOfFailedGRPCRequests"}, corruptMember},
		{"stuck-learner", "add a learner that never starts", "etcdMemberNeverStarted", nil, stuckLearner},
		{"wrong-peer-url", "give a follower a peer URL where nobody listens", "etcdPeerURLUnanswered", nil, wrongPeerURL},
		{"no-permission", "take the last member's rights to its data directory, and restart it", "etcdMembersDown", nil, noPermission},
		{"read-only", "mount the last member's data directory read only, and restart it", "etcdMembersDown", nil, readOnly},
		{"damage-db", "overwrite the head of the last member's database, and restart it", "etcdMembersDown", nil, damageDatabase},
		{"damage-log", "flip a bit in the last member's log, and restart it", "etcdMembersDown", nil, damageLog},
		{"unfinished-upgrade", "restart a follower as the next version of etcd, and leave it at that", "etcdVersionsDiffer", nil, unfinishedUpgrade},
		{"expire-certificate", "put a certificate in place that is valid for a day", "etcdCertificateExpires", nil, expireCertificate},
	}
}

// Named is a break by its name.
func Named(name string) (Break, error) {
	var names []string
	for _, b := range Breaks() {
		if b.Name == name {
			return b, nil
		}
		names = append(names, b.Name)
	}
	return Break{}, fmt.Errorf("there is no break %q; there are: %s", name, strings.Join(names, ", "))
}

func stopMember(ctx context.Context, c *Cluster) (Broken, error) {
	i, err := c.follower(ctx)
	if err != nil {
		return Broken{}, err
	}
	c.Stop(i)
	return Broken{c.Instance(i), "member " + c.title(i) + " does not answer: connection refused", c.again(i)}, nil
}

// again starts members and waits until all serve.
func (c *Cluster) again(members ...int) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, i := range members {
			if err := c.Run(i); err != nil {
				return err
			}
		}
		return c.Ready(ctx)
	}
}

func loseQuorum(ctx context.Context, c *Cluster) (Broken, error) {
	leader, err := c.Leader(ctx)
	if err != nil {
		return Broken{}, err
	}
	n := len(c.members)
	var stopped []int
	for k := range n/2 + 1 { // the leader stays, which knows then that it leads nobody
		stopped = append(stopped, (leader+1+k)%n)
		c.Stop((leader + 1 + k) % n)
	}
	return Broken{"", fmt.Sprintf("the quorum is lost: %d of %d voting members answer", n-len(stopped), n), c.again(stopped...)}, nil
}

func pauseLeader(ctx context.Context, c *Cluster) (Broken, error) {
	leader, err := c.Leader(ctx)
	if err != nil {
		return Broken{}, err
	}
	c.Pause(leader)
	repair := func(ctx context.Context) error { c.Resume(leader); return c.Ready(ctx) }
	if _, err := c.leaderBut(ctx, leader); err != nil {
		return Broken{}, errors.Join(err, repair(ctx))
	}
	return Broken{c.Instance(leader), "member " + c.title(leader) + " does not answer: it takes connections and does not answer", repair}, nil
}

func flapLeader(_ context.Context, c *Cluster) (Broken, error) {
	ctx, stop := context.WithCancel(context.Background())
	var flapping sync.WaitGroup
	flapping.Go(func() {
		for ctx.Err() == nil {
			leader, err := c.Leader(ctx)
			if err != nil {
				continue
			}
			c.Pause(leader)
			c.leaderBut(ctx, leader)
			c.Resume(leader)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	})
	return Broken{"", "the leader changes", func(ctx context.Context) error {
		stop()
		flapping.Wait()
		return c.Ready(ctx)
	}}, nil
}

func cutLink(ctx context.Context, c *Cluster) (Broken, error) {
	leader, err := c.Leader(ctx)
	if err != nil {
		return Broken{}, err
	}
	follower := (leader + 1) % len(c.members)
	c.Cut(leader, follower)
	return Broken{c.Instance(follower), "member " + c.title(follower) + " knows no leader, while others have one", func(ctx context.Context) error {
		c.Mend(leader, follower)
		return c.Ready(ctx)
	}}, nil
}

func cutLeader(ctx context.Context, c *Cluster) (Broken, error) {
	leader, err := c.Leader(ctx)
	if err != nil {
		return Broken{}, err
	}
	links := c.linksOf(leader)
	c.links.set(true, links...)
	repair := func(ctx context.Context) error { c.links.set(false, links...); return c.Ready(ctx) }
	if _, err := c.leaderBut(ctx, leader); err != nil {
		return Broken{}, errors.Join(err, repair(ctx))
	}
	return Broken{"", "member " + c.title(leader) + " knows no leader, while others have one", repair}, nil
}

// slowDisk makes what etcd waits for slow, where it waits: strace lets fdatasync return late. A device that is slow itself cannot be had
// everywhere. It is a follower's: a slow leader is no leader for long.
func slowDisk(ctx context.Context, c *Cluster) (Broken, error) {
	i, err := c.follower(ctx)
	if err != nil {
		return Broken{}, err
	}
	stopLoad, err := c.Load(50)
	if err != nil {
		return Broken{}, err
	}
	tracer := exec.Command("strace", "-f", "-qq", "-o", os.DevNull, "-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:delay_exit=700000", "-p", fmt.Sprint(c.members[i].process.Process.Pid))
	tracer.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	if err := tracer.Start(); err != nil {
		stopLoad()
		return Broken{}, fmt.Errorf("%w: strace slows the disk; make deps installs it", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- tracer.Wait() }()
	select {
	case err := <-ended:
		stopLoad()
		return Broken{}, fmt.Errorf("strace does not slow the process, which it may not as any user: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	return Broken{c.Instance(i), c.title(i) + " is slow in writing its log to disk (WAL fsync)", func(ctx context.Context) error {
		tracer.Process.Signal(syscall.SIGINT) // it lets go of the process
		<-ended
		stopLoad()
		return c.Ready(ctx)
	}}, nil
}

func fillQuota(ctx context.Context, c *Cluster) (Broken, error) {
	client, err := c.Client()
	if err != nil {
		return Broken{}, err
	}
	defer client.Close()
	for i := 0; ; i++ {
		_, err := client.Put(ctx, fmt.Sprintf("big/%d", i%3), strings.Repeat("x", 100<<10))
		if err != nil && strings.Contains(err.Error(), "database space exceeded") {
			break
		}
		if i == 100_000 || ctx.Err() != nil {
			return Broken{}, errors.Join(err, errors.New("10 GB fit into the database: give the members a quota"))
		}
		if i%20 == 19 { // what etcd compares with the quota is the size at its last commit, each 100 ms
			time.Sleep(20 * time.Millisecond)
		}
	}
	return Broken{"", "the database is full: alarm NOSPACE is raised", c.Compact}, nil
}

func compact(ctx context.Context, c *Cluster) (Broken, error) {
	client, err := c.Client(0)
	if err != nil {
		return Broken{}, err
	}
	for range 3 {
		r, err := client.Put(ctx, "old", "new")
		if err == nil && r.Header.Revision > 3 {
			_, err = client.Compact(ctx, r.Header.Revision)
		}
		if err != nil {
			client.Close()
			return Broken{}, err
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	var behind sync.WaitGroup
	behind.Go(func() {
		for ctx.Err() == nil {
			for range client.Watch(ctx, "old", clientv3.WithRev(2)) { // it is cancelled at once, as compacted
			}
			client.Get(ctx, "old", clientv3.WithRev(2))
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	return Broken{c.Instance(0), "clients ask for revisions that are compacted", func(context.Context) error {
		stop()
		behind.Wait()
		return client.Close()
	}}, nil
}

func corruptMember(ctx context.Context, c *Cluster) (Broken, error) {
	i, err := c.follower(ctx)
	if err != nil {
		return Broken{}, err
	}
	const rotten = "a value that rots"
	if err := c.with(i, func(client *clientv3.Client) error {
		_, err := client.Put(ctx, "rotten", rotten)
		return err
	}); err != nil {
		return Broken{}, err
	}
	rot := func(ctx context.Context) error {
		c.Stop(i)
		if err := c.members[i].rot(rotten); err != nil {
			return errors.Join(err, c.Run(i))
		}
		if err := c.Run(i); err != nil {
			return err
		}
		return c.reachable(ctx, i)
	}
	// What was put is on disk once it is committed, and the follower may be a moment behind.
	if err := patiently(ctx, "the value is in the file", func(ctx context.Context) error { time.Sleep(500 * time.Millisecond); return rot(ctx) }); err != nil {
		return Broken{}, err
	}
	return Broken{c.Instance(i), "the data of " + c.title(i) + " differ from those of the majority", func(ctx context.Context) error {
		if err := rot(ctx); err != nil {
			return err
		}
		if err := c.with(i, func(client *clientv3.Client) error {
			_, err := client.AlarmDisarm(ctx, &clientv3.AlarmMember{}) // where etcd itself looks for it, too
			return err
		}); err != nil {
			return err
		}
		return c.Ready(ctx)
	}}, nil
}

// reachable waits until a member answers what it can answer alone.
func (c *Cluster) reachable(ctx context.Context, i int) error {
	return patiently(ctx, "member "+c.Name(i)+" answers", func(ctx context.Context) error {
		_, err := c.status(ctx, i)
		return err
	})
}

func stuckLearner(ctx context.Context, c *Cluster) (Broken, error) {
	client, err := c.Client()
	if err != nil {
		return Broken{}, err
	}
	nowhere, err := FreeAddress()
	if err != nil {
		return Broken{}, err
	}
	var added *clientv3.MemberAddResponse
	err = patiently(ctx, "a learner can be added", func(ctx context.Context) (err error) { // not while members have just come back
		if added, err = client.MemberAddAsLearner(ctx, []string{"http://" + nowhere}); err != nil {
			time.Sleep(3 * time.Second) // refusals in a row are requests that fail, and alerted
		}
		return err
	})
	if err != nil {
		return Broken{}, err
	}
	return Broken{nowhere, "a learner was added and has never started: peer URL " + nowhere, func(ctx context.Context) error {
		_, err := client.MemberRemove(ctx, added.Member.ID)
		return errors.Join(err, client.Close())
	}}, nil
}

func wrongPeerURL(ctx context.Context, c *Cluster) (Broken, error) {
	i, err := c.follower(ctx)
	if err != nil {
		return Broken{}, err
	}
	wrong, err := FreeAddress()
	if err != nil {
		return Broken{}, err
	}
	m := c.members[i]
	update := func(ctx context.Context, url string) error {
		return c.with((i+1)%len(c.members), func(client *clientv3.Client) error {
			return patiently(ctx, "the member's URL is changed", func(ctx context.Context) error {
				_, err := client.MemberUpdate(ctx, m.id, []string{url})
				return err
			})
		})
	}
	if err := update(ctx, "http://"+wrong); err != nil {
		return Broken{}, err
	}
	return Broken{c.Instance(i), "the peer URL of " + c.title(i) + " is wrong or cannot be reached: http://" + wrong, func(ctx context.Context) error {
		return errors.Join(update(ctx, m.peer), c.Ready(ctx))
	}}, nil
}

// The last member is the one whose directory the diagnoser can be told of.
func (c *Cluster) last() (int, *member) { i := len(c.members) - 1; return i, c.members[i] }

// failsToStart stops the last member, changes what it needs, and starts it: its process ends, and undo is the repair.
func (c *Cluster) failsToStart(ctx context.Context, cause string, change func(*member) (undo func() error, err error)) (Broken, error) {
	i, m := c.last()
	c.Stop(i)
	undo, err := change(m)
	if err != nil {
		return Broken{}, errors.Join(err, c.Run(i))
	}
	b := Broken{c.Instance(i), cause, func(ctx context.Context) error {
		c.Stop(i)
		m.unprivileged, m.unable = false, false
		return errors.Join(undo(), c.again(i)(ctx))
	}}
	if err := c.Run(i); err != nil {
		return b, err
	}
	select {
	case <-m.ended():
		m.unable = true
		c.links.close(i) // nobody listens
		return b, nil
	case <-ctx.Done():
		return b, ctx.Err()
	case <-time.After(time.Minute):
		return b, errors.Join(fmt.Errorf("member %s runs, though it should not:\n%s", m.name, m.said(2000)), b.Repair(ctx))
	}
}

func noPermission(ctx context.Context, c *Cluster) (Broken, error) {
	return c.failsToStart(ctx, "the owner ", func(m *member) (func() error, error) {
		m.unprivileged = true
		return func() error { return os.Chmod(m.dir, 0o700) }, os.Chmod(m.dir, 0)
	})
}

func readOnly(ctx context.Context, c *Cluster) (Broken, error) {
	_, m := c.last()
	return c.failsToStart(ctx, "the file system of "+m.dir+" is mounted read only", func(m *member) (func() error, error) {
		if err := syscall.Mount(m.dir, m.dir, "", syscall.MS_BIND, ""); err != nil {
			return nil, fmt.Errorf("mounting needs root: %w", err)
		}
		undo := func() error { return syscall.Unmount(m.dir, syscall.MNT_DETACH) }
		if err := syscall.Mount("", m.dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			return nil, errors.Join(err, undo())
		}
		return undo, nil
	})
}

func damageDatabase(ctx context.Context, c *Cluster) (Broken, error) {
	_, m := c.last()
	return c.failsToStart(ctx, "the database "+m.database()+" is damaged", (*member).noDatabase)
}

func damageLog(ctx context.Context, c *Cluster) (Broken, error) {
	i, _ := c.last()
	if err := c.with(i, func(client *clientv3.Client) error {
		_, err := client.Put(ctx, "logged", logged)
		return err
	}); err != nil {
		return Broken{}, err
	}
	return c.failsToStart(ctx, "the log ", (*member).badLog)
}

func expireCertificate(_ context.Context, c *Cluster) (Broken, error) {
	if c.authority == nil {
		return Broken{}, errors.New("the cluster has no certificates: it runs without TLS")
	}
	if err := c.Issue(24 * time.Hour); err != nil {
		return Broken{}, err
	}
	return Broken{c.Instance(0), "certificate of the client URL of " + c.title(0) + " expires in ", func(context.Context) error { return c.Issue(60 * 24 * time.Hour) }}, nil
}

// IsBeside reports whether a critical alert is one that comes of the same break.
func (b Break) IsBeside(alert string) bool {
	return alert == b.Alert || slices.Contains(b.Beside, alert)
}
