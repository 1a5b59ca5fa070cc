package sdk

import (
	"encoding/json"
	"math"
	"testing"
)

func TestAnAlertOfAnyValueCrossesTheWire(t *testing.T) {
	for _, v := range []float64{0, 1.5, math.Inf(1), math.Inf(-1), math.NaN()} {
		b, err := json.Marshal(Notification{Alerts: []Alert{{Value: v, Status: Firing, Labels: map[string]string{"a": "b"}}}})
		if err != nil {
			t.Fatal(err)
		}
		var n Notification
		if err := json.Unmarshal(b, &n); err != nil {
			t.Fatal(err)
		}
		got := n.Alerts[0]
		if got.Value != v && !(math.IsNaN(v) && math.IsNaN(got.Value)) || got.Status != Firing || got.Labels["a"] != "b" {
			t.Errorf("%v: %+v", v, got)
		}
	}
}

func TestSizesAndDurationsAreReadAndWritten(t *testing.T) {
	for text, want := range map[string]Bytes{"1B": 1, "10kB": 10_000, "256MiB": 256 << 20, "1.5GiB": 3 << 29, "0B": 0} {
		if got, err := ParseBytes(text); got != want || err != nil {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1", "x", "-1B", "1.0001kib", "99999999999TiB", "1 Kib"} {
		if got, err := ParseBytes(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
	for text, want := range map[string]string{"15s": "15s", "1m30s": "1m30s", "30d": "720h0m0s", "250ms": "250ms", "1.5h": "1h30m0s", "0": "0s", "1w": "168h0m0s"} {
		if got, err := ParseDuration(text); got.String() != want || err != nil {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "15", "s", "1x", "1h-1m", "9999999y", "15 s", "1.2.3s"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q: %s", text, got)
		}
	}
}

func TestLabelsKeepTheirOrder(t *testing.T) {
	ls := NewLabels("b", "2", "a", "1", "__name__", "m", "c", "", "b", "3")
	if got := ls.String(); got != `m{a="1", b="3"}` {
		t.Error(got)
	}
	if got := ls.Set("a", "").Set("z", "x\n\"").String(); got != `m{b="3", z="x\n\""}` {
		t.Error(got)
	}
	if !ls.Valid() || NewLabels("a", "\xff").Valid() || NewLabels("", "x").Valid() {
		t.Error("Valid")
	}
}
