package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

var (
	hwmonChip     = sdk.Gauge("node_hwmon_chip_names", "Annotation metric for human-readable chip names", "chip", "chip_name")
	hwmonLabel    = sdk.Gauge("node_hwmon_sensor_label", "Label for given chip and sensor", "chip", "sensor", "label")
	hwmonBeep     = sdk.Gauge("node_hwmon_beep_enabled", "Hardware beep enabled", "chip", "sensor")
	hwmonVRM      = sdk.Gauge("node_hwmon_voltage_regulator_version", "Hardware voltage regulator", "chip", "sensor")
	hwmonInterval = sdk.Gauge("node_hwmon_update_interval_seconds", "Hardware monitor update interval", "chip", "sensor")
)

// hwmonDeclared are the metrics of the attributes that Documentation/hwmon/sysfs-interface.rst lists, by name. Those of an
// attribute that only a driver knows are made when it is found.
var hwmonDeclared = declareHwmon(map[string]string{
	"in":        "input min max lcrit crit average lowest highest alarm min_alarm max_alarm lcrit_alarm crit_alarm beep fault",
	"fan":       "input min max target div pulses alarm min_alarm max_alarm beep fault",
	"pwm":       " enable mode freq",
	"temp":      "input min max max_hyst min_hyst crit crit_hyst emergency emergency_hyst lcrit lcrit_hyst lowest highest offset type alarm min_alarm max_alarm crit_alarm emergency_alarm lcrit_alarm beep fault",
	"curr":      "input min max lcrit crit average lowest highest alarm min_alarm max_alarm crit_alarm lcrit_alarm beep",
	"power":     "input average average_interval average_interval_min average_interval_max average_min average_max average_highest average_lowest input_highest input_lowest accuracy cap cap_max cap_min max crit alarm cap_alarm max_alarm crit_alarm",
	"energy":    "input",
	"humidity":  "input min max",
	"freq":      "input",
	"intrusion": "alarm beep",
})

func declareHwmon(attributes map[string]string) map[string]*sdk.Metric {
	declared := map[string]*sdk.Metric{}
	for kind, elements := range attributes {
		for _, element := range strings.Split(elements, " ") {
			x := hwmonReading(kind, element, false)
			declare := sdk.Gauge
			if x.counter {
				declare = sdk.Counter
			}
			declared[x.name] = declare(x.name, x.help, "chip", "sensor")
		}
	}
	return declared
}

// reading is how an attribute of a sensor becomes a sample.
type reading struct {
	name, help string
	counter    bool
	scale, per float64
}

// hwmonReading gives node_exporter's name for an attribute such as temp1_crit (kind temp, element crit), its help and its
// unit. plain: the sensor also has a file without an element, such as temp1.
func hwmonReading(kind, element string, plain bool) reading {
	name := "node_hwmon_" + kind
	switch {
	case element == "input" && plain:
		name += "_input"
	case element != "input" && element != "":
		name += "_" + hwmonName(element)
	}
	as := func(suffix, help string, scale, per float64) reading {
		return reading{name + suffix, help, false, scale, per}
	}
	interval := []string{"average_interval", "average_interval_min", "average_interval_max"}
	switch {
	case element == "fault" || element == "alarm":
		return as("", "Hardware sensor "+element+" status ("+kind+")", 1, 0)
	case element == "beep":
		return as("_enabled", "Hardware monitor sensor has beeping enabled", 1, 0)
	case kind == "in" || kind == "cpu":
		return as("_volts", "Hardware monitor for voltage ("+element+")", 0.001, 0)
	case kind == "temp" && element != "type":
		if element == "" {
			element = "input"
		}
		return as("_celsius", "Hardware monitor for temperature ("+element+")", 0.001, 0)
	case kind == "curr":
		return as("_amps", "Hardware monitor for current ("+element+")", 0.001, 0)
	case kind == "energy":
		return reading{name + "_joule_total", "Hardware monitor for joules used so far (" + element + ")", true, 1, 1e6}
	case kind == "power" && element == "accuracy":
		return as("", "Hardware monitor power meter accuracy, as a ratio", 1, 1e6)
	case kind == "power" && slices.Contains(interval, element):
		return as("_seconds", "Hardware monitor power usage update interval ("+element+")", 0.001, 0)
	case kind == "power":
		return as("_watt", "Hardware monitor for power usage in watts ("+element+")", 1, 1e6)
	case kind == "humidity":
		return as("", "Hardware monitor for humidity, as a ratio (multiply with 100.0 to get the humidity as a percentage) ("+element+")", 1, 1e6)
	case kind == "fan" && slices.Contains([]string{"input", "min", "max", "target"}, element):
		return as("_rpm", "Hardware monitor for fan revolutions per minute ("+element+")", 1, 0)
	case kind == "freq" && element == "input":
		return as("_freq_mhz", "Hardware monitor for GPU frequency in MHz", 1, 1e6)
	}
	return as("", "Hardware monitor "+kind+" element "+element, 1, 0)
}

// hwmons is the collector hwmon. What the files are is found out rarely; their numbers are read in each collect.
func (h *host) hwmons(_ context.Context, out *sdk.Batch) error {
	return h.sense(out, &h.hwmon, "", h.findHwmon)
}

