package main

import "math"

// sampleValue is what stands behind a head: a value, and perhaps a time of its own in Unix ms.
type sampleValue struct {
	v     float64
	t     int64
	timed bool
}

// value reads the value at the position and the rest of the line: a time, and in OpenMetrics an exemplar, which is checked
// and dropped.
func (p *parser) value() (s sampleValue, err error) {
	if p.format == openMetrics {
		return p.openMetricsValue()
	}
	i := p.blanks(p.pos)
	if s.v, i, err = p.number(i, '\t', '{'); err != nil {
		return s, err
	}
	if i = p.blanks(i); p.at(i) >= '0' && p.at(i) <= '9' {
		s.timed = true
		from := i
		for ; p.at(i) >= '0' && p.at(i) <= '9'; i++ {
			digit := int64(p.page[i] - '0')
			if s.t > (math.MaxInt64-digit)/10 {
				return s, p.wrong(from, "the time is too large")
			}
			s.t = s.t*10 + digit
		}
		i = p.blanks(i)
	}
	if i < len(p.page) && p.page[i] != '\n' {
		return s, p.wrong(i, "a time in ms or the end of the line is expected")
	}
	p.pos = min(i+1, len(p.page))
	return s, nil
}

// number reads the number that starts at i and ends as token says.
func (p *parser) number(i int, a, b byte) (v float64, end int, err error) {
	v, n := quickFloat(p.page[i:])
	if end = i + n; n > 0 && p.token(end, a, b) == end {
		return v, end, nil
	}
	end = p.token(end, a, b)
	if v, err = parseFloat(p.page[i:end]); err != nil {
		return 0, end, p.wrong(i, "a number is expected")
	}
	return v, end, nil
}

// token is where the token that starts at i ends: at a blank, a newline or one of two more bytes.
func (p *parser) token(i int, a, b byte) int {
	for i < len(p.page) {
		if c := p.page[i]; c == ' ' || c == '\n' || c == a || c == b {
			break
		}
		i++
	}
	return i
}

func (p *parser) openMetricsValue() (s sampleValue, err error) {
	i := 0
	if s.v, i, err = p.number(p.pos, '\n', '\n'); err != nil {
		return s, err
	}
	if p.at(i) == ' ' && !p.exemplarAt(i) {
		if i, s.t, err = p.seconds(i + 1); err != nil {
			return s, err
		}
		s.timed = true
	}
	if p.exemplarAt(i) {
		if i, err = p.exemplar(i + 4); err != nil {
			return s, err
		}
	}
	if p.at(i) != '\n' {
		return s, p.wrong(i, "the end of the line is expected")
	}
	p.pos = i + 1
	return s, nil
}

// seconds reads a time in seconds, as ms.
func (p *parser) seconds(i int) (end int, ms int64, err error) {
	t, end, err := p.number(i, '\n', '\n')
	if err != nil || math.IsNaN(t) || math.IsInf(t, 0) {
		return end, 0, p.wrong(i, "a time in seconds is expected")
	}
	return end, int64(t * 1000), nil
}

func (p *parser) exemplarAt(i int) bool {
	return i+4 <= len(p.page) && string(p.page[i:i+4]) == " # {"
}

// exemplar reads an exemplar from behind its { to the end of the line.
func (p *parser) exemplar(i int) (int, error) {
	i, err := p.braces(i, true)
	if err != nil {
		return i, err
	}
	if p.at(i) != ' ' {
		return i, p.wrong(i, "one blank and a value are expected behind the exemplar's labels")
	}
	_, end, err := p.number(i+1, '\n', '\n')
	if err != nil {
		return i, err
	}
	if p.at(end) == ' ' {
		end, _, err = p.seconds(end + 1)
	}
	return end, err
}
