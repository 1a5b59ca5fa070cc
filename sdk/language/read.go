package language

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Read reads a file, or the *.hcl and *.hcl.json files of a directory in name order. The errors are for people.
func Read(path string) ([]Source, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s does not exist: give the path of a .hcl file, or of a directory that holds some", path)
	}
	if err != nil {
		return nil, fmt.Errorf("the configuration cannot be read: %w", err)
	}
	if IsRuleFile(path) && !info.IsDir() {
		return nil, fmt.Errorf("%s is not a configuration by its name: Prometheus' rule files are named in one, rules \"NAME\" { files = [%q] }", path, filepath.Base(path))
	}
	if !info.IsDir() {
		s, err := readFile(path)
		return []Source{s}, err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("the configuration cannot be read: %w", err)
	}
	var sources []Source
	for _, e := range entries {
		if name := e.Name(); e.IsDir() || strings.HasPrefix(name, ".") || !(strings.HasSuffix(name, ".hcl") || strings.HasSuffix(name, ".hcl.json")) {
			continue
		}
		if len(sources) == maxFiles {
			return nil, fmt.Errorf("%s holds more than %d configuration files", path, maxFiles)
		}
		s, err := readFile(filepath.Join(path, e.Name()))
		if err != nil {
			return nil, err
		}
		sources = append(sources, s)
	}
	if sources == nil {
		return nil, fmt.Errorf("%s is a directory without *.hcl files: write one, or give another path", path)
	}
	return sources, nil
}

// ReadAll reads a path as Read does, with the packs, rule files and dashboards that the configuration names, files of values and the values of flags, name=value: the later wins.
func ReadAll(path string, files, flags []string) ([]Source, error) {
	sources, err := Read(path)
	for _, file := range files {
		if err == nil && !isValues(file) {
			err = fmt.Errorf("the name of a file of values ends in %s or %s.json, so that it is told from one of blocks: %s does not", valuesFile, valuesFile, file)
		}
		if err == nil {
			var s Source
			s, err = readFile(file)
			sources = append(slices.DeleteFunc(sources, func(x Source) bool { return x.Name == s.Name }), s) // a directory may hold it
		}
	}
	for _, flag := range flags {
		if err == nil {
			var s Source
			s, err = Flag(flag)
			sources = append(sources, s)
		}
	}
	if err == nil {
		sources, err = withNamed(sources)
	}
	return sources, err
}

// readFile reads no more than tells Parse that the file is too large.
func readFile(path string) (Source, error) { return readUpTo(path, maxFile) }

func readUpTo(path string, limit int64) (Source, error) {
	f, err := os.Open(path)
	if err != nil {
		return Source{}, fmt.Errorf("the configuration cannot be read: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return Source{}, fmt.Errorf("the configuration cannot be read: %w", err)
	}
	return Source{Name: path, Bytes: b}, nil
}
