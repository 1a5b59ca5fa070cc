package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// pusher sends numbered samples, each with a time of its own, to the first of two addresses that takes it.
type pusher struct {
	name  string // of the metric
	ports [2]string
	post  func(to string, n int64) error
	taken int64 // how many were acknowledged
	gaps  int   // how often nobody took one
}

func (p *pusher) push(began time.Time) {
	at := began.Add(time.Duration(p.taken) * time.Millisecond).UnixNano()
	for range 3 { // a connection that is closed under a request is no refusal
		for _, to := range p.ports {
			if p.post(to, at) == nil {
				p.taken++
				return
			}
		}
	}
	p.gaps++
}

// strangers makes a connection for each request, with a handshake of its own.
var strangers = &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}

func posting(client *http.Client, url, kind, body string) error {
	r, err := client.Post(url, kind, strings.NewReader(body))
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode/100 != 2 {
		return fmt.Errorf("%s", r.Status)
	}
	return nil
}

// Receivers whose ports change, and a store whose retention changes: the plan says that there is no gap, and there is none. Nor is there one while a
// certificate and its key are replaced one after the other.
func TestAChangeHasNoOtherGapThanThePlanSays(t *testing.T) {
	t.Parallel()
	influx := &pusher{name: "pushed_influx_v", ports: [2]string{plugintest.FreeAddress(t), plugintest.FreeAddress(t)}, post: func(to string, at int64) error {
		return posting(patient, "http://"+to+"/write?db=x", "text/plain", fmt.Sprintf("pushed_influx v=1 %d\n", at))
	}}
	otlp := &pusher{name: "pushed_otlp", ports: [2]string{plugintest.FreeAddress(t), plugintest.FreeAddress(t)}, post: func(to string, at int64) error {
		return posting(patient, "http://"+to+"/v1/metrics", "application/json", fmt.Sprintf(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"pushed_otlp","gauge":{"dataPoints":[{"timeUnixNano":"%d","asDouble":1}]}}]}]}]}`, at))
	}}
	remote := &pusher{name: "numbered", ports: [2]string{plugintest.FreeAddress(t), plugintest.FreeAddress(t)}, post: func(to string, at int64) error {
		return posting(strangers, "https://"+to+"/api/v1/write", "application/x-protobuf", string(numbered(1, 1, time.Unix(0, at))))
	}}
	certificates := t.TempDir()
	for _, pair := range []string{"1", "2"} {
		in(t, certificates, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", pair+".key", "-out", pair+".pem", "-days", "7", "-subj", "/CN="+pair)
	}
	put := func(pair, kind string) { // over what is there, as some programs do
		text, err := os.ReadFile(filepath.Join(certificates, pair+kind))
		if err == nil {
			err = os.WriteFile(filepath.Join(certificates, "live"+kind), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put("1", ".pem")
	put("1", ".key")
	pushers := []*pusher{influx, otlp, remote}
	lines := [2]string{plugintest.FreeAddress(t), plugintest.FreeAddress(t)}
	config := func(i int, retention string) string {
		return fmt.Sprintf("source \"influx\" \"i\" { http_listen = %q }\nsource \"otlp\" \"o\" {\n  http_listen = %q\n  grpc_listen = \"\"\n}\nsource \"remote_write\" \"r\" {\n  listen = %q\n  tls {\n    cert_file = \"%s/live.pem\"\n    key_file  = \"%[4]s/live.key\"\n  }\n}\n"+
			"source \"statsd\" \"s\" {\n  interval = \"1s\"\n  listen   = [\"udp://%[5]s\"]\n}\nstore \"tsdb\" \"main\" { retention = %[6]q }\n", influx.ports[i], otlp.ports[i], remote.ports[i], certificates, lines[i], retention)
	}
	f := fault(t, "rate = 1000", "", config(0, "30d"), "influx", "otlp", "remote_write", "statsd", "tsdb")
	began := time.Now().Add(-time.Hour).Truncate(time.Second)
	counted := 0
	count := func(i int) { // nobody acknowledges a datagram: what is sent while an address is there is counted
		c, err := net.Dial("udp", lines[i])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for range 100 {
			if _, err := c.Write([]byte("counted:1|c")); err != nil {
				t.Errorf("the address %s, which the configuration has, is not there: %v", lines[i], err)
			}
			counted++
		}
	}
	for _, p := range pushers {
		f.eventually(p.name+" is taken", func() bool { p.push(began); return p.taken > 0 })
		p.gaps = 0
	}
	store := 0
	f.eventually("the store runs and answers", func() bool { store = f.pids()["tsdb"]; return store != 0 && f.query("vector(1)") != nil })
	count(0)
	stop := make(chan struct{})
	var pushing sync.WaitGroup
	unanswered := 0
	for _, p := range pushers {
		pushing.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					p.push(began)
				}
			}
		})
	}
	pushing.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				if r, err := http.Get(f.url + "/api/v1/query?query=1"); err != nil || r.StatusCode != 200 {
					unanswered++
				} else {
					r.Body.Close()
				}
			}
		}
	})
	f.write(f.config("rate = 1000", "", config(1, "40d")))
	plan := f.says(2, `(?s)± source.influx.i +replace, the new one first\n +gap: none: .*± source.otlp.o +replace, the new one first\n +gap: none: .*± source.remote_write.r +replace, the new one first\n +gap: none: .*± source.statsd.s +replace, the new one first\n +gap: none: .*~ store.tsdb.main +update in place`, "plan")
	for i := range atLength(3, 100) {
		f.write(f.config("rate = 1000", "", config((i+1)%2, []string{"40d", "30d"}[i%2])))
		f.says(0, "Applied", "apply", "-yes")
		count((i + 1) % 2)
		time.Sleep(50 * time.Millisecond)
	}
	for i := range atLength(2, 20) { // the certificate first, and its key when half a pair has been there for a while
		pair := []string{"2", "1"}[i%2]
		put(pair, ".pem")
		f.eventually("it is seen that they do not fit", func() bool {
			return f.metric("magpie_watched_files_stale") > 0 || strings.Contains(f.logged(), "the pair before goes on")
		})
		put(pair, ".key")
		f.eventually("the new certificate is shown", func() bool {
			for _, to := range remote.ports {
				if c, err := tls.Dial("tcp", to, &tls.Config{InsecureSkipVerify: true}); err == nil {
					defer c.Close()
					return c.ConnectionState().PeerCertificates[0].Subject.CommonName == pair
				}
			}
			return false
		})
	}
	close(stop)
	pushing.Wait()
	if now := f.pids()["tsdb"]; now != store || unanswered > 0 {
		t.Errorf("the store's process was %d and is %d; %d queries had no answer, and the plan says of it that it goes on:\n%s", store, now, unanswered, plan)
	}
	for _, p := range pushers {
		query := fmt.Sprintf("sum(count_over_time({__name__=%q}[2h]))", p.name)
		f.eventually(fmt.Sprintf("all %d of %s are stored", p.taken, p.name), func() bool {
			s := f.query(query)
			return len(s) == 1 && s[0].Value[1] == fmt.Sprint(p.taken)
		})
		if p.gaps > 0 || p.taken < 4 {
			t.Errorf("%s: nobody took %d of %d, and the plan says that there is no gap", p.name, p.gaps, p.taken+int64(p.gaps))
		}
		t.Logf("%s: %d samples were acknowledged and stored, on changing ports; refused by both: %d", p.name, p.taken, p.gaps)
	}
	f.eventually(fmt.Sprintf("all %d that StatsD was sent are counted", counted), func() bool {
		sum, before := 0.0, 0.0
		for _, s := range f.query("counted[1h]") {
			for _, v := range s.Values {
				now, _ := strconv.ParseFloat(fmt.Sprint(v[1]), 64)
				if sum += now; now >= before { // less: it counts from 0 again, as after every change
					sum -= before
				}
				before = now
			}
		}
		return sum == float64(counted)
	})
	t.Logf("StatsD: %d datagrams were sent and counted, on changing ports", counted)
}
