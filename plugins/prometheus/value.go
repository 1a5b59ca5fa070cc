package main

import "math"

// sampleValue is what stands behind a head: a value, and perhaps a time of its own in Unix ms.
type sampleValue struct {
	v     float64
	t     int64
	timed bool
	shape int // 1 and the index of a native histogram, 0: v is the value
}

// value reads the value at the position and the rest of the line: a time, and an exemplar where the format has them.
func (p *parser) value() (s sampleValue, err error) {
	p.found = p.found[:0]
	switch p.format {
	case openMetrics:
		return p.openMetricsValue()
	case fromProtobuf:
		return p.rewrittenValue()
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
		if i, err = p.exemplar(i+4, p.seconds); err != nil {
			return s, err
		}
	}
	if p.at(i) != '\n' {
		return s, p.wrong(i, "the end of the line is expected")
	}
	p.pos = i + 1
	return s, nil
}

// rewrittenValue reads a value as the rewriter writes it.
func (p *parser) rewrittenValue() (s sampleValue, err error) {
	i := p.pos
	if p.at(i) == 'H' {
		var index int64
		i, index, err = p.whole(i + 1)
		s.shape = int(index) + 1
	} else {
		s.v, i, err = p.number(i, '\n', '\n')
	}
	if err == nil && p.at(i) == ' ' && !p.exemplarAt(i) {
		s.timed = true
		i, s.t, err = p.whole(i + 1)
	}
	for err == nil && p.exemplarAt(i) {
		i, err = p.exemplar(i+4, p.whole)
	}
	if err == nil && p.at(i) != '\n' {
		err = p.wrong(i, "the end of the line is expected")
	}
	p.pos = i + 1
	return s, err
}

// whole reads a number of ms.
func (p *parser) whole(i int) (end int, n int64, err error) {
	for end = i; class[p.at(end)]&(nameRest|nameFirst) == nameRest && n < math.MaxInt64/10; end++ {
		n = n*10 + int64(p.page[end]-'0')
	}
	if end == i {
		return end, 0, p.wrong(i, "a whole number is expected")
	}
	return end, n, nil
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

// exemplar reads an exemplar from behind its { to the end of the line or to the next; clock reads its time.
func (p *parser) exemplar(i int, clock func(int) (int, int64, error)) (int, error) {
	e := found{labels: span{from: i}}
	p.exampleLabels = p.exampleLabels[:0]
	i, err := p.braces(i, true)
	if err != nil {
		return i, err
	}
	e.labels.to = i
	if p.at(i) != ' ' {
		return i, p.wrong(i, "one blank and a value are expected behind the exemplar's labels")
	}
	end := i
	if e.value, end, err = p.number(i+1, '\n', '\n'); err != nil {
		return i, err
	}
	if p.at(end) == ' ' && !p.exemplarAt(end) {
		e.timed = true
		end, e.t, err = clock(end + 1)
	}
	p.found = append(p.found, e)
	return end, err
}
