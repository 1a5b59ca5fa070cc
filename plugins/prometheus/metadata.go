package main

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/magpie-monitoring/magpie/sdk"
)

// state is what the metadata lines above a sample say of it. States do not change; the lines of a family share one.
type state struct {
	last   sdk.MetricType // of the last TYPE line, whatever its name: le and quantile are read by it, as Prometheus does
	family sdk.Family     // of the last metadata lines of one name
}

// metadata collects metadata lines until a sample asks for its state.
type metadata struct {
	now     *state // in force where changed is not set; never nil after begin
	changed bool
	last    sdk.MetricType
	family  []byte // a name as the page writes it, without quotes
	kind    sdk.MetricType
	unit    []byte
	help    string
}

var noState = &state{}

// Texts of a family that are longer are cut: the wire has limits, and nobody reads them.
const (
	maxFamilyName = 512
	maxHelp       = 1 << 10
)

// begin sets the state that is in force.
func (m *metadata) begin(s *state) { m.now, m.changed = s, false }

// open makes the metadata lines of a name collect; those of another name are over.
func (m *metadata) open(name []byte) {
	same := m.family
	if !m.changed {
		m.last, m.kind, m.unit, m.help = m.now.last, m.now.family.Type, []byte(m.now.family.Unit), m.now.family.Help
		same = []byte(m.now.family.Name)
	}
	m.changed = true
	if !bytes.Equal(name, same) {
		m.kind, m.unit, m.help = sdk.Unknown, nil, ""
	}
	m.family = name
}

// lastType is the type of the last TYPE line.
func (m *metadata) lastType() sdk.MetricType {
	if m.changed {
		return m.last
	}
	return m.now.last
}

// settle returns the state in force; it is like if it says the same.
func (m *metadata) settle(like *state) *state {
	if !m.changed {
		return m.now
	}
	s := state{m.last, sdk.Family{Name: cut(string(m.family), maxFamilyName), Type: m.kind, Unit: cut(string(m.unit), maxFamilyName), Help: cut(m.help, maxHelp)}}
	if like == nil || s != *like {
		like = new(state)
		*like = s
	}
	m.begin(like)
	return like
}

// cut shortens a text to valid UTF-8 of at most n bytes.
func cut(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "")
}

// comment reads a line from behind its #; true means that it was # EOF, and that the page ends there.
func (p *parser) comment(i int) (end bool, err error) {
	k := i
	if p.format != openMetrics {
		k = p.blanks(i)
	} else if p.at(i) == ' ' {
		k = i + 1
	}
	if k > i {
		word := p.page[k:min(k+4, len(p.page))]
		after := p.at(k + 4)
		blank := after == ' ' || after == '\t' && p.format != openMetrics
		switch {
		case blank && string(word) == "HELP", blank && string(word) == "TYPE", blank && string(word) == "UNIT" && p.format != plainText:
			return false, p.metadataLine(p.blanks(k+5), word[0])
		case p.format == openMetrics && bytes.HasPrefix(word, []byte("EOF")):
			if k += 3; p.at(k) == '\n' {
				k++
			}
			if k < len(p.page) {
				return false, p.wrong(k, "# EOF is the end of the page, and there is more")
			}
			p.pos = k
			return true, nil
		}
	}
	if p.format == openMetrics {
		return false, p.wrong(k, "OpenMetrics has no other comments than # HELP, # TYPE, # UNIT and # EOF")
	}
	p.pos = p.lineEnd(i)
	return false, nil
}

// lineEnd is behind the newline that ends the line of i, or the end of the page.
func (p *parser) lineEnd(i int) int {
	if n := bytes.IndexByte(p.page[min(i, len(p.page)):], '\n'); n >= 0 {
		return i + n + 1
	}
	return len(p.page)
}

