package names

import "testing"

func TestWhatPrometheusDoesNotTakeBecomesAnUnderscore(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][2]string{ // as a metric's, as a label's
		"":            {"", ""},
		"cpu":         {"cpu", "cpu"},
		"a.b-c d":     {"a_b_c_d", "a_b_c_d"},
		"job:rate5m":  {"job:rate5m", "job_rate5m"},
		"9lives":      {"_9lives", "_9lives"},
		"größe":       {"gr__e", "gr__e"},
		"a\xffb":      {"a_b", "a_b"},
		"__name__":    {"__name__", "exported___name__"},
		"--x":         {"__x", "exported___x"},
		"le":          {"le", "exported_le"},
		"quantile":    {"quantile", "quantile"},
		"exported_le": {"exported_le", "exported_le"},
	} {
		if got := [2]string{Metric(name), Label(name, "le")}; got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
