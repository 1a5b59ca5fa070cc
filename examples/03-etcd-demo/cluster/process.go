package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// member is one member: what it is set to, and its process while it runs.
type member struct {
	name, dir, log string
	client         string // host:port of its client URL
	peer, behind   string // URL that the others know, which is the proxy's, and host:port of its own listener
	program        string // as in Options
	set            map[string]any
	id             uint64
	paused         bool
	unable         bool // it is broken so that it does not start
	unprivileged   bool // even as root it may do only what permissions allow
	process        *exec.Cmd
	done           chan struct{} // closed when the process has ended
}

func (c *Cluster) newMember(name string) (*member, error) {
	m := &member{name: name, dir: c.path(name), log: c.path(name + ".log"), program: c.options.Program}
	var addresses [3]string
	for i := range addresses {
		var err error
		if addresses[i], err = FreeAddress(); err != nil {
			return nil, err
		}
	}
	m.client, m.peer, m.behind = addresses[0], "http://"+addresses[1], addresses[2]
	url := c.scheme() + m.client
	m.set = map[string]any{
		"name": m.name, "data-dir": m.dir, "listen-client-urls": url, "advertise-client-urls": url,
		"listen-peer-urls": "http://" + m.behind, "initial-advertise-peer-urls": m.peer, "initial-cluster-state": "new",
		"heartbeat-interval": 100, "election-timeout": 1500, // other programs want this machine, too
		"logger": "zap", "log-level": "info", "log-outputs": []string{"stderr"},
	}
	if c.authority != nil {
		m.set["client-transport-security"] = map[string]any{"cert-file": c.authority.pair.cert, "key-file": c.authority.pair.key, "trusted-ca-file": c.authority.file, "client-cert-auth": true}
	}
	maps.Copy(m.set, c.options.Set)
	return m, nil
}

// memberEnv holds the path of the settings in the environment of a process that is to be a member.
const memberEnv = "MAGPIE_ETCD_MEMBER"

// start runs the member with its settings in a file, which is what etcd reads with --config-file; the etcd that is linked in reads the
// same.
func (m *member) start() error {
	text, err := json.Marshal(m.set) // JSON is YAML
	if err != nil {
		return err
	}
	settings := filepath.Join(filepath.Dir(m.dir), m.name+".yml")
	if err := writeFile(settings, text); err != nil {
		return err
	}
	words, env := []string{m.program, "--config-file=" + settings}, []string(nil)
	if m.program == "" {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		words, env = []string{self}, []string{memberEnv + "=" + settings}
	}
	if m.unprivileged && os.Geteuid() == 0 {
		words = append([]string{"setpriv", "--bounding-set=-dac_override,-dac_read_search"}, words...)
	}
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p := exec.Command(words[0], words[1:]...)
	p.Env, p.Stdout, p.Stderr = append(os.Environ(), env...), log, log
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // a Ctrl-C is for us, and we end them
	if err := p.Start(); err != nil {
		return err
	}
	m.process, m.paused, m.done = p, false, make(chan struct{})
	go func(done chan struct{}) { p.Wait(); close(done) }(m.done)
	return nil
}

// ended is closed when the process is gone, however that came.
func (m *member) ended() <-chan struct{} { return m.done }

// serving reports whether the member has a process that is to answer.
func (m *member) serving() bool { return m.process != nil && !m.paused && !m.unable }

func (m *member) kill() {
	if m.process == nil {
		return
	}
	m.process.Process.Kill()
	<-m.done
	m.process, m.paused = nil, false
}

// end asks the process to end, as whoever restarts a service does: a leader hands over first.
func (m *member) end() {
	if m.process != nil && !m.paused {
		m.process.Process.Signal(syscall.SIGTERM)
		select {
		case <-m.done:
		case <-time.After(20 * time.Second):
		}
	}
	m.kill()
}

const pause, resume = syscall.SIGSTOP, syscall.SIGCONT

func (m *member) signal(s syscall.Signal) {
	if m.process != nil {
		m.process.Process.Signal(s)
		m.paused = s == pause
	}
}

// said is the end of the member's log.
func (m *member) said(n int) string {
	text, _ := os.ReadFile(m.log)
	return string(text[max(0, len(text)-n):])
}

// RunMember is this process' whole life, if it was started to be a member. The program that starts clusters calls it first; it
// returns where the process is anything else.
func RunMember() {
	settings := os.Getenv(memberEnv)
	if settings == "" {
		return
	}
	os.Unsetenv(memberEnv)
	if err := runMember(settings); err != nil {
		fmt.Fprintf(os.Stderr, "etcd has failed: %v\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runMember(settings string) error {
	cfg, err := embed.ConfigFromFile(settings)
	if err != nil {
		return err
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		return err
	}
	select {
	case <-server.Server.StopNotify():
		return errors.New("it has stopped by itself")
	case err := <-server.Err():
		return err
	case <-terminated:
		stuck := time.AfterFunc(10*time.Second, func() { os.Exit(1) }) // Close waits for a server that never got ready
		defer stuck.Stop()
		server.Close()
		return nil
	}
}