// metadataLine reads a HELP, TYPE or UNIT line from its metric name on. what is the keyword's first letter.
func (p *parser) metadataLine(i int, what byte) error {
	name := span{i, i}
	switch c := p.at(i); {
	case c == '"':
		end := p.quoted(i, false)
		if end < 0 {
			return p.wrong(i, "a metric name in quotes does not end")
		}
		name, i = span{i + 1, end - 1}, end
	case class[c]&nameFirst != 0:
		i = p.word(i, nameRest)
		name.to = i
	default:
		return p.wrong(i, "a metric name is expected behind HELP, TYPE or UNIT")
	}
	text, next, ok := p.metadataText(i)
	if !ok {
		return p.wrong(i, "one blank, a text and a newline are expected behind the name")
	}
	p.pos = next
	p.open(p.page[name.from:name.to])
	switch what {
	case 'H':
		if !utf8.Valid(text) {
			return p.wrong(i, "the help is not UTF-8")
		}
		p.help = unescape(text, p.format == openMetrics)
	case 'U':
		if n := len(p.family) - len(text); p.format == openMetrics && len(text) > 0 && (n < 1 || !bytes.HasSuffix(p.family, text) || p.family[n-1] != '_') {
			return p.wrong(i, "the unit is not the end of the metric name")
		}
		p.unit = text
	case 'T':
		kind, ok := typeNamed(text, p.format)
		if !ok {
			return p.wrong(i, "a metric type is expected")
		}
		p.kind, p.last = kind, kind
	}
	return nil
}

// metadataText is the rest of a metadata line behind the name, from the second byte on; labels that brpc repeats there are
// skipped.
func (p *parser) metadataText(i int) (text []byte, next int, ok bool) {
	next = p.lineEnd(i)
	raw := p.page[i:next]
	if p.format == openMetrics {
		if !bytes.HasPrefix(raw, []byte(" ")) || !bytes.HasSuffix(raw, []byte("\n")) {
			return nil, next, false
		}
		return raw[1 : len(raw)-1], next, true
	}
	raw = bytes.TrimSuffix(raw, []byte("\n"))
	if n := bytes.LastIndexByte(raw, '}'); n >= 0 && raw[0] == '{' {
		return bytes.Trim(raw[n+1:], " \t"), next, true
	}
	if len(bytes.Trim(raw, " \t")) == 0 {
		return nil, next, true
	}
	return raw[1:], next, true
}

// typeNamed finds a type by its name in a TYPE line. The text format knows fewer.
func typeNamed(text []byte, f format) (sdk.MetricType, bool) {
	switch string(text) {
	case "counter":
		return sdk.CounterType, true
	case "gauge":
		return sdk.GaugeType, true
	case "histogram":
		return sdk.HistogramType, true
	case "summary":
		return sdk.SummaryType, true
	case "untyped":
		return sdk.Unknown, f != openMetrics
	case "unknown":
		return sdk.Unknown, f != plainText
	case "info":
		return sdk.InfoType, f != plainText
	case "stateset":
		return sdk.StateSetType, f != plainText
	case "gaugehistogram":
		return sdk.GaugeHistogramType, f != plainText
	}
	return sdk.Unknown, false
}

// suffixes are what the samples of a family add to its name, by type (OpenMetrics 1.0, "MetricFamily").
var suffixes = map[sdk.MetricType][]string{
	sdk.CounterType:        {"_total", "_created"},
	sdk.HistogramType:      {"_bucket", "_sum", "_count", "_created"},
	sdk.GaugeHistogramType: {"_bucket", "_gsum", "_gcount", "_sum", "_count"}, // the last two in protobuf
	sdk.SummaryType:        {"_sum", "_count", "_created"},
	sdk.InfoType:           {"_info"},
}

// familyOf is the family of a metric, nil if the metadata above it belongs to another.
func (s *state) familyOf(metric string) *sdk.Family {
	family := s.family.Name
	if family == "" {
		return nil
	}
	if metric == family {
		return &s.family
	}
	if s.family.Type == sdk.CounterType || s.family.Type == sdk.InfoType { // the text format names these with their suffix
		family = strings.TrimSuffix(family, suffixes[s.family.Type][0])
	}
	rest, ok := strings.CutPrefix(metric, family)
	if !ok {
		return nil
	}
	for _, suffix := range suffixes[s.family.Type] {
		if rest == suffix {
			return &s.family
		}
	}
	return nil
}
