package sdk

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Bounds of what the other side of an HTTPClient can make a plugin do.
const (
	// MaxPause is the longest that it can ask not to be tried: it may ask for a pause, not for silence.
	MaxPause = time.Hour

	maxExcerpt   = 300 // bytes
	maxRedirects = 5
)

// AskedPause reads a Retry-After header, seconds or a date (RFC 9110, 10.2.3), for RetryAfter; 0 if there is none that can
// be read.
func AskedPause(header string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(header, 10, 32); err == nil {
		return min(time.Duration(n)*time.Second, MaxPause)
	}
	if at, err := http.ParseTime(header); err == nil {
		return min(max(at.Sub(now), 0), MaxPause)
	}
	return 0
}

// Excerpt is the beginning of an answer, to end an error with: nothing, or a colon and a quotation.
func Excerpt(answer string) string {
	text := strings.TrimSpace(strings.ToValidUTF8(answer, ""))
	if text == "" {
		return ""
	}
	more := ""
	if len(text) > maxExcerpt {
		text, more = strings.ToValidUTF8(text[:maxExcerpt], ""), " …"
	}
	return ": " + strconv.Quote(text) + more
}

// keepMethod follows a redirect only if what is sent stays what it was: after 301, 302 and 303 the client would send a GET
// in place of a POST, without the message, and its answer would look like a success.
func keepMethod(next *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	if next.Method != via[0].Method {
		return http.ErrUseLastResponse
	}
	return nil
}
