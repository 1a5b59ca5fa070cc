// Package names makes names that Prometheus takes of what other protocols send, as their exporters do: what does not belong
// there becomes an underscore.
package names

import (
	"slices"
	"strings"
)

// Metric makes the name of a metric.
func Metric(name string) string { return escape(name, true) }

// Label makes the name of a label. Those that mean something to Prometheus itself, and the reserved ones, get a prefix.
func Label(name string, reserved ...string) string {
	name = escape(name, false)
	if strings.HasPrefix(name, "__") || slices.Contains(reserved, name) {
		return "exported_" + name
	}
	return name
}

func escape(name string, colon bool) string {
	var b strings.Builder
	for i, r := range name {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r == '_', r == ':' && colon:
		case r >= '0' && r <= '9':
			if i == 0 {
				b.WriteByte('_')
			}
		default:
			r = '_'
		}
		b.WriteRune(r)
	}
	return b.String()
}
