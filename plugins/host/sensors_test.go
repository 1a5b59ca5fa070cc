package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

func TestSensorsAreFoundAnewNowAndThen(t *testing.T) {
	t.Parallel()
	h, _ := bare(t, func(c *Config) { c.Collect = []string{"thermal_zone"} })
	zone := func(i, temp int) {
		write(t, fmt.Sprintf("%s/class/thermal/thermal_zone%d/temp", h.sys, i), fmt.Sprint(temp))
		write(t, fmt.Sprintf("%s/class/thermal/thermal_zone%d/type", h.sys, i), "x")
	}
	zone(0, 40000)
	s := newSeries()
	temp := func(i int) (v float64, ok bool) {
		v, ok = s.values[fmt.Sprintf(`node_thermal_zone_temp{type="x", zone="%d"}`, i)]
		return v, ok
	}
	for cycle := range slowEvery + 1 {
		zone(0, 1000*cycle)
		if err := s.collect(t, h); err != nil {
			t.Fatal(err)
		}
		if v, _ := temp(0); v != float64(cycle) {
			t.Errorf("in cycle %d zone 0 has %v", cycle, v)
		}
		if _, ok := temp(1); ok != (cycle >= slowEvery) {
			t.Errorf("in cycle %d zone 1 is there: %v", cycle, ok)
		}
		zone(1, 1) // appears after the first search
	}
	os.RemoveAll(h.sys + "/class/thermal/thermal_zone0")
	s.collect(t, h)
	if v, ok := temp(0); ok {
		t.Errorf("a zone that is gone has %v", v)
	}
}

func TestSensorsThatTakeTheirTimeAreReadSideBySide(t *testing.T) {
	t.Parallel()
	h, _ := bare(t, nil)
	m := &sdk.Metric{Family: sdk.Family{Name: "m"}, LabelNames: []string{"i"}}
	search := func() (list []sensor, err error) {
		for i := range 3*readers + 1 {
			path := filepath.Join(h.sys, fmt.Sprint(i))
			write(t, path, fmt.Sprintf("%d\n", i))
			list = append(list, sensor{path: path, metric: m, scale: 2, per: 4, labels: []string{fmt.Sprint(i)}})
		}
		list = append(list, list[0], sensor{path: h.sys + "/none", metric: m, labels: []string{"none"}}, sensor{metric: m, scale: 7, labels: []string{"constant"}})
		return list, nil
	}
	for _, took := range []time.Duration{0, time.Nanosecond, slowReading} {
		s := sensors{took: took}
		b := sdk.NewScope(sdk.SourceSettings{}, "", true).Batch()
		if err := h.sense(b, &s, "", search); err != nil {
			t.Fatal(err)
		}
		b.Seal(func(c *sdk.Columns) {
			if len(c.Run.Values) != 3*readers+2 {
				t.Errorf("there are %d values", len(c.Run.Values))
			}
			for i, v := range c.Run.Values[:3*readers+1] {
				if v != float64(i)/2 {
					t.Errorf("sensor %d is %v", i, v)
				}
			}
			if v := c.Run.Values[3*readers+1]; v != 7 {
				t.Errorf("the constant is %v", v)
			}
		})
		if s.took <= 0 {
			t.Errorf("reading took %v", s.took)
		}
	}
}

func TestNamesOfSensorsFollowNodeExporter(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		kind, element string
		plain         bool
		want          string
	}{
		{"temp", "input", false, "node_hwmon_temp_celsius"},
		{"temp", "input", true, "node_hwmon_temp_input_celsius"},
		{"temp", "", true, "node_hwmon_temp_celsius"},
		{"temp", "crit_hyst", false, "node_hwmon_temp_crit_hyst_celsius"},
		{"temp", "type", false, "node_hwmon_temp_type"},
		{"temp", "alarm", false, "node_hwmon_temp_alarm"},
		{"in", "input", false, "node_hwmon_in_volts"},
		{"fan", "target", false, "node_hwmon_fan_target_rpm"},
		{"fan", "div", false, "node_hwmon_fan_div"},
		{"pwm", "auto_point1_pwm", true, "node_hwmon_pwm_auto_point1_pwm"},
		{"power", "average_interval_max", false, "node_hwmon_power_average_interval_max_seconds"},
		{"energy", "input", false, "node_hwmon_energy_joule_total"},
	} {
		if got := hwmonReading(x.kind, x.element, x.plain).name; got != x.want {
			t.Errorf("%s_%s is %s, and should be %s", x.kind, x.element, got, x.want)
		}
	}
}

func TestAChipIsNamedByWhatThereIs(t *testing.T) {
	t.Parallel()
	h, _ := bare(t, func(c *Config) { c.Collect = []string{"hwmon"} })
	root := h.sys + "/class/hwmon/"
	write(t, root+"hwmon0/temp1_input", "1000\n")                        // nothing but its directory
	write(t, root+"hwmon1/name", "Acme Sensor!\n")                       // a label
	write(t, h.sys+"/devices/virtual/thermal/zone0/temp1_input", "3000") // an old driver has its files there
	os.MkdirAll(root+"hwmon2", 0o755)
	if err := os.Symlink("../../../devices/virtual/thermal/zone0", root+"hwmon2/device"); err != nil {
		t.Fatal(err)
	}
	write(t, root+"hwmon1/temp1_input", "2000\n")
	values, err := collectOnce(t, h)
	if err != nil {
		t.Fatal(err)
	}
	for series, want := range map[string]float64{
		`node_hwmon_temp_celsius{chip="hwmon0", sensor="temp1"}`:             1,
		`node_hwmon_temp_celsius{chip="acme_sensor", sensor="temp1"}`:        2,
		`node_hwmon_temp_celsius{chip="thermal_zone0", sensor="temp1"}`:      3,
		`node_hwmon_chip_names{chip="acme_sensor", chip_name="acme_sensor"}`: 1,
	} {
		if values[series] != want {
			t.Errorf("%s is %v, and should be %v\n%v", series, values[series], want, values)
		}
	}
}

func FuzzSensorNames(f *testing.F) {
	f.Add("temp", "crit")
	f.Fuzz(func(t *testing.T, kind, element string) {
		if m := hwmonFile.FindStringSubmatch(kind + "1_" + element); m == nil || !strings.HasPrefix(m[0], kind) {
			return
		}
		if x := hwmonReading("temp", element, false); strings.ContainsAny(x.name, " -/\n\"") {
			t.Errorf("the name is %q", x.name)
		}
	})
}
