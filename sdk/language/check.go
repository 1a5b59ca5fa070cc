package language

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

// checked applies the checks of an attribute to a simple value. size is what min and max bound: the number, the
// nanoseconds, the bytes, or the length of a text. shown stands for the value in messages.
func (r *reading) checked(value any, size float64, path sdk.Path, shown string) any {
	s, _ := value.(string)
	for _, c := range r.attr.Checks {
		if r.expr == nil { // a default may be what nobody may write: an empty URL
			break
		}
		name, arg, _ := strings.Cut(c, "=")
		takes, hint := "", ""
		switch name {
		case "url":
			if u, err := url.Parse(s); err != nil || u.Scheme == "" || u.Host == "" && u.Path == "" {
				takes = "a URL with its scheme, such as https://host/path"
			}
		case "hostport":
			if _, port, err := net.SplitHostPort(s); err != nil || !isPort(port) {
				takes = "a host and a port, such as 127.0.0.1:9470"
			}
		case "regexp":
			if _, err := regexp.Compile(s); err != nil {
				if takes = "a regular expression"; shown == strconv.Quote(s) {
					hint = " " + strings.TrimPrefix(err.Error(), "error parsing regexp: ") + "."
				}
			} else if strings.HasSuffix(s, "\n") {
				takes, hint = "a regular expression", " It ends in the line end of its heredoc: write trimspace(<<-EOT … EOT), or use quotes."
			}
		case "oneof":
			if options := strings.Fields(arg); !slices.Contains(options, s) {
				takes, hint = "one of "+strings.Join(options, ", "), DidYouMean(s, options)
			}
		case "min":
			if limit, ok := r.limit(arg); ok && size < limit {
				return r.wrong(path, "Value too small", "is at least %s.", arg)
			}
		case "max":
			if limit, ok := r.limit(arg); ok && size > limit {
				return r.wrong(path, "Value too large", "is at most %s.", arg)
			}
		}
		if takes != "" {
			return r.wrong(path, "Invalid value", "takes %s, and %s is none.%s", takes, shown, hint)
		}
	}
	return value
}

// limit reads the bound of min and max in the attribute's unit.
func (r *reading) limit(text string) (float64, bool) {
	switch r.attr.Unit {
	case sdk.DurationUnit:
		d, err := sdk.ParseDuration(text)
		return float64(d), err == nil
	case sdk.BytesUnit:
		n, err := sdk.ParseBytes(text)
		return float64(n), err == nil
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && strconv.FormatUint(n, 10) == s
}
