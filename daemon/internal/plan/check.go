package plan

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/magpie-monitoring/magpie/daemon/internal/config"
	"github.com/magpie-monitoring/magpie/sdk"
)

// checked applies the checks of an attribute to a simple value. size is what min and max bound: the number, the
// nanoseconds, the bytes, or the length of a text. shown stands for the value in messages.
func (r *reading) checked(value any, text string, size float64, path sdk.Path, shown string) (any, string) {
	if r.expr == nil { // a default may be what nobody may write: an empty URL
		return value, text
	}
	s, _ := value.(string)
	for _, c := range r.attr.Checks {
		switch name, arg, _ := strings.Cut(c, "="); name {
		case "url":
			if u, err := url.Parse(s); err != nil || u.Scheme == "" || u.Host == "" && u.Path == "" {
				return r.wrong(path, "Invalid URL", "takes a URL with its scheme, such as https://host/path, and %s is none.", shown)
			}
		case "hostport":
			if _, port, err := net.SplitHostPort(s); err != nil || !isPort(port) {
				return r.wrong(path, "Invalid address", "takes a host and a port, such as 127.0.0.1:9470, and %s is none.", shown)
			}
		case "regexp":
			if strings.HasSuffix(s, "\n") {
				return r.wrong(path, "Line end in a regular expression", "ends in the line end of its heredoc: write trimspace(<<-EOT … EOT), or the expression in quotes.")
			}
			if _, err := regexp.Compile(s); err != nil {
				reason, _ := strings.CutPrefix(err.Error(), "error parsing regexp: ")
				if shown != strconv.Quote(s) {
					reason = "it cannot be parsed"
				}
				return r.wrong(path, "Invalid regular expression", "takes a regular expression: %s.", reason)
			}
		case "oneof":
			options := strings.Fields(arg)
			if !slices.Contains(options, s) {
				hint := ""
				if shown == strconv.Quote(s) {
					hint = config.DidYouMean(s, options)
				}
				return r.wrong(path, "Invalid value", "takes one of %s, and %s is none.%s", strings.Join(options, ", "), shown, hint)
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
	}
	return value, text
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
