package main

import (
	"context"
	"maps"
	"strconv"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

func linkGauge(name string) *sdk.Metric {
	return sdk.Gauge("node_network_"+name, "Network device property: "+name, "device")
}

func linkCounter(name string) *sdk.Metric {
	return sdk.Counter("node_network_"+name, "Network device property: "+name, "device")
}

var (
	linkUp   = sdk.Gauge("node_network_up", "Value is 1 if operstate is 'up', 0 otherwise.", "device")
	linkInfo = sdk.Gauge("node_network_info", "Non-numeric data from /sys/class/net/<iface>, value is always 1.",
		"device", "address", "broadcast", "duplex", "operstate", "adminstate", "ifalias")

	linkAddressAssign = linkGauge("address_assign_type")
	linkCarrier       = linkGauge("carrier")
	linkChanges       = linkCounter("carrier_changes_total")
	linkUps           = linkCounter("carrier_up_changes_total")
	linkDowns         = linkCounter("carrier_down_changes_total")
	linkDeviceID      = linkGauge("device_id")
	linkDormant       = linkGauge("dormant")
	linkFlags         = linkGauge("flags")
	linkID            = linkGauge("iface_id")
	linkPeer          = linkGauge("iface_link")
	linkMode          = linkGauge("iface_link_mode")
	linkMTU           = linkGauge("mtu_bytes")
	linkNameAssign    = linkGauge("name_assign_type")
	linkGroup         = linkGauge("net_dev_group")
	linkSpeed         = linkGauge("speed_bytes")
	linkQueue         = linkGauge("transmit_queue_length")
	linkProtocol      = linkGauge("protocol_type")
)

// operstates are the names of /sys/class/net/*/operstate.
var operstates = [...]string{"unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"}

const stateUp = 6

// linkFacts are what only sysfs says of a device. Reading them takes locks in the kernel that its network code needs too,
// so that is done anew only when the device is switched or its carrier changes, and in every slowEvery-th collect.
type linkFacts struct {
	read    uint64 // cycle
	name    string
	changes uint64
	up      bool

	duplex  string
	numbers [len(factFiles)]fact
}

type fact struct {
	value float64
	known bool
}

// factFiles are files of /sys/class/net/<device> that hold a number. A file that says EINVAL does not apply.
var factFiles = [...]struct {
	file   string
	base   int
	metric *sdk.Metric
}{
	{"addr_assign_type", 10, linkAddressAssign},
	{"dev_id", 16, linkDeviceID},
	{"name_assign_type", 10, linkNameAssign},
	{"speed", 10, linkSpeed}, // in Mbit/s, -1 where the device does not know
}

// netclass is the collector of that name.
func (h *host) netclass(_ context.Context, out *sdk.Batch) error {
	list, err := h.linkList()
	if err != nil {
		return err
	}
	for i := range list {
		l := &list[i]
		h.setLink(out, l, h.linkFacts(l))
	}
	if len(h.links.facts) > len(list) {
		maps.DeleteFunc(h.links.facts, func(index uint64, f *linkFacts) bool { return h.cycle-f.read >= slowEvery })
	}
	return nil
}

func (h *host) setLink(out *sdk.Batch, l *link, f *linkFacts) {
	state := "unknown"
	if l.state < uint64(len(operstates)) {
		state = operstates[l.state]
	}
	admin := "down"
	if l.up() {
		admin = "up"
	}
	out.Set(linkUp, truth(l.state == stateUp), l.name)
	out.Set(linkInfo, 1, l.name, l.address, l.broadcast, f.duplex, state, admin, l.alias)
	if l.up() { // as in sysfs, a device that is down has neither
		out.Set(linkCarrier, float64(l.carrier), l.name)
		out.Set(linkDormant, truth(l.dormant), l.name)
	}
	out.Set(linkChanges, float64(l.changes), l.name)
	out.Set(linkUps, float64(l.ups), l.name)
	out.Set(linkDowns, float64(l.downs), l.name)
	out.Set(linkFlags, float64(l.flags), l.name)
	out.Set(linkID, float64(l.index), l.name)
	out.Set(linkPeer, float64(l.peer), l.name)
	out.Set(linkMode, float64(l.mode), l.name)
	out.Set(linkMTU, float64(l.mtu), l.name)
	out.Set(linkGroup, float64(l.group), l.name)
	out.Set(linkQueue, float64(l.queue), l.name)
	out.Set(linkProtocol, float64(l.kind), l.name)
	for i, n := range f.numbers {
		if n.known {
			out.Set(factFiles[i].metric, n.value, l.name)
		}
	}
}

// linkFacts returns what sysfs says of a device, read anew if need be.
func (h *host) linkFacts(l *link) *linkFacts {
	f := h.links.facts[l.index]
	if f != nil && h.cycle-f.read < slowEvery && f.name == l.name && f.changes == l.changes && f.up == l.up() {
		return f
	}
	f = &linkFacts{read: h.cycle, name: l.name, changes: l.changes, up: l.up()}
	h.links.facts[l.index] = f
	dir := h.sys + "/class/net/" + l.name + "/"
	f.duplex, _ = h.word(dir + "duplex")
	for i, x := range factFiles {
		text, err := h.word(dir + x.file)
		if err != nil {
			continue
		}
		v, err := strconv.ParseInt(strings.TrimPrefix(text, "0x"), x.base, 64)
		if x.metric == linkSpeed {
			v = v * 1000 * 1000 / 8
		}
		f.numbers[i] = fact{float64(v), err == nil}
	}
	return f
}
