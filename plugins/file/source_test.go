package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// logs is a directory with a log that is followed.
type logs struct {
	*testing.T
	dir string
	c   *plugintest.Component
	got []string
}

func (l *logs) path() string { return filepath.Join(l.dir, "app.log") }

func (l *logs) write(text string) {
	l.Helper()
	f, err := os.OpenFile(l.path(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		l.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		l.Fatal(err)
	}
}

func (l *logs) follow(cfg plugintest.Config, opts ...plugintest.Option) {
	l.Helper()
	if cfg["paths"] == nil {
		cfg["paths"] = []string{filepath.Join(l.dir, "*.log*")}
	}
	l.got = nil
	l.c = plugintest.Open(l.T, follows(), cfg, opts...)
}

// wants waits for records, as level text attributes.
func (l *logs) wants(lines ...string) {
	l.Helper()
	for len(l.got) < len(lines) {
		for _, s := range l.c.Next() {
			if s.Record == nil || s.Labels.Get(sdk.NameLabel) != "log" || s.Labels.Get("filename") == "" {
				l.Fatalf("%+v", s)
			}
			text := s.Record.Text
			if level := s.Record.Level.String(); level != "" {
				text = level + " " + text
			}
			if len(s.Record.Attributes) > 0 {
				text += " " + s.Record.Attributes.String()
			}
			l.got = append(l.got, text)
		}
	}
	if !slices.Equal(l.got, lines) {
		l.Fatalf("records:\n%s\nwant:\n%s", strings.Join(l.got, "\n"), strings.Join(lines, "\n"))
	}
	l.got = nil
}

// inAnyOrder waits for lines of several files, given sorted.
func (l *logs) inAnyOrder(lines ...string) {
	l.Helper()
	for len(l.got) < len(lines) {
		for _, s := range l.c.Next() {
			l.got = append(l.got, s.Record.Text)
		}
	}
	slices.Sort(l.got)
	l.wants(lines...)
}

func (l *logs) restart(cfg plugintest.Config, between func()) {
	l.Helper()
	at := l.c.Checkpoint()
	if at == nil {
		l.Fatal("there is no checkpoint")
	}
	l.c.Close(l.Context(), l.c.Number, time.Second)
	between()
	l.follow(cfg, plugintest.From(at))
}

// following runs a test in a bubble: the seconds after which the source looks again are over at once.
func following(t *testing.T, test func(l *logs)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { test(&logs{T: t, dir: t.TempDir()}) })
}

func TestLinesBecomeRecordsOnceTheyEnd(t *testing.T) {
	following(t, func(l *logs) {
		l.write("old\n")
		l.follow(plugintest.Config{"from": "beginning"})
		l.wants("old")
		l.write("2026-11-21T03:04:05.5Z ERROR it broke\r\n\nhal")
		l.wants("error 2026-11-21T03:04:05.5Z ERROR it broke")
		l.write("f, and [warn] the rest\nlevel=debug \xff\n")
		l.wants("warn half, and [warn] the rest", "debug level=debug �")
		os.WriteFile(filepath.Join(l.dir, "app.log.2.gz"), []byte("not a line\n"), 0o600)
		os.WriteFile(filepath.Join(l.dir, "other.log"), []byte("another file\n"), 0o600)
		l.wants("another file")
	})
}

func TestWhatIsThereIsLeftOutUnlessItIsAskedFor(t *testing.T) {
	following(t, func(l *logs) {
		l.write("old\nhalf ")
		l.follow(plugintest.Config{})
		l.c.Next() // the checkpoint alone
		l.write("new\n")
		l.wants("half new")
		l.restart(plugintest.Config{}, func() { l.write("while nobody looked\n") })
		l.wants("while nobody looked")
	})
}

func TestRecordsOfSeveralLines(t *testing.T) {
	following(t, func(l *logs) {
		l.follow(plugintest.Config{"starts": `^\d`, "level": `^\d+ (\w)`})
		l.c.Next()
		l.write("1 E panic\n  at a\n  at b\n2 I fine\n")
		l.wants("error 1 E panic\n  at a\n  at b", "info 2 I fine")
		l.write("3 W one\n  more\n")
		l.wants("warn 3 W one\n  more")
	})
}

func TestJSON(t *testing.T) {
	following(t, func(l *logs) {
		l.follow(plugintest.Config{"format": "json", "from": "beginning"})
		l.write(`{"level":"info","ts":"2026-11-21T03:04:05.123Z","caller":"etcdmain/etcd.go:73","msg":"Running","args":["a",1]}` + "\n" +
			`{"time":1763694245.5,"level":50,"msg":"pino","n":null}` + "\n" + "no json\n" + `{"message":{"a":1},"severity":"WARNING","deep":{"x":[1]}}` + "\n")
		l.wants(`info Running {args="[\"a\",1]", caller="etcdmain/etcd.go:73"}`, `error pino`, "no json", `warn {"a":1} {deep="{\"x\":[1]}"}`)
	})
}

