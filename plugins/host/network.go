package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

var (
	arpEntries = sdk.Gauge("node_arp_entries", "ARP entries by device", "device")

	bondingSlaves = sdk.Gauge("node_bonding_slaves", "Number of configured slaves per bonding interface.", "master")
	bondingActive = sdk.Gauge("node_bonding_active", "Number of active slaves per bonding interface.", "master")

	conntrackEntries = sdk.Gauge("node_nf_conntrack_entries", "Number of currently allocated flow entries for connection tracking.")
	conntrackLimit   = sdk.Gauge("node_nf_conntrack_entries_limit", "Maximum size of connection tracking table.")
	// conntrackStats are columns of /proc/net/stat/nf_conntrack.
	conntrackStats = []struct {
		column int
		metric *sdk.Metric
	}{
		{2, sdk.Gauge("node_nf_conntrack_stat_found", "Number of searched entries which were successful.")},
		{4, sdk.Gauge("node_nf_conntrack_stat_invalid", "Number of packets seen which can not be tracked.")},
		{5, sdk.Gauge("node_nf_conntrack_stat_ignore", "Number of packets seen which are already connected to a conntrack entry.")},
		{8, sdk.Gauge("node_nf_conntrack_stat_insert", "Number of entries inserted into the list.")},
		{9, sdk.Gauge("node_nf_conntrack_stat_insert_failed", "Number of entries for which list insertion was attempted but failed.")},
		{10, sdk.Gauge("node_nf_conntrack_stat_drop", "Number of packets dropped due to conntrack failure.")},
		{11, sdk.Gauge("node_nf_conntrack_stat_early_drop", "Number of dropped conntrack entries to make room for new ones, if maximum table size was reached.")},
		{16, sdk.Gauge("node_nf_conntrack_stat_search_restart", "Number of conntrack table lookups which had to be restarted due to hashtable resizes.")},
	}

	// softnetStats are columns of /proc/net/softnet_stat; a kernel may lack the later ones, which are 0 then.
	softnetStats = []struct {
		column int
		metric *sdk.Metric
	}{
		{0, sdk.Counter("node_softnet_processed_total", "Number of processed packets", "cpu")},
		{1, sdk.Counter("node_softnet_dropped_total", "Number of dropped packets", "cpu")},
		{2, sdk.Counter("node_softnet_times_squeezed_total", "Number of times processing packets ran out of quota", "cpu")},
		{8, sdk.Counter("node_softnet_cpu_collision_total", "Number of collision occur while obtaining device lock while transmitting", "cpu")},
		{9, sdk.Counter("node_softnet_received_rps_total", "Number of times cpu woken up received_rps", "cpu")},
		{10, sdk.Counter("node_softnet_flow_limit_count_total", "Number of times flow limit has been reached", "cpu")},
		{11, sdk.Gauge("node_softnet_backlog_len", "Softnet backlog status", "cpu")},
	}
)

// arp is the collector of that name: the neighbours in /proc/net/arp, by the device in the last column.
func (h *host) arp(_ context.Context, out *sdk.Batch) error {
	page, err := h.read(h.proc + "/net/arp")
	if err != nil {
		return err
	}
	entries := parseARP(page)
	for _, device := range slices.Sorted(maps.Keys(entries)) {
		if !h.links.leftOut(device) {
			out.Set(arpEntries, float64(entries[device]), device)
		}
	}
	return nil
}

func parseARP(page []byte) map[string]int {
	entries := map[string]int{}
	_, page, _ = bytes.Cut(page, []byte("\n"))
	for line := range bytes.Lines(page) {
		device := bytes.TrimSpace(line)
		device = device[bytes.LastIndexByte(device, ' ')+1:]
		if n, known := entries[string(device)]; known || len(entries) < maxNames {
			entries[label(device)] = n + 1
		}
	}
	return entries
}

// bonding is the collector of that name: a bond, its slaves, and how many of them have a link.
func (h *host) bonding(_ context.Context, out *sdk.Batch) error {
	net := h.sys + "/class/net/"
	masters, err := h.word(net + "bonding_masters")
	if err != nil {
		return err
	}
	for _, master := range strings.Fields(masters) {
		slaves, err := h.word(net + master + "/bonding/slaves")
		if err != nil {
			return err
		}
		all, active := 0, 0
		for _, slave := range strings.Fields(slaves) {
			status, err := h.word(net + master + "/lower_" + slave + "/bonding_slave/mii_status")
			if errors.Is(err, fs.ErrNotExist) { // before Linux 3.13
				status, err = h.word(net + master + "/slave_" + slave + "/bonding_slave/mii_status")
			}
			if err != nil {
				return err
			}
			if all++; status == "up" {
				active++
			}
		}
		out.Set(bondingSlaves, float64(all), master)
		out.Set(bondingActive, float64(active), master)
	}
	return nil
}

// conntrack is the collector of that name.
func (h *host) conntrack(_ context.Context, out *sdk.Batch) error {
	entries, err := h.number(h.proc + "/sys/net/netfilter/nf_conntrack_count")
	if err != nil {
		return err
	}
	limit, err := h.number(h.proc + "/sys/net/netfilter/nf_conntrack_max")
	if err != nil {
		return err
	}
	out.Set(conntrackEntries, entries)
	out.Set(conntrackLimit, limit)
	page, err := h.read(h.proc + "/net/stat/nf_conntrack")
	if err != nil {
		return err
	}
	sums, err := parseConntrack(page)
	if err != nil {
		return err
	}
	for _, s := range conntrackStats {
		out.Set(s.metric, float64(sums[s.column]))
	}
	return nil
}

// parseConntrack adds up a header's columns over the lines, one a CPU, of hexadecimal numbers.
func parseConntrack(page []byte) (sums [17]uint64, err error) {
	_, page, _ = bytes.Cut(page, []byte("\n"))
	for line := range bytes.Lines(page) {
		var v [17]uint64
		if columns(v[:], line, 16) < 16 { // the last one came with Linux 2.6.35
			return sums, errors.New("nf_conntrack: a line has fewer than 16 numbers")
		}
		for i := range v {
			sums[i] += v[i]
		}
	}
	return sums, nil
}

// softnet is the collector of that name.
func (h *host) softnet(_ context.Context, out *sdk.Batch) error {
	page, err := h.read(h.proc + "/net/softnet_stat")
	if err != nil {
		return err
	}
	return parseSoftnet(page, func(cpu string, v *[13]uint64) {
		for _, s := range softnetStats {
			out.Set(s.metric, float64(v[s.column]), cpu)
		}
	})
}

// parseSoftnet reads lines of hexadecimal numbers, one a CPU that is online; the thirteenth, since Linux 5.14, is the
// CPU's own.
func parseSoftnet(page []byte, found func(cpu string, v *[13]uint64)) error {
	n := 0
	for line := range bytes.Lines(page) {
		var v [13]uint64
		switch got := columns(v[:], line, 16); {
		case got < 9:
			return errors.New("softnet_stat: a line has fewer than 9 numbers")
		case got < 13:
			v[11], v[12] = 0, uint64(n)
		}
		found(strconv.FormatUint(v[12], 10), &v)
		n++
	}
	return nil
}
