package cluster

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"

	"go.etcd.io/etcd/api/v3/version"
)

// unfinishedUpgrade restarts one follower as the next version; the repair is to finish the upgrade, the leader last.
func unfinishedUpgrade(ctx context.Context, c *Cluster) (Broken, error) {
	i, err := c.follower(ctx)
	if err != nil {
		return Broken{}, err
	}
	s, err := c.status(ctx, i)
	if err != nil {
		return Broken{}, err
	}
	program, err := c.next(s.Version)
	if err != nil {
		return Broken{}, err
	}
	repair := func(ctx context.Context) error {
		leader, err := c.Leader(ctx)
		if err != nil {
			return err
		}
		for n := range c.members { // followers first
			if err := c.restart(ctx, (leader+1+n)%len(c.members), program); err != nil {
				return err
			}
		}
		return nil
	}
	return Broken{"", "the members run different versions of etcd: " + s.Version + " at ", repair}, c.restart(ctx, i, program)
}

// restart ends a member and starts it as another etcd on the data that it has, unless it is that one already.
func (c *Cluster) restart(ctx context.Context, i int, program string) error {
	m := c.members[i]
	if m.program == program {
		return nil
	}
	m.end()
	c.links.close(i)
	m.program = program
	return c.again(i)(ctx)
}

// next is the etcd after a version: the first of those that the cluster can be upgraded to which is newer.
func (c *Cluster) next(from string) (program string, err error) {
	newer := c.options.Newer
	if len(newer) == 0 {
		newer = []string{""}
	}
	for _, program = range newer {
		to, err := versionOf(program)
		if err != nil {
			return "", err
		}
		switch steps := minor(to) - minor(from); {
		case steps < 0 || to == from:
		case steps > 1:
			return "", fmt.Errorf("an upgrade skips no minor version, and from %s to %s it would: name what is between (make etcds builds it)", from, to)
		default:
			return program, nil
		}
	}
	return "", fmt.Errorf("there is no newer etcd than %s to upgrade to: begin with an older one (make etcds builds some)", from)
}

// versionOf is the version of an etcd, such as 3.6.16.
func versionOf(program string) (string, error) {
	if program == "" {
		return version.Version, nil
	}
	said, err := exec.Command(program, "--version").Output()
	found := regexp.MustCompile(`etcd Version: (3\.\d+\.\S+)`).FindSubmatch(said)
	if err != nil || found == nil {
		return "", fmt.Errorf("%s --version says no version of etcd: %q, %v", program, said, err)
	}
	return string(found[1]), nil
}

// minor is the 6 of 3.6.16.
func minor(version string) (n int) {
	fmt.Sscanf(version, "3.%d.", &n)
	return n
}
