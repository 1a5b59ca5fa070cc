package language

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	sensitive = "(sensitive)" // what stands in the place of a secret

	minSecret  = 4  // bytes: a shorter one would blot out half of every message
	minEncoded = 8  // of one that is looked for in its encodings too
	keptSets   = 32 // of secrets: those of the configurations that were read last
)

// Mask takes the secrets of configurations out of texts: as they are, a line at a time, and as JSON, URLs, base64 and hex write them. It is what stands
// between a plugin, which is handed secrets, and everything that the daemon says of the plugin. The zero Mask knows none.
type Mask struct {
	mu   sync.Mutex
	sets [][]string // the newest last
	now  atomic.Pointer[patterns]
}

// Keep adds the secrets of a configuration. Those of the last few configurations are kept: what is said late may be of an earlier one.
func (m *Mask) Keep(secrets []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	set := slices.Sorted(slices.Values(secrets))
	at := slices.IndexFunc(m.sets, func(s []string) bool { return slices.Equal(s, set) })
	if at >= 0 {
		m.sets = append(slices.Delete(m.sets, at, at+1), set)
		return
	}
	if m.sets = append(m.sets, set); len(m.sets) > keptSets {
		m.sets = m.sets[1:]
	}
	m.now.Store(patternsOf(slices.Concat(m.sets...)))
}

// Clean gives a text without secrets.
func (m *Mask) Clean(text string) string { return m.now.Load().clean(text) }

// Holds reports whether there is a secret in a text.
func (m *Mask) Holds(text []byte) bool {
	p := m.now.Load()
	if p == nil {
		return false
	}
	_, n := find(p, text, 0)
	return n > 0
}

// Writer cleans what is written in one piece, such as an entry of a log.
func (m *Mask) Writer(w io.Writer) io.Writer { return maskedWriter{m, w} }

type maskedWriter struct {
	mask *Mask
	to   io.Writer
}

func (w maskedWriter) Write(b []byte) (int, error) {
	if !w.mask.Holds(b) {
		return w.to.Write(b)
	}
	_, err := io.WriteString(w.to, w.mask.Clean(string(b)))
	return len(b), err
}

// patterns are texts to be found, by their first bytes; nil are none.
type patterns struct {
	begins [1 << 16 / 64]uint64 // bits, by the first two bytes
	by     map[string][]string  // by the first minSecret bytes, the longest first
}

func patternsOf(secrets []string) *patterns {
	p := &patterns{by: map[string][]string{}}
	seen := map[string]bool{}
	for _, s := range secrets {
		if len(s) < minSecret || seen[s] {
			continue
		}
		for _, form := range formsOf(s) {
			if seen[form] || len(form) < minSecret {
				continue
			}
			seen[form] = true
			first := int(form[0])<<8 | int(form[1])
			p.begins[first>>6] |= 1 << (first & 63)
			p.by[form[:minSecret]] = append(p.by[form[:minSecret]], form)
		}
	}
	if len(p.by) == 0 {
		return nil
	}
	for _, list := range p.by {
		slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) })
	}
	return p
}

// formsOf are the ways in which a secret is written.
func formsOf(s string) []string {
	inJSON := func(s string) string {
		b, _ := json.Marshal(s)
		return strings.Trim(string(b), `"`)
	}
	quoted := strings.TrimSuffix(strings.TrimPrefix(strconv.Quote(s), `"`), `"`)
	hcl := strings.TrimSuffix(strings.TrimPrefix(Quote(s), `"`), `"`)
	forms := []string{s, inJSON(s), quoted, inJSON(quoted), hcl, strings.ReplaceAll(s, `"`, `\"`)}
	if len(s) < minEncoded {
		return forms
	}
	forms = append(forms, url.QueryEscape(s), url.PathEscape(s), url.UserPassword("", s).String()[1:])
	forms = append(forms, hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s))))
	for before := range 3 { // bytes that stand before it in what is encoded
		padded := slices.Concat(make([]byte, before), []byte(s))
		from, to := (8*before+5)/6, 8*len(padded)/6 // what depends on it alone
		forms = append(forms, base64.StdEncoding.EncodeToString(padded)[from:to], base64.URLEncoding.EncodeToString(padded)[from:to])
	}
	if strings.Contains(s, "\n") { // a log may write it line by line
		for line := range strings.Lines(s) {
			if line = strings.TrimSpace(line); len(line) >= minEncoded && !strings.HasPrefix(line, "-----") {
				forms = append(forms, line)
			}
		}
	}
	return forms
}

// find gives the next pattern at or behind a place; 0 bytes: there is none.
func find[T string | []byte](p *patterns, text T, from int) (at, n int) {
	for i := from; i+minSecret <= len(text); i++ {
		first := int(text[i])<<8 | int(text[i+1])
		if p.begins[first>>6]&(1<<(first&63)) == 0 {
			continue
		}
		for _, s := range p.by[string(text[i:i+minSecret])] {
			if i+len(s) <= len(text) && string(text[i:i+len(s)]) == s {
				return i, len(s)
			}
		}
	}
	return len(text), 0
}

func (p *patterns) clean(text string) string {
	if p == nil {
		return text
	}
	at, n := find(p, text, 0)
	if n == 0 {
		return text
	}
	var b strings.Builder
	from := 0
	for ; n > 0; at, n = find(p, text, from) {
		b.WriteString(text[from:at])
		b.WriteString(sensitive)
		from = at + n
	}
	b.WriteString(text[from:])
	return b.String()
}
