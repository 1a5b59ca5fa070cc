package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/discovery/targetgroup"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// statusHost remembers what a component says of itself.
type statusHost struct {
	quietHost
	status sdk.Status
	text   string
}

func (h *statusHost) Status(s sdk.Status, text string) { h.status, h.text = s, text }

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// list writes targets as address{labels}, without the directory of their file.
func list(targets []sdk.Discovered) string {
	var lines []string
	for _, d := range targets {
		var ls sdk.Labels
		for name, value := range d.Labels {
			if name == "__meta_filepath" {
				name, value = "file", filepath.Base(value)
			}
			ls = ls.Set(name, value)
		}
		lines = append(lines, d.Address+ls.String())
	}
	return strings.Join(lines, " ")
}

func TestFilesAreReadInBothFormats(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.json"), `[{"targets": ["h1:1", "h2:1"], "labels": {"rack": "b"}}, {"targets": ["h3:1"]}, {"labels": {"x": "y"}}]`)
	write(t, filepath.Join(dir, "b.yml"), "- targets: ['h4:1']\n  labels: {port: 9100}\n")
	write(t, filepath.Join(dir, "c.yaml"), "")
	host := &statusHost{}
	f, _ := openFiles(t.Context(), &FileConfig{Files: []string{filepath.Join(dir, "*.json"), filepath.Join(dir, "b.yml"), filepath.Join(dir, "*.yaml")}}, host)
	want := `h1:1{file="a.json", rack="b"} h2:1{file="a.json", rack="b"} h3:1{file="a.json"} h4:1{file="b.yml", port="9100"}`
	if got := list(f.refresh()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if host.status != sdk.OK || host.text != "4 targets in 3 files" {
		t.Errorf("%v %s", host.status, host.text)
	}
}

func TestABrokenFileKeepsItsLastGoodListAndSaysSo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.json")
	host := &statusHost{}
	f, _ := openFiles(t.Context(), &FileConfig{Files: []string{path}}, host)
	if got := f.refresh(); got != nil || host.status != sdk.Degraded || !strings.Contains(host.text, "no file") {
		t.Errorf("without a file: %v, %s", got, host.text)
	}
	write(t, path, `[{"targets": ["h1:1"]}]`)
	f.refresh()
	write(t, path, `[{"targets": ["h1:1"`)
	if got := list(f.refresh()); got != `h1:1{file="a.json"}` || host.status != sdk.Degraded || !strings.Contains(host.text, "unexpected EOF") {
		t.Errorf("broken: %s, %s", got, host.text)
	}
	write(t, path, `[{"targets": ["h2:1", "h3:1"]}]`)
	if got := list(f.refresh()); got != `h2:1{file="a.json"} h3:1{file="a.json"}` || host.status != sdk.OK {
		t.Errorf("repaired: %s, %s", got, host.text)
	}
	os.Remove(path)
	if got := f.refresh(); got != nil {
		t.Errorf("removed: %v", got)
	}
}

func TestDiscoverTellsOnlyWhatChanges(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.json")
	write(t, path, `[{"targets": ["h1:1"]}]`)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		f, _ := openFiles(ctx, &FileConfig{Files: []string{path}, Refresh: 5 * time.Second}, &statusHost{})
		var told []string
		go f.Discover(ctx, func(targets []sdk.Discovered) error {
			told = append(told, list(targets))
			return nil
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(told) != 1 {
			t.Fatalf("told %q", told)
		}
		write(t, path, `[{"targets": ["h1:1", "h2:1"]}]`)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if want := []string{`h1:1{file="a.json"}`, `h1:1{file="a.json"} h2:1{file="a.json"}`}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
		cancel()
		synctest.Wait()
	})
}

func TestMistakesInTheNamesOfFilesAreFound(t *testing.T) {
	t.Parallel()
	cfg := plugintest.Config{"files": []string{"/x/*.json", "/x/a.txt", "/*/a.json", "/x/[.json", "a.YAML"}}
	var got []string
	for _, d := range plugintest.Validate(t, fileDiscovery(), cfg) {
		got = append(got, d.Path.String()+" "+strings.Fields(strings.SplitN(d.Text, `" `, 2)[1])[0])
	}
	if want := "[files[1] does files[2] has files[3] is]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func FuzzTargetGroupsInJSONAgreeWithPrometheus(f *testing.F) {
	for _, s := range []string{`[]`, `[{"targets":["a:1"],"labels":{"x":"y"}}]`, `[null]`, `[{"targets":[1]}]`, `[{"other":1}]`, `{}`, `[] []`, `[] ]`, `[{"labels":{"":"x"}}]`, `null`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parseGroups(data, true)
		var theirs []*targetgroup.Group
		wantErr := json.Unmarshal(data, &theirs)
		if slices.Contains(theirs, nil) {
			wantErr = os.ErrInvalid // which its reader checks
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: got %v, Prometheus: %v", data, err, wantErr)
		}
		if err != nil {
			return
		}
		for i, g := range got {
			if len(g.Targets) != len(theirs[i].Targets) || len(g.Labels) != len(theirs[i].Labels) {
				t.Fatalf("%q: got %+v, Prometheus: %v", data, g, theirs[i])
			}
			for k, address := range g.Targets {
				if address != string(theirs[i].Targets[k]["__address__"]) {
					t.Fatalf("%q: target %d is %q", data, k, address)
				}
			}
		}
	})
}

func FuzzTargetGroupsInYAML(f *testing.F) {
	for _, s := range []string{"- targets: ['a:1']\n  labels: {x: y}\n", "- null", "a: &a [*a]", "- targets: [1, 2]", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		groups, err := parseGroups(data, false)
		for _, g := range groups {
			if err == nil && g == nil {
				t.Fatalf("%q: %v", data, groups)
			}
		}
	})
}
