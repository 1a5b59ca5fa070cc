package main

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// always are collectors that every Linux has something for.
var always = []string{"cpu", "filesystem", "loadavg", "meminfo", "netclass", "netdev", "processes", "stat", "time", "uname", "vmstat"}

func TestThisMachineIsReportedSoundly(t *testing.T) {
	t.Parallel()
	first := plugintest.Open(t, source(open), nil, plugintest.Settings(sdk.SourceSettings{Job: "node", Interval: time.Hour, Timeout: 10 * time.Second, LimitSeries: 100_000})).Cycle()
	value := func(s plugintest.Samples, name string, pairs ...string) float64 {
		t.Helper()
		found := s.Find(name, pairs...)
		if len(found) == 0 {
			t.Errorf("there is no %s %q", name, pairs)
			return math.NaN()
		}
		return found[0].Value
	}
	if value(first, "up") != 1 {
		t.Error("it is not up")
	}
	for _, name := range always {
		if value(first, "node_scrape_collector_success", "collector", name) != 1 {
			t.Errorf("the collector %s fails", name)
		}
	}
	total, available := value(first, "node_memory_MemTotal_bytes"), value(first, "node_memory_MemAvailable_bytes")
	if total < 1<<24 || available <= 0 || available > total {
		t.Errorf("%v of %v bytes of memory are available", available, total)
	}
	if now := float64(time.Now().Unix()); value(first, "node_boot_time_seconds") >= now || math.Abs(value(first, "node_time_seconds")-now) > 60 {
		t.Error("it boots after now, or now is another time")
	}
	for _, fs := range first.Find("node_filesystem_size_bytes", "device_error", "") {
		if free := value(first, "node_filesystem_free_bytes", "mountpoint", fs.Labels.Get("mountpoint")); free > fs.Value {
			t.Errorf("of %v %v bytes are free", fs, free)
		}
	}
	sound(t, first)
}

// sound checks what holds of all samples.
func sound(t *testing.T, samples plugintest.Samples) {
	t.Helper()
	declared := map[string]*sdk.Metric{}
	for _, m := range sdk.Declared() {
		if declared[m.Name] != nil {
			t.Errorf("%s is declared twice", m.Name)
		}
		if m.Help == "" {
			t.Errorf("%s has no help", m.Name)
		}
		declared[m.Name] = m
	}
	seen := map[string]bool{}
	for _, x := range samples {
		key, name := x.Labels.String(), x.Labels.Get(sdk.NameLabel)
		if seen[key] {
			t.Errorf("%s is there twice", key)
		}
		seen[key] = true
		if math.IsNaN(x.Value) || math.IsInf(x.Value, 0) {
			t.Errorf("%s is %v", key, x.Value)
		}
		if x.Labels.Get("job") != "node" || x.Labels.Get("instance") == "" {
			t.Errorf("%s is not of a node", key)
		}
		if name == "up" || strings.HasPrefix(name, "scrape_") {
			continue
		}
		m := declared[name]
		if m == nil {
			if !strings.HasPrefix(name, "node_hwmon_") { // drivers may have attributes of their own
				t.Errorf("%s is not declared", name)
			}
			continue
		}
		for _, l := range x.Labels {
			if l.Name != sdk.NameLabel && l.Name != "job" && l.Name != "instance" && !slices.Contains(m.LabelNames, l.Name) {
				t.Errorf("%s has the label %s", key, l.Name)
			}
		}
	}
}

func TestCPUTimePassesAndNoCounterFalls(t *testing.T) {
	t.Parallel()
	h, err := openOn(realSystem(), defaults(), &testHost{})
	if err != nil {
		t.Fatal(err)
	}
	counters := map[string]bool{}
	for _, m := range sdk.Declared() {
		counters[m.Name] = m.Type == sdk.CounterType
	}
	s := newSeries()
	sum := func() (total float64) {
		for series, v := range s.values {
			if strings.HasPrefix(series, "node_cpu_seconds_total{") {
				total += v
			}
		}
		return total
	}
	s.collect(t, h)
	began := sum()
	for deadline := time.Now().Add(2 * time.Minute); sum() <= began; {
		before := s.values
		s.collect(t, h)
		for series, v := range s.values {
			name, _, _ := strings.Cut(series, "{")
			if counters[name] && v < before[series] {
				t.Errorf("%s falls from %v to %v", series, before[series], v)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("CPU time stands still at %v s", began)
		}
	}
	if began <= 0 {
		t.Errorf("%v s of CPU time have passed since the start", began)
	}
}

func TestTheOrderOfSamplesIsTheSameInEachCollect(t *testing.T) {
	t.Parallel()
	dir, sys := machine(t)
	cfg := defaults()
	cfg.Collect = []string{"default", "threads"}
	cfg.ProcPath, cfg.SysPath, cfg.RootPath = dir+"/proc", dir+"/sys", dir+"/root"
	h, err := openOn(sys, cfg, &testHost{})
	if err != nil {
		t.Fatal(err)
	}
	s := newSeries()
	var first []string
	for range slowEvery + 2 {
		if err := s.collect(t, h); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = s.order
		} else if !slices.Equal(first, s.order) {
			t.Fatalf("an order that changes costs the stream a new layout: it was %q and is %q", first, s.order)
		}
	}
}

