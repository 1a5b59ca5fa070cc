package sdk

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// What manuals say of a type: the README of its plugin and `magpie docs` set the same sentences and tables. Words between
// backticks are code, those between asterisks are emphasised.

// Facts are what is so of every component of a type, a sentence each.
func (t Type) Facts() (list []string) {
	say := func(is bool, format string, args ...any) {
		if is {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	source := t.Kind == KindSource
	say(source && t.Job != "", "The label `job` is `%s` unless the block says otherwise.", t.Job)
	say(source && t.Job == "", "The label `job` is the block's name unless the block says otherwise.")
	say(t.Streams, "It sends samples on a clock of its own.")
	say(t.Discovers, "It takes targets from discoveries: `discover = [discovery.TYPE.NAME]`.")
	below := fmt.Sprintf("`/plugins/%s.%s.NAME/`", t.Kind, t.Name)
	say(t.HTTP && t.Mount == "", "It answers HTTP requests to the daemon below %s.", below)
	say(t.HTTP && t.Mount != "", "It answers HTTP requests to the daemon below %s; the first such component also those to `%s`.", below, t.Mount)
	say(t.Late, "It takes samples that are older than the newest it has.")
	sink := t.Kind == KindSink || t.Kind == KindStore
	say(sink && t.Histograms && t.Exemplars, "It takes native histograms and exemplars.")
	say(sink && t.Histograms && !t.Exemplars, "It takes native histograms, and no exemplars.")
	say(sink && !t.Histograms, "It does not take native histograms: they are counted as dropped under `histograms`.")
	say(t.Kind == KindCoordinator, "The daemon opens it, watches its health and shows it. It shares no work through it yet: each daemon works alone.")
	say(t.Probes, "`magpie check -online` asks whether what it needs is there.")
	exclusive := t.Config.Exclusive()
	say(t.Live, "A change of an attribute marked *live* is taken while it runs.")
	say(exclusive, "%s change closes it before its successor opens, with a gap: two of them cannot hold what is marked *exclusive*.", map[bool]string{true: "Any other", false: "A"}[t.Live])
	say(t.Live && !exclusive, "For any other change a new one opens before the old one closes.")
	return list
}

// Exclusive reports whether a component of the schema holds what only one can.
func (s Schema) Exclusive() bool {
	return slices.ContainsFunc(s.Attributes, func(a Attribute) bool { return a.Change == Exclusive }) ||
		slices.ContainsFunc(s.Blocks, func(b Block) bool { return b.Body.Exclusive() })
}

// Section is what a manual says of a block: its own attributes, and none of the blocks in it, which are sections that follow.
type Section struct {
	Title      string      `json:"title"`                // as it is written, behind the blocks around it: target "ADDRESS" → tls
	Number     string      `json:"number,omitempty"`     // how many of it there may be
	Doc        string      `json:"doc,omitempty"`        // what the block is for
	Same       string      `json:"same,omitempty"`       // the title of an earlier section, which says what it takes
	Attributes []Attribute `json:"attributes,omitempty"` // in the order in which they are declared
}

// Sections are the manual of a block and of all blocks in it. title is the outer one's; those in it are told without it.
func (s Schema) Sections(title string) []Section {
	m := &sections{shown: map[string]string{}}
	m.add(Section{Title: title}, "", s)
	return m.list
}

type sections struct {
	list  []Section
	shown map[string]string // titles by schema
}

func (m *sections) add(x Section, path string, s Schema) {
	key := s.key(4)
	if x.Same = m.shown[key]; x.Same != "" {
		m.list = append(m.list, x)
		return
	}
	m.shown[key] = x.Title
	x.Attributes = s.Attributes
	m.list = append(m.list, x)
	for _, b := range s.Blocks {
		title := path + b.Title()
		m.add(Section{Title: title, Number: b.number(), Doc: renamed(b.Doc, b.Was)}, title+" → ", b.Body)
	}
}

// key tells schemas apart; it ends where one holds itself, as the routes in a route do.
func (s Schema) key(depth int) string {
	key := fmt.Sprintf("%+v", s.Attributes)
	for _, b := range s.Blocks {
		if key += fmt.Sprintf("%q%v%v%q", b.Name, b.Many, b.Required, b.Labels); depth > 0 {
			key += b.Body.key(depth - 1)
		}
	}
	return key
}

// Title is how the block begins, with the names of its labels.
func (b Block) Title() string {
	title := b.Name
	for _, l := range b.Labels {
		title += fmt.Sprintf(" %q", strings.ToUpper(l))
	}
	return title
}

func (b Block) number() string {
	switch {
	case b.Many && b.Required:
		return "at least one"
	case b.Many:
		return "any number"
	case b.Required:
		return "exactly one"
	}
	return "at most one"
}

// Text is all that a manual says of an attribute in words.
func (a Attribute) Text() string {
	doc := renamed(a.Doc, a.Was)
	if a.Deprecated != "" {
		doc += " Deprecated: " + a.Deprecated
	}
	return doc
}

func renamed(doc, was string) string {
	if was != "" {
		doc += fmt.Sprintf(" Was called `%s`.", was)
	}
	return doc
}

// Cost is what a change of an attribute costs in a component of the type.
func (t Type) Cost(a Attribute) Change {
	if a.Change == Live && !t.Live {
		return Replace
	}
	return cmp.Or(a.Change, Replace)
}

// Takes says what an attribute takes, for manuals: duration, at least 100ms.
func (a Attribute) Takes() string {
	what := map[Unit]string{DurationUnit: "duration", BytesUnit: "size", IntegerUnit: "integer"}[a.Unit]
	least, most, suffix := "", "", ""
	for _, c := range a.Checks {
		switch name, arg, _ := strings.Cut(c, "="); name {
		case "url":
			what = "URL"
		case "hostport":
			what = "host:port"
		case "regexp":
			what = "regexp"
		case "oneof":
			suffix = ": " + strings.Join(strings.Fields(arg), ", ")
		case "min":
			least = cmp.Or(least, arg)
		case "max":
			most = cmp.Or(most, arg)
		}
	}
	text := a.Type
	if what != "" {
		text = strings.NewReplacer("string", what, "number", what).Replace(text)
	}
	if a.Sensitive {
		text = "secret " + text
	}
	text += suffix
	switch zero := strings.Trim(least, "0") == "" || least == "0s" || least == "0B"; {
	case least != "" && most != "":
		text += ", " + least + " to " + most
	case most != "":
		text += ", at most " + most
	case !zero: // that nothing is negative goes without saying
		text += ", at least " + least
	}
	return text
}

// DefaultText is the default as it would be written in HCL; "" if there is none.
func (a Attribute) DefaultText() string {
	quote := func(s string) string {
		return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(strconv.Quote(s))
	}
	switch {
	case !a.HasDefault:
		return ""
	case strings.HasPrefix(a.Type, "map"), strings.HasPrefix(a.Type, "object"):
		return "{}"
	case strings.HasPrefix(a.Type, "list"):
		var elements []string
		for _, e := range strings.Fields(a.Default) {
			if a.Type == "list(string)" {
				e = quote(e)
			}
			elements = append(elements, e)
		}
		return "[" + strings.Join(elements, ", ") + "]"
	case a.Type == "string":
		return quote(a.Default)
	}
	return a.Default
}
