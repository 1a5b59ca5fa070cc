package language

import (
	"fmt"
	"strings"
)

// DidYouMean ends a sentence about an unknown name: ` Did you mean "endpoints"?`, or nothing.
func DidYouMean(given string, options []string) string {
	if best := Closest(given, options); best != "" {
		return fmt.Sprintf(" Did you mean %q?", best)
	}
	return ""
}

// Closest finds the option that was probably meant, "" if none is near: by the number of letters that are wrong, missing,
// too many or swapped with their neighbour, at most a third of the name.
func Closest(given string, options []string) string {
	const longest = 80
	limit := max(2, min(len(given)/3, 3))
	if len(given) <= 3 {
		limit = 1
	}
	if len(given) > longest {
		return ""
	}
	best, least := "", limit+1
	for _, o := range options {
		d := least + 1
		if len(given) >= 3 && strings.HasPrefix(o, given) { // rat: rate, rather than rad
			d = 0
		} else if len(o)-len(given) <= limit && len(given)-len(o) <= limit {
			d = distance(given, o)
		}
		if o != given && (d < least || d == least && best != "" && o < best) {
			best, least = o, d
		}
	}
	return best
}

// distance is the optimal string alignment distance (Damerau-Levenshtein without overlaps).
func distance(a, b string) int {
	older, old, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		older, old, row = old, row, older
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(old[j]+1, row[j-1]+1, old[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], older[j-2]+1)
			}
		}
	}
	return row[len(b)]
}

// Sentence ends what somebody else's parser says with a full stop.
func Sentence(s string) string {
	if strings.HasSuffix(s, "?") {
		return s
	}
	return strings.TrimSuffix(s, ".") + "."
}
