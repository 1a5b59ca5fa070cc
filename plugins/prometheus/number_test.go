package main

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

func TestQuickFloatIsExactWhereItAnswers(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"0", "-0", "1", "-1", "1.", ".5", "-.5", "00012", "12345.678", "1e6", "1e+06", "1.6777216e+07", "1.5e-05", "9007199254740991", "9007199254740992",
		"9007199254740993", "1e22", "1e23", "1e-22", "1e-23", "0e999", "0e400", "123456789012345678", "1234567890123456789012", "0.30000000000000004",
		"1.7976931348623157e+308", "5e-324", "1e999", "1e9999", "e5", "-", ".", "1e", "1e+", "1ee5", "NaN", "Inf", "0x10", "1_000", "4.35", "123E4",
	} {
		checkFloat(t, s)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		v := math.Float64frombits(random.Uint64())
		if random.IntN(2) == 0 {
			v = float64(random.IntN(1_000_000)) / math.Pow10(random.IntN(8))
		}
		checkFloat(t, strconv.FormatFloat(v, "gfe"[random.IntN(3)], random.IntN(20)-1, 64))
	}
}

// checkFloat compares bit for bit with strconv.
func checkFloat(t *testing.T, s string) {
	t.Helper()
	got, n := quickFloat([]byte(s + "\n"))
	if n == 0 {
		return
	}
	want, err := strconv.ParseFloat(s[:n], 64)
	if err != nil || math.Float64bits(got) != math.Float64bits(want) {
		t.Errorf("%q: %v with %d bytes read; strconv: %v, %v", s, got, n, want, err)
	}
}

func TestQuickFloatAnswersWhatExportersWrite(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"0", "1", "-3", "42.5", "1e+06", "1.6777216e+07", "1.694e-05", "1700000000.123", "0.005"} {
		if _, n := quickFloat([]byte(s + " ")); n != len(s) {
			t.Errorf("%q: read %d bytes", s, n)
		}
	}
}

func FuzzQuickFloat(f *testing.F) {
	for _, s := range []string{"1", "-0.5", "1e+06", "123456789012345678", "1e-23", ".", "1.e5"} {
		f.Add(s)
	}
	f.Fuzz(checkFloat)
}

func BenchmarkQuickFloat(b *testing.B) {
	for _, s := range []string{"1", "1.6777216e+07", "1234567.89", "0.30000000000000004"} {
		text := []byte(s + "\n")
		b.Run(s, func(b *testing.B) {
			for b.Loop() {
				if _, n := quickFloat(text); n == 0 {
					parseFloat(text[:len(text)-1])
				}
			}
		})
	}
}
