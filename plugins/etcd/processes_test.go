package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// onOthers runs a test on the versions of etcd that are not linked in, whose members are processes: on Debian's 3.4, and in a soak on 3.5
// and 3.6 as make etcds builds them.
func onOthers(t *testing.T, test func(t *testing.T, binary string)) {
	t.Helper()
	t.Run("3.4", func(t *testing.T) {
		t.Parallel()
		test(t, plugintest.Program(t, "etcd"))
	})
	for _, version := range []string{"3.5", "3.6"} {
		if os.Getenv("MAGPIE_SOAK") == "" {
			return
		}
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			binary := "../../bin/etcd-" + version
			if _, err := os.Stat(binary); err != nil {
				t.Fatalf("%v: make etcds builds it", err)
			}
			test(t, binary)
		})
	}
}

// runs34 reports whether the members are of 3.4, which has fewer calls and another tool for files than what came after it.
func (c *cluster) runs34(t *testing.T) bool {
	t.Helper()
	r, err := c.client(0, "", "").Status(within(t), c.url(0))
	if err != nil {
		t.Fatal(err)
	}
	return minor(r.Version) == "3.4"
}

// process starts member i as a process.
func (c *cluster) process(i int) {
	c.t.Helper()
	m := c.configs[i]
	args := []string{
		"--name=" + m.Name, "--data-dir=" + m.Dir, "--heartbeat-interval=" + strconv.Itoa(int(m.TickMs)), "--election-timeout=" + strconv.Itoa(int(m.ElectionMs)),
		"--listen-peer-urls=" + m.ListenPeerUrls[0].String(), "--initial-advertise-peer-urls=" + m.AdvertisePeerUrls[0].String(),
		"--listen-client-urls=" + m.ListenClientUrls[0].String(), "--advertise-client-urls=" + m.AdvertiseClientUrls[0].String(),
		"--initial-cluster=" + m.InitialCluster, "--initial-cluster-state=" + m.ClusterState, "--bcrypt-cost=4",
		"--quota-backend-bytes=" + strconv.FormatInt(m.QuotaBackendBytes, 10), "--logger=zap", "--log-outputs=" + c.log(i),
	}
	p := exec.Command(c.binary, args...)
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.processes[i] = p
}

func (c *cluster) log(i int) string {
	return filepath.Join(filepath.Dir(c.configs[i].Dir), c.configs[i].Name+".log")
}

// kill ends the process of member i, a stopped one, too.
func (c *cluster) kill(i int) {
	if p := c.processes[i]; p != nil {
		p.Process.Kill()
		p.Wait()
		c.processes[i] = nil
	}
}

// pause stops the process of member i as a debugger or a frozen machine would; resume lets it go on.
func (c *cluster) pause(i int)  { c.processes[i].Process.Signal(syscall.SIGSTOP) }
func (c *cluster) resume(i int) { c.processes[i].Process.Signal(syscall.SIGCONT) }

// serves waits until member i answers and follows a leader.
func (c *cluster) serves(i int) {
	c.t.Helper()
	client := c.client(i, "", "")
	defer client.Close()
	for deadline := time.Now().Add(time.Minute); ; {
		ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
		r, err := client.Status(ctx, c.url(i))
		cancel()
		if err == nil && r.Leader != 0 {
			return
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(c.log(i))
			c.t.Fatalf("member %d does not serve: %v\n%s", i, err, said[max(0, len(said)-2000):])
		}
		time.Sleep(50 * time.Millisecond)
	}
}
