package language

import (
	"bytes"
	"fmt"
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

// withRuleFiles adds the files that rules blocks name. Mistakes in the configuration are said later, when all of it is read; what no file matches, too.
func withRuleFiles(sources []Source) ([]Source, error) {
	if !slices.ContainsFunc(sources, func(s Source) bool {
		return bytes.Contains(s.Bytes, []byte("rules")) && bytes.Contains(s.Bytes, []byte("files"))
	}) {
		return sources, nil // the usual case costs nothing
	}
	cfg, _ := Parse(sources)
	d := NewDecoder(NewScope(cfg, Env{Getenv: os.LookupEnv, ReadFile: os.ReadFile, Offline: true}))
	d.Declare()
	seen := map[string]bool{}
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
				if seen[path] {
					continue
				}
				seen[path] = true
				s, err := readFile(path)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", Place(p.At), err)
				}
				sources = append(sources, s)
			}
		}
	}
	return sources, nil
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
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(literally.Replace(filepath.Dir(f.At.Filename)), pattern)
		}
		patterns = append(patterns, RuleFilePattern{pattern, Within(f.Expr, sdk.Path{{Index: i}}).Range()})
	}
	return patterns
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

// Readable reports whether a file is within the bounds.
func (c *Config) Readable(file string) bool { return !c.broken[file] }