// chip is a device with sensors.
type chip struct {
	dir, name, label string
}

func (h *host) findHwmon() (found []sensor, err error) {
	root := h.sys + "/class/hwmon"
	dirs, err := entries(root, "")
	if err != nil {
		return nil, err
	}
	var chips []chip
	names, labels := map[string]int{}, map[string]int{}
	for _, dir := range dirs {
		c := chip{dir: root + "/" + dir}
		c.label, _ = h.word(c.dir + "/name")
		if c.name = chipName(c.dir, c.label); c.name == "" {
			continue
		}
		chips = append(chips, c)
		names[c.name]++
		labels[c.name+"\x00"+c.label]++
	}
	for _, c := range chips {
		if names[c.name] > 1 { // two of one device
			suffix := hwmonName(c.label)
			if suffix == "" || labels[c.name+"\x00"+c.label] > 1 {
				suffix = hwmonName(filepath.Base(c.dir))
			}
			c.name += "_" + suffix
		}
		found = h.findSensors(found, c)
	}
	return found, nil
}

// chipName is made of the path of the device, which is the same after a restart; else of the chip's label or directory.
func chipName(dir, label string) string {
	if device, err := filepath.EvalSymlinks(dir + "/device"); err == nil {
		bus, name := hwmonName(filepath.Base(filepath.Dir(device))), hwmonName(filepath.Base(device))
		if bus != "" && name != "" {
			return bus + "_" + name
		}
		if name != "" {
			return name
		}
	}
	if name := hwmonName(label); name != "" {
		return name
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return ""
	}
	return hwmonName(filepath.Base(real))
}

var hwmonInvalid = regexp.MustCompile("[^a-z0-9:_]")

// hwmonName makes a part of a metric's name.
func hwmonName(s string) string {
	return strings.Trim(hwmonInvalid.ReplaceAllLiteralString(strings.ToLower(s), "_"), "_")
}

var hwmonFile = regexp.MustCompile(`^([^0-9]+)([0-9]*)(?:_(.+))?$`)

var hwmonKinds = []string{"vrm", "beep_enable", "update_interval", "in", "cpu", "fan", "pwm", "temp", "curr", "power", "energy",
	"humidity", "intrusion", "freq"}

// hwmonSensor is a sensor with the files of its attributes.
type hwmonSensor struct {
	name, kind string
	elements   []string // in order
	files      map[string]string
}

// listHwmon groups a chip's files by sensor; older drivers have them in the directory of the device.
func listHwmon(dir string) (list []*hwmonSensor) {
	byName := map[string]*hwmonSensor{}
	for _, d := range []string{dir, dir + "/device"} {
		files, err := os.ReadDir(d)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		for _, f := range files {
			m := hwmonFile.FindStringSubmatch(f.Name())
			if m == nil || !slices.Contains(hwmonKinds, m[1]) {
				continue
			}
			n, _ := strconv.Atoi(m[2])
			name := m[1] + strconv.Itoa(n)
			s := byName[name]
			if s == nil {
				s = &hwmonSensor{name: name, kind: m[1], files: map[string]string{}}
				byName[name] = s
				list = append(list, s)
			}
			if s.files[m[3]] == "" {
				s.elements = append(s.elements, m[3])
			}
			s.files[m[3]] = d + "/" + f.Name()
		}
	}
	return list
}

func (h *host) findSensors(found []sensor, c chip) []sensor {
	if chipLabel := hwmonName(c.label); chipLabel != "" {
		found = append(found, sensor{metric: hwmonChip, scale: 1, labels: []string{c.name, chipLabel}})
	}
	for _, s := range listHwmon(c.dir) {
		labels := []string{c.name, s.name}
		name, err := h.word(s.files["label"])
		if err == nil {
			found = append(found, sensor{metric: hwmonLabel, scale: 1, labels: append(labels[:2:2], name)})
		}
		switch s.kind {
		case "beep_enable":
			found = h.present(found, sensor{path: s.files[""], metric: hwmonBeep, scale: 1, labels: labels})
			continue
		case "vrm":
			found = h.present(found, sensor{path: s.files[""], metric: hwmonVRM, scale: 1, labels: labels})
			continue
		case "update_interval":
			found = h.present(found, sensor{path: s.files[""], metric: hwmonInterval, scale: 0.001, labels: labels})
			continue
		}
		for _, element := range s.elements {
			l := labels
			if s.kind == "freq" && element == "input" {
				if err != nil {
					continue // node_exporter has it only with its label, in the sensor's place
				}
				l = []string{c.name, hwmonName(name)}
			}
			if element != "label" {
				found = h.present(found, s.sensor(element, l))
			}
		}
	}
	return found
}

func (s *hwmonSensor) sensor(element string, labels []string) sensor {
	_, plain := s.files[""]
	x := hwmonReading(s.kind, element, plain)
	metric := hwmonDeclared[x.name]
	if metric == nil {
		metric = &sdk.Metric{Family: sdk.Family{Name: x.name, Type: sdk.GaugeType, Help: x.help}, LabelNames: []string{"chip", "sensor"}}
	}
	return sensor{path: s.files[element], metric: metric, scale: x.scale, per: x.per, labels: labels}
}
