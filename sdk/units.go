package sdk

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Bytes is a size, written "256MiB" or "10kB" in HCL.
type Bytes int64

var byteUnits = []struct {
	name string
	size float64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}}

// ParseBytes reads a size with its unit.
func ParseBytes(s string) (Bytes, error) {
	for _, u := range byteUnits {
		number, ok := strings.CutSuffix(strings.TrimSpace(s), u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || n < 0 || n*u.size > math.MaxInt64/2 || n*u.size != math.Trunc(n*u.size) {
			break
		}
		return Bytes(n * u.size), nil
	}
	return 0, fmt.Errorf("%q is not a size: write a number and a unit, such as \"256MiB\" or \"10kB\"", s)
}

// String writes the size in the largest unit that divides it.
func (b Bytes) String() string {
	for _, u := range []int{3, 2, 1, 0} {
		if size := Bytes(byteUnits[u].size); b != 0 && b%size == 0 {
			return strconv.FormatInt(int64(b/size), 10) + byteUnits[u].name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}

// ParseDuration reads a duration as HCL writes it: Go's units, and d, w and y as Prometheus has them (24 h, 7 d, 365 d).
func ParseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not a duration: write a number and a unit, such as \"15s\", \"1m30s\" or \"30d\"", s)
	rest, total := strings.TrimSpace(s), 0.0
	if rest == "0" {
		return 0, nil
	}
	sign := 1.0
	if r, ok := strings.CutPrefix(rest, "-"); ok {
		rest, sign = r, -1
	}
	if rest == "" {
		return 0, bad
	}
	for rest != "" {
		digits := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if digits <= 0 {
			return 0, bad
		}
		n, err := strconv.ParseFloat(rest[:digits], 64)
		if err != nil {
			return 0, bad
		}
		rest = rest[digits:]
		letters := strings.IndexFunc(rest, func(r rune) bool { return r >= '0' && r <= '9' || r == '.' })
		if letters < 0 {
			letters = len(rest)
		}
		unit, ok := durationUnits[rest[:letters]]
		if !ok {
			return 0, bad
		}
		total += n * float64(unit)
		rest = rest[letters:]
	}
	if total > math.MaxInt64/2 {
		return 0, bad
	}
	return time.Duration(sign * math.Round(total)), nil
}

var durationUnits = map[string]time.Duration{
	"ns": 1, "us": time.Microsecond, "µs": time.Microsecond, "ms": time.Millisecond, "s": time.Second, "m": time.Minute,
	"h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour, "y": 365 * 24 * time.Hour,
}

// Secret is a value that no log, plan or error shows.
type Secret struct{ value string }

// NewSecret makes a secret, for tests and for values that are computed.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal returns the value, for the one place that needs it.
func (s Secret) Reveal() string { return s.value }

// IsSet reports whether the secret has a value.
func (s Secret) IsSet() bool { return s.value != "" }

// String hides the value.
func (s Secret) String() string { return "(sensitive)" }

// GoString hides the value from %#v.
func (s Secret) GoString() string { return "(sensitive)" }

// MarshalJSON hides the value.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"(sensitive)"`), nil }

// UnmarshalJSON reads the value that the daemon sends.
func (s *Secret) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &s.value) }
