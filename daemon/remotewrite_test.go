package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// numbered is a request of protocol 1.0 with one sample of the series numbered{sender="…"}.
func numbered(sender int, value float64, at time.Time) []byte {
	text := func(b []byte, field byte, s string) []byte {
		return append(append(b, field<<3|2, byte(len(s))), s...)
	}
	var series []byte
	for _, l := range [][2]string{{"__name__", "numbered"}, {"sender", fmt.Sprint(sender)}} {
		series = text(series, 1, string(text(text(nil, 1, l[0]), 2, l[1])))
	}
	sample := binary.LittleEndian.AppendUint64([]byte{1<<3 | 1}, math.Float64bits(value))
	sample = binary.AppendUvarint(append(sample, 2<<3), uint64(at.UnixMilli()))
	series = text(series, 2, string(sample))
	return snappy.Encode(nil, text(nil, 1, string(series)))
}

func TestWhatARemoteWriterWasAnsweredForIsStoredThroughReloadsAndDeaths(t *testing.T) {
	t.Parallel()
	address := plugintest.FreeAddress(t)
	config := func(n int) string {
		return fmt.Sprintf("source \"remote_write\" \"in\" {\n  listen = %q\n  max_concurrent = %d\n}\nstore \"tsdb\" \"main\" {}\n", address, 4+n%4)
	}
	m := start(t, config(0))
	const senders = 4
	var answered [senders]atomic.Int64
	stop, stopped := make(chan struct{}), make(chan struct{})
	from := time.Now()
	for s := range senders {
		go func() {
			defer func() { stopped <- struct{}{} }()
			client := &http.Client{Timeout: 2 * time.Minute}
			for n := int64(1); ; {
				select {
				case <-stop:
					return
				default:
				}
				url := "http://" + address + "/api/v1/write"
				if s == 0 { // one of them at the daemon's own address
					url = m.url + "/api/v1/write"
				}
				r, err := client.Post(url, "application/x-protobuf", bytes.NewReader(numbered(s, float64(n), from.Add(time.Duration(n)*time.Millisecond))))
				if err != nil {
					time.Sleep(10 * time.Millisecond) // and again, as every sender does
					continue
				}
				r.Body.Close()
				switch {
				case r.StatusCode == http.StatusNoContent:
					answered[s].Store(n)
					n++
				case r.StatusCode/100 != 5 && r.StatusCode != http.StatusNotFound:
					t.Errorf("sample %d: %s", n, r.Status)
					return
				}
			}
		}()
	}
	progress := func(by int64) {
		t.Helper()
		var goal [senders]int64
		for s := range answered {
			goal[s] = answered[s].Load() + by
		}
		m.eventually("samples are taken", func() bool {
			for s := range answered {
				if answered[s].Load() < goal[s] {
					return false
				}
			}
			return true
		})
	}
	progress(5)
	for round := range 6 {
		switch round {
		case 2: // the plugin that receives, or stores
			syscall.Kill(m.pids()["remote_write"], syscall.SIGKILL)
		case 4:
			syscall.Kill(m.pids()["tsdb"], syscall.SIGKILL)
		default:
			m.write(config(round + 1))
			r, err := patient.Post(m.url+"/-/reload", "", nil)
			if err != nil || r.StatusCode != http.StatusOK {
				t.Fatal(r, err)
			}
			r.Body.Close()
		}
		progress(5)
	}
	close(stop)
	for range senders {
		<-stopped
	}
	for s := range answered {
		expr := fmt.Sprintf("count_over_time(numbered{sender=\"%d\"}[10m])", s)
		m.eventually("all that was answered is stored", func() bool {
			got := m.query(expr)
			if len(got) != 1 {
				return false
			}
			stored, _ := strconv.ParseInt(fmt.Sprint(got[0].Value[1]), 10, 64)
			return stored >= answered[s].Load()
		})
		t.Logf("sender %d: %d samples", s, answered[s].Load())
	}
}

func TestAPrometheusElsewhereIsTheStore(t *testing.T) {
	t.Parallel()
	_, url := installed(t).start(t, "", "--storage.tsdb.path", "--web.enable-remote-write-receiver")
	m := start(t, fmt.Sprintf(`
source "prometheus" "it" { targets = [%q] }
store "prometheus" "elsewhere" { url = %q }
rules "r" {
  interval = "1s"
  record "doubled" { expr = "2 * up" }
}
`, strings.TrimPrefix(url, "http://"), url))
	if v := m.value(`doubled{job="it"}`); v != "2" { // scraped, written, asked by the rule, written, asked here
		t.Errorf("doubled is %s", v)
	}
	peer := &magpie{TB: t, url: url}
	if got := peer.query(`up{job="it"}`); len(got) != 1 {
		t.Errorf("Prometheus itself says %v", got)
	}
}
