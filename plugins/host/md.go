package main

import (
	"bytes"
	"context"
	"strconv"

	"github.com/prometheus/procfs"

	"github.com/magpie-monitoring/magpie/sdk"
)

var (
	mdState         = sdk.Gauge("node_md_state", "Indicates the state of md-device.", "device", "state")
	mdDisks         = sdk.Gauge("node_md_disks", "Number of active/failed/spare disks of device.", "device", "state")
	mdDisksRequired = sdk.Gauge("node_md_disks_required", "Total number of disks of device.", "device")
	mdBlocks        = sdk.Gauge("node_md_blocks", "Total number of blocks on device.", "device")
	mdBlocksSynced  = sdk.Gauge("node_md_blocks_synced", "Number of blocks synced on device.", "device")
	mdRaidDisks     = sdk.Gauge("node_md_raid_disks", "Number of raid disks on device.", "device")
	mdDegraded      = sdk.Gauge("node_md_degraded", "Number of degraded disks on device.", "device")
)

// mdStates are the label's values, by what procfs calls the states.
var mdStates = []struct{ label, activity string }{
	{"active", "active"}, {"inactive", "inactive"}, {"recovering", "recovering"}, {"resync", "resyncing"}, {"check", "checking"},
}

// mdadm is the collector of that name: software RAID.
func (h *host) mdadm(_ context.Context, out *sdk.Batch) error {
	page, err := h.read(h.proc + "/mdstat")
	if err != nil {
		return err
	}
	if !bytes.Contains(page, []byte("\nmd")) {
		return nil // most machines have none; reading the page again to find that out would cost
	}
	proc, err := procfs.NewFS(h.proc)
	if err != nil {
		return err
	}
	arrays, err := proc.MDStat()
	if err != nil {
		return err
	}
	for _, a := range arrays {
		out.Set(mdDisksRequired, float64(a.DisksTotal), a.Name)
		out.Set(mdDisks, float64(a.DisksActive), a.Name, "active")
		out.Set(mdDisks, float64(a.DisksFailed), a.Name, "failed")
		out.Set(mdDisks, float64(a.DisksSpare), a.Name, "spare")
		for _, s := range mdStates {
			out.Set(mdState, truth(a.ActivityState == s.activity), a.Name, s.label)
		}
		out.Set(mdBlocks, float64(a.BlocksTotal), a.Name)
		out.Set(mdBlocksSynced, float64(a.BlocksSynced), a.Name)
	}
	return h.mdRaids(out)
}

// mdRaids sets what only sysfs says (Documentation/admin-guide/md.rst).
func (h *host) mdRaids(out *sdk.Batch) error {
	names, err := entries(h.sys+"/block", "md")
	for _, name := range names {
		dir := h.sys + "/block/" + name + "/md/"
		level, err := h.word(dir + "level")
		if err != nil {
			continue // a partition, or gone
		}
		degraded := 0.0
		switch level {
		case "", "container", "imsm", "ddf": // has no disks of its own
			out.Set(mdDegraded, 0, name)
			continue
		case "raid1", "raid4", "raid5", "raid6", "raid10":
			if degraded, err = h.number(dir + "degraded"); err != nil {
				return err
			}
		}
		out.Set(mdDegraded, degraded, name)
		disks, err := h.word(dir + "raid_disks")
		if err != nil {
			return err
		}
		number, _ := cut([]byte(disks)) // "11 (10)" while it changes from 10
		if n, err := strconv.ParseUint(string(number), 10, 32); err == nil {
			out.Set(mdRaidDisks, float64(n), name)
		}
	}
	return err
}
