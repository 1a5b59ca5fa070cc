package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// nodeExporter is the binary to compare with: Debian's, or the one that the environment names.
func nodeExporter(t *testing.T) string {
	if binary := os.Getenv("NODE_EXPORTER"); binary != "" {
		return binary
	}
	return plugintest.Program(t, "prometheus-node-exporter")
}

// exporterFamilies runs node_exporter and returns its page.
func exporterFamilies(t *testing.T, arguments ...string) map[string]*dto.MetricFamily {
	address := plugintest.FreeAddress(t)
	def := defaults()
	cmd := exec.CommandContext(t.Context(), nodeExporter(t), append(arguments, "--web.listen-address="+address, "--collector.processes",
		"--collector.netdev.device-exclude=", "--collector.filesystem.mount-points-exclude="+def.MountPointsExclude,
		"--collector.filesystem.fs-types-exclude="+def.FSTypesExclude, "--collector.diskstats.device-exclude="+def.DiskDevicesExclude)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { cmd.Process.Kill(); <-ended })
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		response, err := http.Get("http://" + address + "/metrics")
		if err == nil {
			page, _ := io.ReadAll(response.Body)
			response.Body.Close()
			parser := expfmt.NewTextParser(model.UTF8Validation)
			families, err := parser.TextToMetricFamilies(bytes.NewReader(page))
			if err != nil {
				t.Fatal(err)
			}
			return families
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("node_exporter ended: %v\n%s", err, said.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("node_exporter does not answer: %v", err)
		}
	}
}

// theirsOnly are what is node_exporter's own, and a metric of macOS that 1.9 and later show as 0 on Linux.
var theirsOnly = []string{"node_exporter_build_info", "node_filesystem_purgeable_bytes"}

// moves says that a value may differ between two readings of it a moment apart, by the part of its name.
func moves(name string) bool {
	for _, part := range []string{"_total", "node_vmstat", "node_netstat", "node_sockstat", "node_memory", "node_time_seconds", "node_load",
		"node_procs", "node_processes", "node_timex", "_avail", "_free", "node_filefd", "collector_duration", "node_softnet", "node_disk_io_now",
		"node_arp", "node_entropy", "node_udp", "_frequency", "_temp", "_state", "node_nf_conntrack"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// TestMetricsAreThoseOfNodeExporter compares every series of a node_exporter that runs beside us: name, labels, type, help
// and, where it stands still, value.
func TestMetricsAreThoseOfNodeExporter(t *testing.T) {
	t.Parallel()
	theirs := exporterFamilies(t)
	ours := plugintest.Open(t, source(open), nil).Cycle()
	if n := compareWithExporter(t, ours, theirs, nil); n < 200 {
		t.Errorf("only %d series were compared", n)
	}
}

// TestTheMachineLooksTheSameToNodeExporter compares what this machine may lack: RAID, sensors, bonds, batteries. Earlier
// versions than the one that we follow refuse the machine.
func TestTheMachineLooksTheSameToNodeExporter(t *testing.T) {
	t.Parallel()
	help, _ := exec.CommandContext(t.Context(), nodeExporter(t), "--help").CombinedOutput()
	if !bytes.Contains(help, []byte("collector.dmmultipath")) {
		t.Skip("NOT COMPARED: this needs node_exporter 1.12 or later (name a binary in NODE_EXPORTER)")
	}
	dir, sys := machine(t)
	theirs := exporterFamilies(t, "--path.procfs="+dir+"/proc", "--path.sysfs="+dir+"/sys", "--path.rootfs="+dir+"/root",
		"--path.udev.data="+dir+"/root/run/udev/data", "--collector.textfile.directory="+dir+"/root/var/textfile", "--no-collector.selinux")
	ours := plugintest.Open(t, onMachine(sys), machineConfig(dir)).Cycle()
	elsewhere := regexp.MustCompile(`node_(filesystem_|uname|timex_|time_|arp_|network_(receive|transmit)_.*_total)`) // by system calls
	if n := compareWithExporter(t, ours, theirs, elsewhere); n < 300 {
		t.Errorf("only %d series were compared", n)
	}
}

// compareWithExporter finds each of their series among ours.
func compareWithExporter(t *testing.T, ours plugintest.Samples, theirs map[string]*dto.MetricFamily, except *regexp.Regexp) (compared int) {
	for name, family := range theirs {
		if !strings.HasPrefix(name, "node_") || slices.Contains(theirsOnly, name) || matches(except, name) {
			continue
		}
		for _, m := range family.Metric {
			if compareSeries(t, ours, family, m) {
				compared++
			}
		}
	}
	t.Logf("%d series of theirs are among our %d", compared, len(ours))
	return compared
}

func compareSeries(t *testing.T, ours plugintest.Samples, family *dto.MetricFamily, m *dto.Metric) bool {
	name := family.GetName()
	var pairs []string
	for _, l := range m.Label {
		if l.GetName() == "collector" && find(l.GetValue()) == nil {
			return false // one that we do not have
		}
		if l.GetName() == "state" && name == "node_processes_state" || l.GetName() == "thread_state" {
			return false
		}
		pairs = append(pairs, l.GetName(), l.GetValue())
	}
	value, kind := m.GetGauge().GetValue(), sdk.GaugeType
	switch family.GetType() {
	case dto.MetricType_COUNTER:
		value, kind = m.GetCounter().GetValue(), sdk.CounterType
	case dto.MetricType_UNTYPED:
		value, kind = m.GetUntyped().GetValue(), sdk.Unknown
	}
	found := ours.Find(name, pairs...)
	if len(found) != 1 {
		t.Errorf("%s %q: we have %d of it\n%v", name, pairs, len(found), ours.Find(name))
		return false
	}
	x := found[0]
	if x.Family.Type != kind || x.Family.Help != family.GetHelp() {
		t.Errorf("%s is\n%v %q, and should be\n%v %q", name, x.Family.Type, x.Family.Help, kind, family.GetHelp())
	}
	same := x.Value == value
	if moves(name) { // from one reading to the next; but it must be of one unit and sign
		slack := 30.0
		if strings.Contains(name, "_bytes") || strings.HasSuffix(name, "_mem") { // the latter in pages: of sockets' buffers
			slack = 1e9
		}
		same = math.Abs(x.Value-value) <= 0.5*math.Max(math.Abs(x.Value), math.Abs(value))+slack
		if strings.Contains(name, "_seconds") && kind == sdk.GaugeType {
			same = math.Abs(x.Value-value) < 60
		}
	}
	if !same {
		t.Errorf("%s %q is %s, and %s for node_exporter", name, pairs, fmt.Sprint(x.Value), fmt.Sprint(value))
	}
	return true
}