// TestWhatNodeMixinAndDashboardsAskForIsThere lists the metrics that the rules of node-mixin and the dashboard "Node
// Exporter Full" ask for, but for those of collectors that node_exporter does not run by default.
func TestWhatNodeMixinAndDashboardsAskForIsThere(t *testing.T) {
	t.Parallel()
	declared := map[string]bool{}
	for _, m := range sdk.Declared() {
		declared[m.Name] = true
	}
	for _, name := range strings.Fields(`
		node_bonding_active node_bonding_slaves node_cpu_seconds_total node_disk_io_time_seconds_total
		node_disk_io_time_weighted_seconds_total node_filefd_allocated node_filefd_maximum node_filesystem_avail_bytes node_filesystem_files
		node_filesystem_files_free node_filesystem_readonly node_filesystem_size_bytes node_load1 node_md_disks node_md_disks_required
		node_memory_Buffers_bytes node_memory_Cached_bytes node_memory_MemAvailable_bytes node_memory_MemFree_bytes
		node_memory_MemTotal_bytes node_memory_Slab_bytes node_network_receive_bytes_total node_network_receive_drop_total
		node_network_receive_errs_total node_network_receive_packets_total node_network_transmit_bytes_total
		node_network_transmit_drop_total node_network_transmit_errs_total node_network_transmit_packets_total node_nf_conntrack_entries
		node_nf_conntrack_entries_limit node_textfile_scrape_error node_timex_maxerror_seconds node_timex_offset_seconds
		node_timex_sync_status node_vmstat_pgmajfault

		node_arp_entries node_boot_time_seconds node_context_switches_total node_cooling_device_cur_state
		node_cpu_core_throttles_total node_cpu_guest_seconds_total node_cpu_scaling_frequency_hertz node_disk_info node_disk_io_now
		node_disk_discards_completed_total node_disk_read_bytes_total node_disk_read_time_seconds_total node_disk_reads_merged_total
		node_entropy_available_bits node_filesystem_device_error node_filesystem_free_bytes node_forks_total node_hwmon_chip_names
		node_hwmon_fan_rpm node_hwmon_sensor_label node_hwmon_temp_celsius node_hwmon_temp_crit_alarm_celsius
		node_hwmon_temp_crit_celsius node_hwmon_temp_crit_hyst_celsius node_hwmon_temp_max_celsius node_intr_total node_load15 node_load5
		node_memory_AnonHugePages_bytes node_memory_CommitLimit_bytes node_memory_Committed_AS_bytes node_memory_DirectMap1G_bytes
		node_memory_HardwareCorrupted_bytes node_memory_HugePages_Total node_memory_Inactive_anon_bytes node_memory_SReclaimable_bytes
		node_memory_SwapFree_bytes node_memory_VmallocUsed_bytes node_memory_Writeback_bytes node_netstat_Icmp_InErrors
		node_netstat_IpExt_InOctets node_netstat_Ip_Forwarding node_netstat_TcpExt_ListenOverflows node_netstat_TcpExt_SyncookiesSent
		node_netstat_TcpExt_TCPSynRetrans node_netstat_Tcp_CurrEstab node_netstat_Tcp_RetransSegs node_netstat_Udp_InDatagrams
		node_network_carrier node_network_info node_network_mtu_bytes node_network_receive_multicast_total
		node_network_receive_nohandler_total node_network_speed_bytes node_network_transmit_queue_length node_network_up node_os_info
		node_power_supply_online node_pressure_cpu_waiting_seconds_total node_pressure_io_stalled_seconds_total
		node_pressure_irq_stalled_seconds_total node_pressure_memory_stalled_seconds_total node_processes_max_processes
		node_processes_max_threads node_processes_pids node_processes_state node_processes_threads node_procs_blocked node_procs_running
		node_schedstat_running_seconds_total node_schedstat_timeslices_total node_schedstat_waiting_seconds_total
		node_scrape_collector_duration_seconds node_scrape_collector_success node_sockstat_FRAG_memory node_sockstat_TCP_mem_bytes
		node_sockstat_TCP_tw node_sockstat_sockets_used node_softnet_backlog_len node_softnet_dropped_total
		node_softnet_flow_limit_count_total node_softnet_processed_total node_softnet_times_squeezed_total node_time_seconds
		node_time_zone_offset_seconds node_timex_estimated_error_seconds node_timex_frequency_adjustment_ratio
		node_timex_loop_time_constant node_timex_tai_offset_seconds node_timex_tick_seconds node_uname_info node_vmstat_oom_kill
		node_vmstat_pgpgin node_vmstat_pswpout`) {
		if !declared[name] {
			t.Errorf("there is no %s", name)
		}
	}
}
