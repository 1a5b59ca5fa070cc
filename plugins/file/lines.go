package main

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// lines makes the text of batches, in memory that it uses again.
type lines struct {
	openmetrics bool
	text        []byte
}

// keptText bounds what is kept from one batch to the next.
const keptText = 8 << 20

// known is the part of a series' lines that is always the same.
type known struct {
	prefix string
	header string // TYPE and HELP of its family
	family string
}

// format makes the lines of a batch. families are those whose type stands in the file already.
func (l *lines) format(in *sdk.Batch, families map[string]bool) []byte {
	if cap(l.text) > keptText {
		l.text = nil
	}
	b := l.text[:0]
	sample := 0
	runs := in.Runs()
	for r := range runs {
		run := &runs[r]
		table, ok := run.Origin.Data.(*sdk.Table[known])
		if !ok {
			table = &sdk.Table[known]{}
			run.Origin.Data = table
		}
		for k, ref := range run.Refs {
			s := table.Get(ref)
			if s == nil {
				series, _ := run.Origin.Series(ref)
				table.Set(ref, l.known(series))
				s = table.Get(ref)
			}
			switch {
			case run.Records != nil && l.openmetrics:
				in.Drop(sample, "logs")
			case run.Records != nil:
				b = appendRecord(append(b, s.prefix...), run.Records[k])
				b = appendTime(b, run.Time(k))
			case run.Histograms != nil && l.openmetrics:
				in.Drop(sample, "histograms")
			case run.Histograms != nil:
				b = appendHistogram(append(b, s.prefix...), run.Histograms[k])
				b = appendTime(b, run.Time(k))
			case l.openmetrics:
				if s.header != "" && !families[s.family] {
					families[s.family] = true
					b = append(b, s.header...)
				}
				b = appendText(append(b, s.prefix...), run.Values[k], run.Time(k))
			default:
				b = appendValue(append(b, s.prefix...), run.Values[k])
				b = appendTime(b, run.Time(k))
			}
			sample++
		}
	}
	l.text = b
	return b
}

func (l *lines) known(s sdk.Series) known {
	if l.openmetrics {
		return textOf(s)
	}
	b := append([]byte(`{"name":`), quote(s.Labels.Get(sdk.NameLabel))...)
	b = append(b, `,"labels":{`...)
	comma := false
	for _, label := range s.Labels {
		if label.Name == sdk.NameLabel {
			continue
		}
		if comma {
			b = append(b, ',')
		}
		comma = true
		b = append(append(append(b, quote(label.Name)...), ':'), quote(label.Value)...)
	}
	b = append(b, '}')
	if s.Family != nil {
		b = append(append(b, `,"type":`...), quote(s.Family.Type.String())...)
	}
	return known{prefix: string(b)}
}

func quote(text string) []byte {
	b, err := json.Marshal(text)
	if err != nil {
		return []byte(`""`)
	}
	return b
}

// appendRecord writes what a record has beside its labels.
func appendRecord(b []byte, r *sdk.Record) []byte {
	text, err := json.Marshal(struct {
		Text       string            `json:"text"`
		Level      string            `json:"level,omitempty"`
		Event      string            `json:"event,omitempty"`
		Attributes map[string]string `json:"attributes,omitempty"`
		Time       time.Time         `json:"time"`
	}{r.Text, r.Level.String(), r.Name, r.Attributes.Map(), r.Time.UTC()})
	if err != nil { // a year that JSON does not have
		text = append([]byte(`{"text":`), append(quote(r.Text), '}')...)
	}
	return append(append(b, ','), text[1:len(text)-1]...)
}

func appendValue(b []byte, v float64) []byte {
	if math.Float64bits(v) == math.Float64bits(sdk.StaleNaN) {
		return append(b, `,"value":null,"stale":true`...)
	}
	return appendNumber(append(b, `,"value":`...), v)
}

