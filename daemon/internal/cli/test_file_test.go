package cli

import "testing"

// Whatever a test file of promtool holds, also one of an archive: no panic, and what it has becomes tests.
func FuzzTestFile(f *testing.F) {
	for _, text := range []string{
		"rule_files: [a.yml]\nevaluation_interval: 1m\ntests:\n- name: x\n  input_series: [{series: up, values: 1x5}]\n  alert_rule_test: [{eval_time: 1m, alertname: A, exp_alerts: [{exp_labels: {a: b}}]}]\n  promql_expr_test: [{expr: up, eval_time: 1m, exp_samples: [{labels: up, value: 1}]}]\n",
		"a: &a [*a]\n", "tests: [&a {name: x}, *a, {<<: *a}]\n", "tests:\n- nam: x\n- 5\n", "", "[", "tests: {}", "evaluation_interval: soon",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var file testFile
		if err := file.decode("t.yml", text); err != nil {
			if err.Error() == "" {
				t.Error("an error that says nothing")
			}
			return
		}
		for i, x := range file.Tests {
			file.caseOf("t.yml", i, x)
		}
	})
}
