package language

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// unread begins the name of a source that says why a pack cannot be read, so that it is told at its place, wherever the files go.
const unread = "-unread "

// withNamed adds the files that a configuration names: those of packs, of Prometheus' rules and of dashboards. They travel with it, so that what was
// applied is kept as a whole. Mistakes in the configuration are said later, when all of it is read; what is not there, too.
func withNamed(sources []Source) ([]Source, error) {
	names := func(words ...string) bool { // the usual case costs nothing
		return slices.ContainsFunc(sources, func(s Source) bool {
			return !slices.ContainsFunc(words, func(w string) bool { return !bytes.Contains(s.Bytes, []byte(w)) })
		})
	}
	asked := map[string]bool{}
	for range maxPacks + 1 {
		if !names("pack", "source") {
			break
		}
		cfg, _ := Parse(sources)
		more := false
		for _, p := range cfg.missing {
			if !asked[p.name] {
				asked[p.name], more = true, true
				sources = append(sources, readPack(p)...)
			}
		}
		if !more {
			break
		}
	}
	if !names("rules", "files") && !names("dashboard") && len(asked) == 0 {
		return sources, nil
	}
	cfg, _ := Parse(sources)
	d := NewDecoder(NewScope(cfg, Env{Getenv: os.LookupEnv, ReadFile: os.ReadFile, Offline: true}))
	d.Declare()
	read := func(path string) error {
		if _, have := cfg.order[path]; have || cfg.archiveOf(path) != "" {
			return nil
		}
		cfg.order[path] = len(cfg.order)
		s, err := readFile(path)
		if err == nil {
			sources = append(sources, s)
		}
		return err
	}
	for _, block := range d.Blocks("rules") {
		for _, p := range RuleFilePatterns(d.CoreBlock(block)) {
			paths, err := filepath.Glob(p.Pattern)
			if err != nil {
				continue // said with its place when it is read
			}
			for _, path := range paths {
				if !IsRuleFile(path) {
					return nil, fmt.Errorf("%s: the name of a rule file ends in .yml, .yaml or .rules, and that of %s does not", Place(p.At), path)
				}
				if err := read(path); err != nil {
					return nil, fmt.Errorf("%s: %w", Place(p.At), err)
				}
			}
		}
	}
	for _, block := range d.Blocks("dashboard") {
		if f, ok := d.DashboardFile(d.CoreBlock(block)); ok {
			if err := read(f.Pattern); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("%s: %w", Place(f.At), err)
			}
		}
	}
	return sources, nil
}

// readPack reads the files of a directory, or an archive.
func readPack(p packPlace) []Source {
	failed := func(err error) []Source {
		return []Source{{Name: unread + p.name, Bytes: []byte(strings.TrimPrefix(err.Error(), "the configuration cannot be read: "))}}
	}
	info, err := os.Stat(p.name)
	switch {
	case isURL(p.source):
	case errors.Is(err, fs.ErrNotExist):
		return failed(errors.New("there is none"))
	case err == nil && !info.IsDir() && !IsArchive(p.name):
		return failed(errors.New("it is a file: a pack is a directory of *.hcl files, or an archive of one"))
	}
	if isURL(p.source) {
		archive, err := fetch(p.source, p.sum)
		if err != nil {
			return failed(err)
		}
		return []Source{{Name: p.name, Bytes: archive}}
	}
	if IsArchive(p.name) {
		s, err := readUpTo(p.name, maxArchive)
		if err != nil {
			return failed(err)
		}
		return []Source{s}
	}
	all, err := Read(p.name)
	if err != nil {
		return failed(err)
	}
	return slices.DeleteFunc(all, func(s Source) bool { return isValues(s.Name) }) // values come from the pack block
}