// appendNumber writes a number so that reading it gives the same; what JSON does not have is a string.
func appendNumber(b []byte, v float64) []byte {
	if v-v != 0 {
		return strconv.AppendQuote(b, number(v))
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

// number is how Prometheus writes one.
func number(v float64) string {
	if math.IsInf(v, 1) {
		return "+Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

func appendTime(b []byte, ms int64) []byte {
	return append(strconv.AppendInt(append(b, `,"timestamp":`...), ms, 10), '}', '\n')
}

func appendHistogram(b []byte, h *sdk.Histogram) []byte {
	field := func(name string, v float64) {
		b = appendNumber(append(append(append(b, `,"`...), name...), `":`...), v)
	}
	list := func(name string, n int, one func(i int)) {
		b = append(append(append(b, `,"`...), name...), `":[`...)
		for i := range n {
			if i > 0 {
				b = append(b, ',')
			}
			one(i)
		}
		b = append(b, ']')
	}
	floats := func(name string, values []float64) {
		if len(values) > 0 {
			list(name, len(values), func(i int) { b = appendNumber(b, values[i]) })
		}
	}
	spans := func(name string, all []sdk.Span) {
		if len(all) > 0 {
			list(name, len(all), func(i int) {
				b = strconv.AppendInt(append(b, '['), int64(all[i].Offset), 10)
				b = append(strconv.AppendUint(append(b, ','), uint64(all[i].Length), 10), ']')
			})
		}
	}
	b = strconv.AppendInt(append(b, `,"histogram":{"schema":`...), int64(h.Schema), 10)
	field("count", h.Count)
	field("sum", h.Sum)
	field("zero_threshold", h.ZeroThreshold)
	field("zero_count", h.ZeroCount)
	spans("positive_spans", h.PositiveSpans)
	floats("positive", h.Positive)
	spans("negative_spans", h.NegativeSpans)
	floats("negative", h.Negative)
	floats("custom", h.Custom)
	if h.Float {
		b = append(b, `,"float":true`...)
	}
	if h.Reset != sdk.ResetUnknown {
		b = strconv.AppendInt(append(b, `,"reset":`...), int64(h.Reset), 10)
	}
	return append(b, '}')
}

// textOf makes what OpenMetrics writes before a value, and what it says of a family.
func textOf(s sdk.Series) known {
	var b strings.Builder
	name := s.Labels.Get(sdk.NameLabel)
	plain := plainName(name)
	if plain {
		b.WriteString(name)
	}
	if !plain || len(s.Labels) > 1 {
		b.WriteByte('{')
		comma := ""
		if !plain { // as Prometheus 3 writes and reads it
			b.WriteString(`"` + escape.Replace(name) + `"`)
			comma = ","
		}
		for _, label := range s.Labels {
			if label.Name == sdk.NameLabel {
				continue
			}
			key := label.Name
			if !plainName(key) || strings.Contains(key, ":") {
				key = `"` + escape.Replace(key) + `"`
			}
			b.WriteString(comma + key + `="` + escape.Replace(label.Value) + `"`)
			comma = ","
		}
		b.WriteByte('}')
	}
	b.WriteByte(' ')
	k := known{prefix: b.String()}
	if f := s.Family; f != nil && plainName(f.Name) {
		k.family = f.Name
		k.header = "# TYPE " + f.Name + " " + f.Type.String() + "\n"
		if f.Help != "" {
			k.header += "# HELP " + f.Name + " " + escape.Replace(f.Help) + "\n"
		}
	}
	return k
}

// A zero byte would look like what a crash leaves behind the end of a file.
var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\x00", "�")

func plainName(name string) bool {
	return name != "" && !slices.ContainsFunc([]byte(name), func(c byte) bool {
		return c != '_' && c != ':' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9')
	}) && (name[0] < '0' || name[0] > '9')
}

func appendText(b []byte, v float64, ms int64) []byte {
	if v-v == 0 {
		b = strconv.AppendFloat(b, v, 'g', -1, 64)
	} else {
		b = append(b, number(v)...)
	}
	b = append(b, ' ')
	if ms < 0 {
		b = append(b, '-')
		ms = -ms
	}
	b = append(strconv.AppendInt(b, ms/1000, 10), '.')
	for _, d := range [3]int64{100, 10, 1} {
		b = append(b, byte('0'+ms/d%10))
	}
	return append(b, '\n')
}
