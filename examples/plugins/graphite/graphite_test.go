package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

func TestItKeepsTheContract(t *testing.T) { plugintest.Verify(t, ".") }

func TestTheExampleIsValid(t *testing.T) {
	plugintest.Example(t, "example.hcl", "graphite", capability)
}

// relay starts a carbon-c-relay that writes what it is sent into a file.
func relay(t *testing.T) (address, file string) {
	t.Helper()
	binary := plugintest.Program(t, "carbon-c-relay")
	address, dir := plugintest.FreeAddress(t), t.TempDir()
	file = filepath.Join(dir, "samples")
	config := fmt.Sprintf("listen type linemode %s proto tcp;\ncluster kept file %s;\nmatch * send to kept stop;\n", address, file)
	if err := os.WriteFile(dir+"/relay.conf", []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-s", "-f", dir+"/relay.conf", "-l", dir+"/log")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			log, _ := os.ReadFile(dir + "/log")
			t.Logf("the relay's log:\n%s", log)
		}
	})
	eventually(t, "the relay listens", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return address, file
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not in 30 s: ", what)
		}
	}
}

// lines waits for so many lines that the relay wrote.
func lines(t *testing.T, file string, n int) (all []string) {
	t.Helper()
	eventually(t, "the relay writes what came", func() bool {
		text, _ := os.ReadFile(file)
		all = strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		return len(all) >= n && strings.HasSuffix(string(text), "\n")
	})
	return all
}

func put(b *sdk.Batch, v float64, labels ...string) {
	b.Put(b.Series(sdk.Series{Labels: sdk.NewLabels(labels...)}), v)
}

func TestARealRelayTakesSamplesWithTags(t *testing.T) {
	address, file := relay(t)
	c := plugintest.Open(t, capability, plugintest.Config{"address": address, "prefix": "m."})
	b := c.Batch()
	b.Time = time.Unix(1_700_000_000, 0)
	put(b, 1.5, "__name__", "up", "job", "node", "path", "~/a b;c")
	put(b, math.NaN(), "__name__", "nan")
	put(b, math.Inf(1), "__name__", "inf")
	ack := c.Write()
	if ack.Stored != 1 || ack.Dropped["not_finite"] != 2 {
		t.Errorf("%v", ack)
	}
	b.Stale(0)
	if ack := c.Write(); ack.Stored != 0 || ack.Dropped["stale"] != 1 {
		t.Errorf("%v", ack)
	}
	if got := lines(t, file, 1); len(got) != 1 || got[0] != "m.up;job=node;path=_/a_b_c 1.5 1700000000" {
		t.Errorf("%q", got)
	}
}

func TestLabelsCanBePartsOfThePath(t *testing.T) {
	address, file := relay(t)
	c := plugintest.Open(t, capability, plugintest.Config{"address": address, "labels_as": "path"})
	b := c.Batch()
	b.Time = time.Unix(1_700_000_000, 0)
	for i := range 2000 { // more than one write to the connection
		put(b, float64(i), "__name__", "disk", "device", fmt.Sprint("sda.", i))
	}
	if ack := c.Write(); ack.Stored != 2000 {
		t.Errorf("%v", ack)
	}
	got := lines(t, file, 2000)
	if len(got) != 2000 || got[7] != "disk.device.sda_7 7 1700000000" {
		t.Errorf("%d lines, %q", len(got), got[7])
	}
}

// A batch that was not read to its end is sent again, whole.
func TestABatchThatTheOtherSideLosesIsSentAgain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan string, 1)
	go func() {
		for i := 0; ; i++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if i < 2 {
				conn.(*net.TCPConn).SetLinger(0) // a reset, with what came unread
			} else {
				var text bytes.Buffer
				text.ReadFrom(conn)
				got <- text.String()
			}
			conn.Close()
		}
	}()
	c := plugintest.Open(t, capability, plugintest.Config{"address": l.Addr().String()})
	b := c.Batch()
	b.Time = time.Unix(1, 0)
	put(b, 1, "__name__", "up")
	if ack := c.Write(); ack.Stored != 1 {
		t.Errorf("%v", ack)
	}
	if text := <-got; text != "up 1 1\n" {
		t.Errorf("%q", text)
	}
}

// Something else that listens there, a web server for instance, reads the lines to their end, too.
func TestWhatAnswersIsNoGraphite(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	c := plugintest.Open(t, capability, plugintest.Config{"address": server.Listener.Addr().String()})
	put(c.Batch(), 1, "__name__", "up")
	go func() {
		for !strings.Contains(c.Health().LastError.GetText(), "answers") { // a reset may be quicker
			time.Sleep(time.Millisecond)
		}
		c.Cut() // it would be tried for ever
	}()
	if ack := c.Write(); ack != nil {
		t.Errorf("%v", ack)
	}
	if e := c.Health().LastError; !strings.Contains(e.GetText(), `answers "HTTP/1.1 400 Bad Request`) || sdk.AsProblem(e.Err()).Path.String() != "address" {
		t.Errorf("%v", e)
	}
}

// The connection to the daemon is cut while the other side reads nothing, and the batch comes once more.
func TestABatchThatTheDaemonSendsTwiceArrives(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := plugintest.Open(t, capability, plugintest.Config{"address": l.Addr().String()})
	got := make(chan string, 1)
	go func() {
		deaf, err := l.Accept()
		if err != nil {
			return
		}
		defer deaf.Close()
		c.Cut()
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		text, _ := io.ReadAll(conn)
		got <- string(text)
	}()
	b := c.Batch()
	b.Time = time.Unix(1, 0)
	put(b, 1, "__name__", "up")
	if ack := c.Write(); ack != nil {
		t.Errorf("%v", ack)
	}
	if ack := c.Redeliver(); ack.Stored != 1 {
		t.Errorf("%v", ack)
	}
	if text := <-got; text != "up 1 1\n" {
		t.Errorf("%q", text)
	}
}

func TestAProbeSaysWhetherSomebodyListens(t *testing.T) {
	address, _ := relay(t)
	if _, err := plugintest.Probe(t, capability, plugintest.Config{"address": address}); err != nil {
		t.Error(err)
	}
	_, err := plugintest.Probe(t, capability, plugintest.Config{"address": "127.0.0.1:1"})
	if p := sdk.AsProblem(err); p == nil || p.Path.String() != "address" {
		t.Errorf("%v", err)
	}
}

func FuzzName(f *testing.F) {
	f.Add("up", "job", "a b", "tags")
	f.Add("a.b", "x;y", "~z\n", "path")
	f.Fuzz(func(t *testing.T, name, label, value, as string) {
		labels := sdk.NewLabels(label, value, sdk.NameLabel, name)
		if !labels.Valid() {
			return
		}
		c := Config{Labels: as}
		var text bytes.Buffer
		c.name(&text, labels)
		if bytes.ContainsAny(text.Bytes(), " \t\r\n") {
			t.Fatalf("%q is not one word", text.String())
		}
	})
}
