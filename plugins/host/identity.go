package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

var (
	unameInfo = sdk.Gauge("node_uname_info", "Labeled system information as provided by the uname system call.",
		"sysname", "release", "version", "machine", "nodename", "domainname")

	osInfo = sdk.Gauge("node_os_info", "A metric with a constant '1' value labeled by build_id, id, id_like, image_id, image_version, name, pretty_name, variant, variant_id, version, version_codename, version_id.",
		"build_id", "id", "id_like", "image_id", "image_version", "name", "pretty_name", "variant", "variant_id", "version", "version_codename", "version_id")
	osVersion    = sdk.Gauge("node_os_version", "Metric containing the major.minor part of the OS version.", "id", "id_like", "name")
	osSupportEnd = sdk.Gauge("node_os_support_end_timestamp_seconds", "Metric containing the end-of-life date timestamp of the OS.")

	dmiInfo = sdk.Gauge("node_dmi_info", "A metric with a constant '1' value labeled by bios_date, bios_release, bios_vendor, bios_version, board_asset_tag, board_name, board_serial, board_vendor, board_version, chassis_asset_tag, chassis_serial, chassis_vendor, chassis_version, product_family, product_name, product_serial, product_sku, product_uuid, product_version, system_vendor if provided by DMI.",
		"bios_date", "bios_release", "bios_vendor", "bios_version", "board_asset_tag", "board_name", "board_serial", "board_vendor",
		"board_version", "chassis_asset_tag", "chassis_serial", "chassis_vendor", "chassis_version", "product_family", "product_name",
		"product_serial", "product_sku", "product_uuid", "product_version", "system_vendor")

	selinuxEnabled = sdk.Gauge("node_selinux_enabled", "SELinux is enabled, 1 is true, 0 is false")
	selinuxConfig  = sdk.Gauge("node_selinux_config_mode", "Configured SELinux enforcement mode")
	selinuxCurrent = sdk.Gauge("node_selinux_current_mode", "Current SELinux enforcement mode")
)

// uname is the collector of that name.
func (h *host) uname(_ context.Context, out *sdk.Batch) error {
	u, err := h.system.uname()
	if err != nil {
		return err
	}
	out.Set(unameInfo, 1, u[:]...)
	return nil
}

// os is the collector of that name: os-release(5).
func (h *host) os(_ context.Context, out *sdk.Batch) error {
	text, err := h.slowly(h.root + "/etc/os-release")
	if err != nil {
		if text, err = h.slowly(h.root + "/usr/lib/os-release"); err != nil {
			return err
		}
	}
	if h.release == nil || text != h.releaseText {
		h.release, h.releaseText = parseOSRelease(text), text
	}
	r := h.release
	out.Set(osInfo, 1, r["BUILD_ID"], r["ID"], r["ID_LIKE"], r["IMAGE_ID"], r["IMAGE_VERSION"], r["NAME"], r["PRETTY_NAME"],
		r["VARIANT"], r["VARIANT_ID"], r["VERSION"], r["VERSION_CODENAME"], r["VERSION_ID"])
	if v := majorMinor(r["VERSION_ID"]); v > 0 {
		out.Set(osVersion, v, r["ID"], r["ID_LIKE"], r["NAME"])
	}
	if end := r["SUPPORT_END"]; end != "" {
		at, err := time.Parse(time.DateOnly, end)
		if err != nil {
			return fmt.Errorf("os-release: SUPPORT_END: %w", err)
		}
		out.Set(osSupportEnd, float64(at.Unix()))
	}
	return nil
}

// parseOSRelease reads lines NAME=value; the value may be quoted as the shell quotes.
func parseOSRelease(text string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		fields[name] = unquote(value)
	}
	return fields
}

// unquote takes one pair of quotes off; within double quotes, and outside of quotes, a backslash makes what follows it
// plain.
func unquote(s string) string {
	if n := len(s); n >= 2 && s[0] == s[n-1] && (s[0] == '"' || s[0] == '\'') {
		single := s[0] == '\''
		if s = s[1 : n-1]; single {
			return s
		}
	}
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// majorMinor is the number that a version begins with: 12 of "12.4.1" is 12.4; 0 where it begins with none.
func majorMinor(version string) float64 {
	end, points := 0, 0
	for end < len(version) && (version[end] >= '0' && version[end] <= '9' || version[end] == '.' && end > 0 && points == 0) {
		if version[end] == '.' {
			points++
		}
		end++
	}
	v, _ := strconv.ParseFloat(version[:end], 64)
	return v
}

// dmi is the collector of that name: what the firmware says of the machine. It is read once, since only a restart of the
// machine changes it.
func (h *host) dmi(_ context.Context, out *sdk.Batch) error {
	if h.firmware == nil {
		dir := h.sys + "/class/dmi/id"
		if _, err := os.Stat(dir); err != nil {
			return err
		}
		for _, name := range dmiInfo.LabelNames {
			file := strings.Replace(name, "system_vendor", "sys_vendor", 1)
			value, _ := h.word(dir + "/" + file) // only root may read the serial numbers
			h.firmware = append(h.firmware, value)
		}
	}
	out.Set(dmiInfo, 1, h.firmware...)
	return nil
}

// selinux is the collector of that name: 1 enforcing, 0 permissive, -1 off.
func (h *host) selinux(_ context.Context, out *sdk.Batch) error {
	current, err := h.number(h.sys + "/fs/selinux/enforce")
	out.Set(selinuxEnabled, truth(err == nil))
	if err != nil {
		return nil // selinuxfs is not mounted
	}
	config, _ := h.slowly(h.root + "/etc/selinux/config")
	out.Set(selinuxConfig, selinuxMode(config))
	out.Set(selinuxCurrent, current)
	return nil
}

// selinuxMode reads the mode of /etc/selinux/config.
func selinuxMode(config string) float64 {
	for line := range bytes.Lines([]byte(config)) {
		mode, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("SELINUX="))
		switch {
		case !ok:
		case string(mode) == "enforcing":
			return 1
		case string(mode) == "permissive":
			return 0
		}
	}
	return -1
}
