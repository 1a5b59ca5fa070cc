package sdk

import (
	"cmp"
	"strconv"
	"strings"
)

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
