package main

import (
	"errors"
	"math"
	"strconv"
	"unsafe"
)

// pow10 are the powers of ten that a float64 holds exactly.
var pow10 = [...]float64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// quickFloat reads the decimal number that b starts with, and n, how long it is: digits, a point, an exponent, as exporters
// write them. n is 0 for everything else (NaN, infinities, more digits than are exact): ask parseFloat.
//
// It is exact where it answers: a mantissa below 2⁵³ and a power of ten up to 10²² are float64s, and one multiplication or
// division rounds once, as strconv.ParseFloat does (W. D. Clinger, "How to Read Floating Point Numbers Accurately", 1990).
func quickFloat(b []byte) (v float64, n int) {
	i := 0
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		i = 1
	}
	var mantissa uint64
	first := i
	for i < len(b) && b[i]-'0' <= 9 {
		mantissa = mantissa*10 + uint64(b[i]-'0')
		i++
	}
	digits, exponent := i-first, 0
	if i < len(b) && b[i] == '.' {
		i++
		point := i
		for i < len(b) && b[i]-'0' <= 9 {
			mantissa = mantissa*10 + uint64(b[i]-'0')
			i++
		}
		exponent = point - i
		digits += i - point
	}
	if digits == 0 || digits > 19 || mantissa >= 1<<53 {
		return 0, 0
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		e, length := quickExponent(b[i+1:])
		if length == 0 {
			return 0, 0
		}
		exponent += e
		i += 1 + length
	}
	v = float64(mantissa)
	switch {
	case exponent == 0:
	case exponent > 0 && exponent < len(pow10):
		v *= pow10[exponent]
	case exponent < 0 && -exponent < len(pow10):
		v /= pow10[-exponent]
	case mantissa != 0:
		return 0, 0
	}
	if negative {
		v = -v
	}
	return v, i
}

// quickExponent reads a sign and up to three digits.
func quickExponent(b []byte) (e, n int) {
	sign := 1
	if len(b) > 0 && (b[0] == '+' || b[0] == '-') {
		if b[0] == '-' {
			sign = -1
		}
		n = 1
	}
	first := n
	for n < len(b) && n-first < 4 && b[n]-'0' <= 9 {
		e = e*10 + int(b[n]-'0')
		n++
	}
	if n == first || n-first > 3 {
		return 0, 0
	}
	return sign * e, n
}

// normalNaN is the NaN that stands for a value, as Prometheus stores it (model/value.NormalNaN).
var normalNaN = math.Float64frombits(0x7ff8000000000001)

var errNumber = errors.New("it has a character that no number has")

// parseFloat reads what the formats take for a number: what strconv takes, without hexadecimal floats and underscores.
func parseFloat(b []byte) (float64, error) {
	for _, c := range b {
		if c == '_' || c|0x20 == 'p' {
			return 0, errNumber
		}
	}
	v, err := strconv.ParseFloat(asString(b), 64)
	if v != v {
		v = normalNaN
	}
	return v, err
}

// asString looks at bytes as a string for the time of a call that keeps nothing of it.
func asString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
