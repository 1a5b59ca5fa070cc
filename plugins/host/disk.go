package main

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

// diskColumns are the columns of /proc/diskstats behind the name (Documentation/admin-guide/iostats.rst): times are in
// milliseconds, sizes in sectors of 512 bytes whatever the disk's own.
var diskColumns = [...]struct {
	metric *sdk.Metric
	scale  float64
}{
	{sdk.Counter("node_disk_reads_completed_total", "The total number of reads completed successfully.", "device"), 1},
	{sdk.Counter("node_disk_reads_merged_total", "The total number of reads merged.", "device"), 1},
	{sdk.Counter("node_disk_read_bytes_total", "The total number of bytes read successfully.", "device"), 512},
	{sdk.Counter("node_disk_read_time_seconds_total", "The total number of seconds spent by all reads.", "device"), 0.001},
	{sdk.Counter("node_disk_writes_completed_total", "The total number of writes completed successfully.", "device"), 1},
	{sdk.Counter("node_disk_writes_merged_total", "The number of writes merged.", "device"), 1},
	{sdk.Counter("node_disk_written_bytes_total", "The total number of bytes written successfully.", "device"), 512},
	{sdk.Counter("node_disk_write_time_seconds_total", "This is the total number of seconds spent by all writes.", "device"), 0.001},
	{sdk.Gauge("node_disk_io_now", "The number of I/Os currently in progress.", "device"), 1},
	{sdk.Counter("node_disk_io_time_seconds_total", "Total seconds spent doing I/Os.", "device"), 0.001},
	{sdk.Counter("node_disk_io_time_weighted_seconds_total", "The weighted # of seconds spent doing I/Os.", "device"), 0.001},
	{sdk.Counter("node_disk_discards_completed_total", "The total number of discards completed successfully.", "device"), 1}, // Linux 4.18
	{sdk.Counter("node_disk_discards_merged_total", "The total number of discards merged.", "device"), 1},
	{sdk.Counter("node_disk_discarded_sectors_total", "The total number of sectors discarded successfully.", "device"), 1},
	{sdk.Counter("node_disk_discard_time_seconds_total", "This is the total number of seconds spent by all discards.", "device"), 0.001},
	{sdk.Counter("node_disk_flush_requests_total", "The total number of flush requests completed successfully", "device"), 1}, // Linux 5.5
	{sdk.Counter("node_disk_flush_requests_time_seconds_total", "This is the total number of seconds spent by all flush requests.", "device"), 0.001},
}

var (
	diskInfo = sdk.Gauge("node_disk_info", "Info of /sys/block/<block_device>.",
		"device", "major", "minor", "path", "wwn", "model", "serial", "revision", "rotational")
	diskFilesystem = sdk.Gauge("node_disk_filesystem_info", "Info about disk filesystem.", "device", "type", "usage", "uuid", "version")
	diskMapper     = sdk.Gauge("node_disk_device_mapper_info", "Info about disk device mapper.", "device", "name", "uuid", "vg_name", "lv_name", "lv_layer")
	diskATA        = []struct {
		property string
		metric   *sdk.Metric
	}{
		{"ID_ATA_WRITE_CACHE", sdk.Gauge("node_disk_ata_write_cache", "ATA disk has a write cache.", "device")},
		{"ID_ATA_WRITE_CACHE_ENABLED", sdk.Gauge("node_disk_ata_write_cache_enabled", "ATA disk has its write cache enabled.", "device")},
		{"ID_ATA_ROTATION_RATE_RPM", sdk.Gauge("node_disk_ata_rotation_rate_rpm", "ATA disk rotation rate in RPMs (0 for SSDs).", "device")},
	}
)

// maxNames bounds what is kept by the names of devices: a machine that has had more since it was forgotten last starts
// anew.
const maxNames = 10_000

// diskFilter is which disks to watch, and what is known of them.
type diskFilter struct {
	exclude *regexp.Regexp
	known   map[string]*disk // by the number and name that begin its line; nil: left out
}

// disk is what rarely changes of a disk.
type disk struct {
	name         string
	major, minor string
	read         uint64 // cycle
	rotational   string
	udev         map[string]string
}

