package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/magpie-monitoring/magpie/sdk"
)

// FileConfig is the block of a discovery "file".
type FileConfig struct {
	Files   []string      `hcl:"files" doc:"Files with lists of targets, in JSON or YAML as Prometheus' file_sd has them; the last part of a path may hold *."`
	Refresh time.Duration `hcl:"refresh,optional" default:"5s" check:"min=100ms" doc:"How often to look for files that are new, changed or gone."`
}

// Validate checks the names of the files.
func (c *FileConfig) Validate(d *sdk.Diags) {
	for i, pattern := range c.Files {
		dir, _ := filepath.Split(pattern)
		_, err := filepath.Match(pattern, "")
		switch ext := strings.ToLower(filepath.Ext(pattern)); {
		case ext != ".json" && ext != ".yml" && ext != ".yaml":
			d.Errorf(&c.Files[i], "%q does not end in .json, .yml or .yaml", pattern)
		case strings.ContainsAny(dir, "*?["):
			d.Errorf(&c.Files[i], "%q has a wildcard in a directory: only the last part of a path may have one", pattern)
		case err != nil:
			d.Errorf(&c.Files[i], "%q is not a pattern of file names: %v", pattern, err)
		}
	}
}

// Probe reads the files once.
func (c *FileConfig) Probe(ctx context.Context) error {
	found := 0
	for i, pattern := range c.Files {
		paths, err := filepath.Glob(pattern)
		if err == nil && len(paths) == 0 {
			err = fmt.Errorf("no file %s", pattern)
		}
		for _, path := range paths {
			targets, wrong := readTargets(path)
			found += len(targets)
			err = cmp.Or(err, wrong)
		}
		if err != nil {
			return sdk.At(&c.Files[i], err)
		}
	}
	sdk.Progress(ctx, fmt.Sprintf("targets in the files: %d", found))
	return nil
}

var _ sdk.Prober = (*FileConfig)(nil)

// files is an open discovery "file".
type files struct {
	cfg   *FileConfig
	host  sdk.Host
	known map[string]*targetFile // by path
}

// targetFile is what was read of a file last.
type targetFile struct {
	info    os.FileInfo
	targets []sdk.Discovered
	err     error // of the last reading; targets are then those of the last good one
}

func openFiles(_ context.Context, cfg *FileConfig, host sdk.Host) (*files, error) {
	return &files{cfg, host, map[string]*targetFile{}}, nil
}

// Discover reads the files, and again those that change.
func (f *files) Discover(ctx context.Context, found func([]sdk.Discovered) error) error {
	tick := time.NewTicker(f.cfg.Refresh)
	defer tick.Stop()
	var last []sdk.Discovered
	for first := true; ; first = false {
		if now := f.refresh(); first || !reflect.DeepEqual(now, last) {
			if err := found(now); err != nil {
				return err
			}
			last = now
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// refresh reads what has changed, says how that went, and lists all targets.
func (f *files) refresh() (all []sdk.Discovered) {
	var problems []error
	here := map[string]bool{}
	for _, pattern := range f.cfg.Files {
		paths, err := filepath.Glob(pattern)
		if len(paths) == 0 {
			problems = append(problems, cmp.Or(err, fmt.Errorf("no file %s", pattern)))
		}
		for _, path := range paths {
			here[path] = true
		}
	}
	maps.DeleteFunc(f.known, func(path string, _ *targetFile) bool { return !here[path] })
	for _, path := range slices.Sorted(maps.Keys(here)) {
		t := f.known[path]
		if t == nil {
			t = &targetFile{}
			f.known[path] = t
		}
		f.read(path, t)
		if t.err != nil {
			problems = append(problems, t.err)
		}
		all = append(all, t.targets...)
	}
	if len(problems) > 0 {
		f.host.Status(sdk.Degraded, errors.Join(problems...).Error())
	} else {
		f.host.Status(sdk.OK, fmt.Sprintf("%d targets in %d files", len(all), len(here)))
	}
	return all
}

// read reads a file if it has changed. A broken one keeps its last good list.
func (f *files) read(path string, t *targetFile) {
	info, err := os.Stat(path)
	if err == nil && t.info != nil && os.SameFile(info, t.info) && info.Size() == t.info.Size() && info.ModTime().Equal(t.info.ModTime()) {
		return
	}
	var targets []sdk.Discovered
	if err == nil {
		t.info = info
		targets, err = readTargets(path)
	}
	if err != nil {
		t.info = nil // look again
		err = fmt.Errorf("%w; its last good list stays", err)
		if t.err == nil || t.err.Error() != err.Error() {
			f.host.Log().Warn("a file of targets cannot be read", "error", err.Error())
		}
	} else {
		t.targets = targets
	}
	t.err = err
}

// maxTargetFile is the size from which a file is refused.
const maxTargetFile = 64 << 20

func readTargets(path string) ([]sdk.Discovered, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxTargetFile))
	if err == nil && len(data) == maxTargetFile {
		err = fmt.Errorf("it has %s or more", sdk.Bytes(maxTargetFile))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	groups, err := parseGroups(data, strings.EqualFold(filepath.Ext(path), ".json"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var all []sdk.Discovered
	for _, g := range groups {
		for _, address := range g.Targets {
			labels := maps.Clone(g.Labels)
			if labels == nil {
				labels = map[string]string{}
			}
			labels["__meta_filepath"] = path
			all = append(all, sdk.Discovered{Address: address, Labels: labels})
		}
	}
	return all, nil
}

// group is a target group of file_sd: addresses that share labels.
type group struct {
	Targets []string          `json:"targets" yaml:"targets"`
	Labels  map[string]string `json:"labels" yaml:"labels"`
}

// parseGroups reads the content of a file as Prometheus does: a list of groups, without other keys.
func parseGroups(data []byte, isJSON bool) (groups []*group, err error) {
	if isJSON {
		d := json.NewDecoder(bytes.NewReader(data))
		d.DisallowUnknownFields()
		if err = d.Decode(&groups); err == nil {
			if _, end := d.Token(); end != io.EOF {
				err = errors.New("there is more behind the list")
			}
		}
	} else {
		d := yaml.NewDecoder(bytes.NewReader(data))
		d.KnownFields(true)
		if err = d.Decode(&groups); err == io.EOF {
			err = nil // an empty file is an empty list
		}
	}
	if err != nil {
		return nil, err
	}
	for i, g := range groups {
		if g == nil {
			return nil, fmt.Errorf("group %d is empty", i)
		}
		for name, value := range g.Labels {
			if name == "" || !utf8.ValidString(name) || !utf8.ValidString(value) {
				return nil, fmt.Errorf("group %d: the label %q = %q is not valid", i, name, value)
			}
		}
	}
	return groups, nil
}

var _ sdk.Finder = (*files)(nil)
