package main

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// dist/SOURCES.sha256 names every file that the built page was made from with its hash; ui/sources.mjs writes it at the end
// of a build.
func TestTheBuiltPageIsAsNewAsItsSources(t *testing.T) {
	t.Parallel()
	recorded, err := os.ReadFile("dist/SOURCES.sha256")
	if err != nil {
		t.Fatal(err)
	}
	now := sourceHashes(t, "ui")
	then := strings.Split(strings.TrimSuffix(string(recorded), "\n"), "\n")
	if slices.Equal(now, then) {
		return
	}
	for _, line := range now {
		if !slices.Contains(then, line) {
			t.Errorf("changed or new since the page was built: ui/%s", pathOf(line))
		}
	}
	for _, line := range then {
		if !slices.ContainsFunc(now, func(l string) bool { return pathOf(l) == pathOf(line) }) {
			t.Errorf("gone since the page was built: ui/%s", pathOf(line))
		}
	}
	t.Fatal("build the page again: `npm ci && npm run build` in plugins/console/ui")
}

// sourceHashes gives a line "<sha256>  <path>" for each file below dir, sorted by path.
func sourceHashes(t *testing.T, dir string) (lines []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if entry.Name() == "node_modules" {
				return fs.SkipDir
			}
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		sum := sha256.Sum256(content)
		lines = append(lines, hex.EncodeToString(sum[:])+"  "+filepath.ToSlash(name))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(pathOf(a), pathOf(b)) })
	return lines
}

func pathOf(line string) string {
	_, path, _ := strings.Cut(line, "  ")
	return path
}