func newDiskFilter(cfg *Config) diskFilter {
	return diskFilter{exclude: pattern(cfg.DiskDevicesExclude), known: map[string]*disk{}}
}

// pattern compiles what Validate has found good; nil for the empty one, which matches nothing.
func pattern(expr string) *regexp.Regexp {
	if expr == "" {
		return nil
	}
	return regexp.MustCompile(expr)
}

func matches(r *regexp.Regexp, s string) bool { return r != nil && r.MatchString(s) }

// diskstats is the collector of that name.
func (h *host) diskstats(_ context.Context, out *sdk.Batch) error {
	page, err := h.read(h.proc + "/diskstats")
	if err != nil {
		return err
	}
	if len(h.disks.known) > maxNames {
		clear(h.disks.known)
	}
	var due []*disk
	for line := range bytes.Lines(page) {
		rest := skip(line, 3)
		d, err := h.disks.of(line[:len(line)-len(rest)])
		if err != nil {
			return err
		}
		if d == nil {
			continue
		}
		var values [len(diskColumns)]uint64
		for i, v := range values[:columns(values[:], rest, 10)] {
			out.Set(diskColumns[i].metric, float64(v)*diskColumns[i].scale, d.name)
		}
		due = append(due, d)
	}
	for _, d := range due { // the page is not needed any more: its buffer may be used
		h.describeDisk(out, d)
	}
	return nil
}

// of finds the disk that "major minor name" begins a line of, nil if it is to be left out.
func (f *diskFilter) of(head []byte) (*disk, error) {
	d, known := f.known[string(head)]
	if known {
		return d, nil
	}
	words := strings.Fields(label(head))
	if len(words) != 3 {
		return nil, errors.New("diskstats: a line does not begin with two numbers and a name")
	}
	if !matches(f.exclude, words[2]) {
		d = &disk{major: words[0], minor: words[1], name: words[2]}
	}
	f.known[string(head)] = d
	return d, nil
}

// describeDisk sets what udev and sysfs say of a disk.
func (h *host) describeDisk(out *sdk.Batch, d *disk) {
	if d.udev == nil || h.cycle-d.read >= slowEvery {
		d.read = h.cycle
		d.rotational = "0" // also where it is not known
		if v, err := h.word(h.sys + "/block/" + d.name + "/queue/rotational"); err == nil && v == "1" {
			d.rotational = v
		}
		page, _ := h.read(h.root + "/run/udev/data/b" + d.major + ":" + d.minor)
		d.udev = parseUdev(page)
	}
	u := d.udev
	serial := u["SCSI_IDENT_SERIAL"]
	for _, other := range []string{"ID_SERIAL_SHORT", "ID_SERIAL"} {
		if serial == "" {
			serial = u[other]
		}
	}
	out.Set(diskInfo, 1, d.name, d.major, d.minor, u["ID_PATH"], u["ID_WWN"], u["ID_MODEL"], serial, u["ID_REVISION"], d.rotational)
	if kind := u["ID_FS_TYPE"]; kind != "" {
		out.Set(diskFilesystem, 1, d.name, kind, u["ID_FS_USAGE"], u["ID_FS_UUID"], u["ID_FS_VERSION"])
	}
	if name := u["DM_NAME"]; name != "" {
		out.Set(diskMapper, 1, d.name, name, u["DM_UUID"], u["DM_VG_NAME"], u["DM_LV_NAME"], u["DM_LV_LAYER"])
	}
	if u["ID_ATA"] == "" {
		return
	}
	for _, a := range diskATA {
		if v, err := strconv.ParseFloat(u[a.property], 64); err == nil {
			out.Set(a.metric, v, d.name)
		}
	}
}

// parseUdev reads the properties in udev's database: lines "E:NAME=value". Never nil.
func parseUdev(page []byte) map[string]string {
	properties := map[string]string{}
	for line := range bytes.Lines(page) {
		property, ok := bytes.CutPrefix(bytes.TrimSuffix(line, []byte("\n")), []byte("E:"))
		name, value, isPair := bytes.Cut(property, []byte("="))
		if ok && isPair {
			properties[string(name)] = label(value)
		}
	}
	return properties
}
