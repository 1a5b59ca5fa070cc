package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// kindsIn are the kinds that there are templates of in a language.
func kindsIn(lang string) (kinds []string) {
	entries, _ := templates.ReadDir("templates/" + lang)
	for _, e := range entries {
		kinds = append(kinds, e.Name())
	}
	return slices.DeleteFunc(kinds, func(kind string) bool { return kind == "common" })
}

// Class is the name as that of a class: http_check is HttpCheck.
func (f *newPluginFacts) Class() string {
	var b strings.Builder
	for word := range strings.SplitSeq(f.Name, "_") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

// preparePython finds the SDK for requirements.txt; without one beside magpie it comes from the registry.
func preparePython(o *options, facts *newPluginFacts) (err error) {
	sdk := o.plugin.replace
	if sdk == "" {
		if sdk = checkout(); sdk == "" {
			return nil
		}
	}
	if facts.Replace, err = filepath.Abs(sdk); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(facts.Replace, "python", "pyproject.toml")); err != nil {
		return fmt.Errorf("%s is not the directory of the SDK: %w", sdk, err)
	}
	return nil
}
