package main

import (
	"bytes"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

// The protocol ends a name at a space and a line at its end, and has no way to write them otherwise. A tag's name may not
// hold ; ! ^ = either, nor its value a semicolon or a tilde at its beginning
// (https://graphite.readthedocs.io/en/latest/tags.html); in a path a dot or a slash would make another directory.
var (
	tagName  = notIn(";!^=")
	tagValue = notIn(";")
	pathPart = notIn("./\\;*?[]{}()!^=~\"'`$&|<>")
)

// notIn writes an underscore for each of these characters, for blanks, and for what is no printable ASCII below them.
func notIn(these string) func(string) string {
	return func(text string) string {
		return strings.Map(func(r rune) rune {
			if r <= ' ' || r == 0x7f || strings.ContainsRune(these, r) {
				return '_'
			}
			return r
		}, text)
	}
}

// name writes a series as Graphite names it.
func (c *Config) name(to *bytes.Buffer, labels sdk.Labels) {
	to.WriteString(c.Prefix)
	to.WriteString(pathPart(labels.Get(sdk.NameLabel)))
	for _, l := range labels {
		switch {
		case l.Name == sdk.NameLabel:
		case c.Labels == "path":
			to.WriteString("." + pathPart(l.Name) + "." + pathPart(l.Value))
		default:
			value := tagValue(l.Value)
			if strings.HasPrefix(value, "~") {
				value = "_" + value[1:]
			}
			to.WriteString(";" + tagName(l.Name) + "=" + value)
		}
	}
}
