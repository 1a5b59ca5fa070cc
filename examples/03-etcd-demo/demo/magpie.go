package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// diagnoser is the address of the pack's for the cluster.
const diagnoser = `pack.etcd.diagnoser.etcd.main["demo"]`

// magpie is the daemon's process.
type magpie struct {
	url  string
	cmd  *exec.Cmd
	done chan struct{}
	mu   sync.Mutex
	log  bytes.Buffer
}

// OfSpeed are the alerts, as a regular expression, that a machine with other work brings about by itself: their warnings are no part of a
// break's story.
const OfSpeed = "etcdGRPCRequestsSlow|etcdHighCommitDurations|etcdHighFsyncDurations|etcdMemberCommunicationSlow"

var (
	ofSpeed  = regexp.MustCompile(`^(` + OfSpeed + `)$`)
	speed    = regexp.MustCompile(`(?s)(alert "(?:etcdGRPCRequestsSlow|etcdHighCommitDurations|etcdMemberCommunicationSlow)" \{.*?\n\s+for\s+=) "\w+"`)
	longWait = regexp.MustCompile(`(?m)^(\s+for\s+=) "\d+[mh]\w*"`)
	critical = regexp.MustCompile(`(?m)^(\s+for\s+=) "\d+[mh]\w*"(\n\s+labels\s+= \{ severity = "critical")`)
)

// ShortWaits shortens what rules wait for and look back on. What is critical waits for longer than an election takes, and slowness until it
// has lasted.
func ShortWaits(rules string) string {
	rules = critical.ReplaceAllString(rules, `$1 "6s"$2`)
	rules = speed.ReplaceAllString(rules, `$1 "15s"`)
	rules = longWait.ReplaceAllString(rules, `$1 "1s"`)
	return strings.NewReplacer("[5m])", "[20s])", "[15m:1m]", "[1m:1s]").Replace(rules)
}

// configure writes config.hcl and the pack, whose rules do not wait for long, into the demo's directory.
func (d *demo) configure() (dir string, err error) {
	dir = filepath.Join(d.dir, "magpie")
	pack := filepath.Join(d.examples, "packs", "etcd")
	err = errors.Join(os.MkdirAll(filepath.Join(d.dir, "packs"), 0o700), os.MkdirAll(dir, 0o700))
	if err == nil {
		err = os.CopyFS(filepath.Join(d.dir, "packs", "etcd"), os.DirFS(pack))
	}
	if err != nil {
		return "", err
	}
	rules, err := filepath.Glob(filepath.Join(d.dir, "packs", "etcd", "rules_*.hcl"))
	if err == nil && len(rules) == 0 {
		err = fmt.Errorf("%s has no rules", pack)
	}
	for _, file := range rules {
		text, readErr := os.ReadFile(file)
		err = errors.Join(err, readErr, os.WriteFile(file, []byte(ShortWaits(string(text))), 0o600))
	}
	text, readErr := os.ReadFile(filepath.Join(d.examples, "03-etcd-demo", "config.hcl"))
	return dir, errors.Join(err, readErr, os.WriteFile(filepath.Join(dir, "config.hcl"), text, 0o600))
}

var lookAt = regexp.MustCompile(`Look at (http://[^/]+)/`)

// startMagpie runs the daemon and waits until it says where it is.
func (d *demo) startMagpie(ctx context.Context) (*magpie, error) {
	dir, err := d.configure()
	if err != nil {
		return nil, err
	}
	binary, err := filepath.Abs(d.options.magpie)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(binary); err != nil {
		return nil, fmt.Errorf("%w: make build makes it", err)
	}
	m := &magpie{done: make(chan struct{})}
	m.cmd = exec.Command(binary, "run", "-listen", d.listen, "-data-dir", filepath.Join(dir, "data"))
	m.cmd.Dir = dir
	ca, cert, key := d.cluster.Files()
	m.cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+d.dir, "ETCD_ENDPOINTS="+strings.Join(d.cluster.URLs(), ","), "ETCD_DATA_DIR="+d.cluster.Dir(d.cluster.Len()-1),
		"ETCD_CA_FILE="+ca, "ETCD_CERT_FILE="+cert, "ETCD_KEY_FILE="+key)
	m.cmd.Stdout, m.cmd.Stderr = m, m
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for us, and we stop it
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { m.cmd.Wait(); close(m.done) }()
	for {
		if found := lookAt.FindStringSubmatch(m.said()); found != nil {
			m.url = found[1]
			return m, nil
		}
		select {
		case <-m.done:
			return nil, fmt.Errorf("magpie has not started:\n%s", m.said())
		case <-ctx.Done():
			m.stop()
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (m *magpie) Write(b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.log.Len() > 1<<20 { // the beginning is what tells why it did not start
		return len(b), nil
	}
	return m.log.Write(b)
}

func (m *magpie) said() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.String()
}

func (m *magpie) stop() {
	m.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-m.done:
	case <-time.After(15 * time.Second):
		m.cmd.Process.Kill()
		<-m.done
	}
}

// noise reports whether it is a warning of speed.
func (a alert) noise() bool {
	return a.Labels["severity"] == "warning" && ofSpeed.MatchString(a.Labels["alertname"])
}

// alert is one as Prometheus' API has it.
type alert struct {
	State               string
	Labels, Annotations map[string]string
}

// text is what a person reads of it.
func (a alert) text() string {
	text := a.Labels["alertname"]
	if s := a.Labels["severity"]; s != "" {
		text += " (" + s + ")"
	}
	return text + ": " + a.Annotations["summary"]
}

// id tells alerts apart.
func (a alert) id() string {
	b, _ := json.Marshal(a.Labels)
	return string(b)
}

func (m *magpie) alerts(ctx context.Context) ([]alert, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url+"/api/v1/alerts", nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var all struct{ Data struct{ Alerts []alert } }
	err = json.NewDecoder(answer.Body).Decode(&all)
	return all.Data.Alerts, err
}

// tell prints which alerts begin and end to fire, until the context ends.
func (d *demo) tell(ctx context.Context) {
	firing := map[string]alert{}
	for sleep(ctx, 300*time.Millisecond) == nil {
		all, err := d.magpie.alerts(ctx)
		if err != nil {
			continue
		}
		now := map[string]alert{}
		for _, a := range all {
			if a.State == "firing" {
				now[a.id()] = a
			}
		}
		for id, a := range now {
			if _, known := firing[id]; !known {
				d.say("FIRING    %s", a.text())
			}
		}
		for id, a := range firing {
			if _, still := now[id]; !still {
				d.say("resolved  %s", a.text())
			}
		}
		firing = now
		d.mu.Lock()
		d.told, d.looked = all, d.looked+1
		d.mu.Unlock()
	}
}

// lastTold are the alerts as they were last told of, and how often they were looked at until then.
func (d *demo) lastTold() ([]alert, int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.told, d.looked
}
