package language

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/magpie-monitoring/magpie/sdk"
)

// IsRuleFile reports whether a source is one of Prometheus' rule files, by its name. They travel with the configuration that names them, so that
// what was applied is kept as a whole.
func IsRuleFile(name string) bool {
	return slices.Contains([]string{".yml", ".yaml", ".rules"}, filepath.Ext(name)) && !strings.HasPrefix(name, flagged)
}

func (c *Config) addRuleFile(r *Report, s Source) {
	c.rules = append(c.rules, s.Name)
	c.broken[s.Name] = !checkLimits(r, s, false)
}

// RuleFilePattern is one of the files of a rules block, with its place.
type RuleFilePattern struct {
	Pattern string
	At      hcl.Range
}

// RuleFilePatterns are the files that a rules block names, from where the configuration is.
func RuleFilePatterns(x *Body) (patterns []RuleFilePattern) {
	f := x.Field("files")
	if f == nil {
		return nil
	}
	list, _ := f.Value.([]any)
	for i, v := range list {
		pattern, ok := v.(string)
		if !ok {
			continue
		}
		at := Within(f.Expr, sdk.Path{{Index: i}}).Range()
		patterns = append(patterns, RuleFilePattern{beside(at.Filename, pattern), at})
	}
	return patterns
}

// beside is a pattern from where a file is.
func beside(file, pattern string) string {
	if filepath.IsAbs(pattern) {
		return pattern
	}
	return filepath.Join(literally.Replace(filepath.Dir(file)), pattern)
}

// literally writes a directory's name as a pattern of itself.
var literally = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// RuleFiles are the names of the rule files that match a pattern.
func (c *Config) RuleFiles(pattern string) (names []string, err error) {
	if _, err := filepath.Match(pattern, ""); err != nil {
		return nil, err
	}
	for _, name := range c.rules {
		if ok, _ := filepath.Match(pattern, name); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

// FilesBeside are the files that match a pattern, from where a file is: on the disk, or in the archive that the file was in. c may be nil: there is none then.
func (c *Config) FilesBeside(file, pattern string) ([]string, error) {
	pattern = beside(file, pattern)
	archive := c.archiveOf(file)
	switch {
	case archive == "":
		return filepath.Glob(pattern)
	case !strings.HasPrefix(pattern, literally.Replace(archive)+string(filepath.Separator)):
		return nil, errors.New("what is in an archive names only what is in it too")
	}
	return c.RuleFiles(pattern)
}

// ReadFile reads one of them.
func (c *Config) ReadFile(name string) ([]byte, error) {
	if c.archiveOf(name) != "" {
		return c.files[name], nil
	}
	return os.ReadFile(name)
}

// Readable reports whether a file is within the bounds.
func (c *Config) Readable(file string) bool { return !c.broken[file] }
