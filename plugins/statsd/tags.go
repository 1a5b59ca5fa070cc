package main

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/magpie-monitoring/magpie/plugins/internal/names"
	"github.com/magpie-monitoring/magpie/sdk"
)

// identity is what a head and tags name: a metric's name as it was sent, and labels.
type identity struct {
	name   string
	labels sdk.Labels
}

// maxTags bounds the tags of one series.
const maxTags = 100

// identify takes a head and DogStatsD's tags apart. It makes new strings: it is called for what was not seen before.
func identify(head, tags []byte) (id identity, fault string) {
	if !utf8.Valid(head) || !utf8.Valid(tags) {
		return id, malformed
	}
	name, inName, after := headOf(string(head))
	id.name = name + after
	if id.name == "" {
		return id, badName
	}
	for _, list := range []struct {
		text      string
		separator string
	}{{inName, "="}, {string(tags), ":"}} {
		for tag := range strings.SplitSeq(list.text, ",") {
			if tag == "" {
				continue
			}
			key, value, found := strings.Cut(tag, list.separator)
			if !found {
				value = "true" // a tag without a value, as Telegraf has it
			}
			if key == "" || len(id.labels) == maxTags {
				return id, malformed
			}
			id.labels = id.labels.Set(labelName(key), value)
		}
	}
	return id, ""
}

// headOf finds the tags in a head: name,k=v (Influx), name#k=v (Librato), name[k=v]rest (SignalFx).
func headOf(head string) (name, tags, after string) {
	i := strings.IndexAny(head, ",#[")
	if i < 0 {
		return head, "", ""
	}
	name, tags = head[:i], head[i+1:]
	if head[i] == '[' {
		end := strings.IndexByte(tags, ']')
		if end < 0 {
			return head, "", ""
		}
		tags, after = tags[:end], tags[end+1:]
	}
	return name, tags, after
}

// labelName makes the name of a label of a tag; those of histograms and summaries are ours.
func labelName(name string) string { return names.Label(name, "le", "quantile") }

// appendKey makes the key under which a line's series is remembered: all that decides which it is, as it is written.
func appendKey(key []byte, s *sample) []byte {
	key = append(key, byte(s.kind))
	key = append(key, s.head...)
	key = append(key, 0)
	return append(key, s.tags...)
}

// nextValue cuts the first of several values off.
func nextValue(values []byte) (value, rest []byte) {
	if i := bytes.IndexByte(values, ':'); i >= 0 {
		return values[:i], values[i+1:]
	}
	return values, nil
}