// A log is written, renamed, truncated and removed, and who follows it ends and begins again: each line comes, once.
func TestNothingIsLostOrTwiceOverRotationsAndRestarts(t *testing.T) {
	following(t, func(l *logs) {
		l.follow(plugintest.Config{"from": "beginning"})
		only := plugintest.Config{"paths": []string{l.path()}}
		l.write("1\n")
		l.wants("1")
		l.write("2\n")
		os.Rename(l.path(), l.path()+".1")
		l.write("3\n")
		l.inAnyOrder("2", "3")
		time.Sleep(findEvery + time.Second) // the pattern takes app.log.1 too, which is read to its end already
		l.write("3a\n")
		l.wants("3a")

		l.restart(only, func() {
			l.write("4\n")
			os.Rename(l.path(), l.path()+".2")
			l.write("5\n")
		})
		l.inAnyOrder("4", "5")

		os.Truncate(l.path(), 0) // copytruncate
		time.Sleep(2 * pollEvery)
		l.write("6\n")
		l.wants("6")
		l.restart(only, func() {
			os.Remove(l.path())
			l.write("7\n")
		})
		l.wants("7")
	})
}

func TestALineWithoutAnEndIsCut(t *testing.T) {
	following(t, func(l *logs) {
		l.follow(plugintest.Config{"from": "beginning"})
		l.write("a" + strings.Repeat("ä", 100<<10) + "\n")
		l.wants("a"+strings.Repeat("ä", 64<<10-1), strings.Repeat("ä", 36<<10+1))
	})
}

func TestTheSourcesMistakesPointAtTheirArguments(t *testing.T) {
	for cfg, want := range map[string]string{
		`paths relative`: "does not begin at the root", `paths /a/[`: "is none", `starts (`: "missing closing", `level x`: "no group",
	} {
		name, value, _ := strings.Cut(cfg, " ")
		c := plugintest.Config{"paths": []string{"/x"}, name: value}
		if name == "paths" {
			c[name] = []string{value}
		}
		if got := plugintest.Remarks(t, follows(), c); !strings.Contains(got, want) || !strings.Contains(got, name) {
			t.Errorf("%s: %s", cfg, got)
		}
	}
}

// Records in the sink's two formats.
func TestTheSinkWritesRecords(t *testing.T) {
	for format, want := range map[string]string{
		"json":        `{"name":"log","labels":{"filename":"/a","instance":"x"},"text":"it broke","level":"error","attributes":{"k":"v"},"time":"2026-11-21T03:04:05.000000006Z","timestamp":1795230245000}` + "\n" + `{"name":"log","labels":{"filename":"/a","instance":"x"},"text":"","event":"restarted","time":"2026-11-21T03:04:05Z","timestamp":1795230245000}` + "\n",
		"openmetrics": "",
	} {
		c, path := opened(t, plugintest.Config{"format": format})
		b := c.Batch()
		ref := b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "log", "filename", "/a", "instance", "x")})
		at := time.Date(2026, 11, 21, 3, 4, 5, 6, time.UTC)
		b.Log(ref, sdk.Record{Time: at, Level: sdk.Error, Text: "it broke", Attributes: sdk.NewLabels("k", "v")})
		b.Log(ref, sdk.Record{Time: at.Truncate(time.Second), Name: "restarted"})
		ack := c.Write()
		if got := read(t, path); got != want {
			t.Errorf("%s:\n%s\nwant:\n%s", format, got, want)
		}
		if format == "openmetrics" && (ack.Dropped["logs"] != 2 || ack.Stored != 0) || format == "json" && ack.Stored != 2 {
			t.Errorf("%s: %v", format, ack)
		}
	}
}

func FuzzRecord(f *testing.F) {
	for _, line := range []string{"", "2026-11-21T03:04:05Z INFO x", `{"msg":"a","level":30,"ts":1e18}`, `{"a":{"b":null},"time":-1}`, "{", "\xff\xfe"} {
		f.Add([]byte(line))
	}
	parsers := []parser{newParser(&SourceConfig{Format: "json"}), newParser(&SourceConfig{Format: "text", Level: "level=(.*)"})}
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, p := range parsers {
			r := p.record(line)
			size := 0
			for i, a := range r.Attributes {
				size += len(a.Name) + len(a.Value)
				if i > 0 && r.Attributes[i-1].Name >= a.Name {
					t.Fatalf("attributes are not sorted: %s", r.Attributes)
				}
			}
			if size > 64<<10+maxAttributes*8 || len(r.Attributes) > maxAttributes || r.Level > 24 {
				t.Fatalf("%d bytes of attributes: %v", size, fmt.Sprint(r))
			}
		}
	})
}
