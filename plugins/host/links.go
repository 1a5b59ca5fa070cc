package main

import (
	"context"
	"errors"
	"regexp"

	"github.com/magpie-monitoring/magpie/sdk"
)

// link is a network device as the kernel describes it.
type link struct {
	name, alias        string
	address, broadcast string
	index, peer        uint64 // ifindex; that of the device it is on, its own where it is on none
	kind               uint64 // ARPHRD_…
	flags              uint64
	mtu, queue, group  uint64
	state              uint64 // operstate, RFC 2863
	mode, carrier      uint64
	dormant            bool
	changes            uint64 // of the carrier, in both directions
	ups, downs         uint64
	counted            bool
	stats              [linkStats]uint64
}

// up says that somebody has switched the device on: IFF_UP.
func (l *link) up() bool { return l.flags&1 != 0 }

// linkTable is the list of network devices, asked for once a collect for the collectors netclass and netdev.
type linkTable struct {
	exclude  *regexp.Regexp
	excluded map[string]bool // by name
	facts    map[uint64]*linkFacts
	cycle    uint64
	list     []link
	err      error
}

func newLinkTable(cfg *Config) linkTable {
	return linkTable{exclude: pattern(cfg.NetDevicesExclude), excluded: map[string]bool{}, facts: map[uint64]*linkFacts{}}
}

// maxLinks bounds the list; more is an error.
const maxLinks = 50_000

// linkList asks the kernel for the network devices to watch, once in each collect.
func (h *host) linkList() ([]link, error) {
	t := &h.links
	if t.cycle == h.cycle {
		return t.list, t.err
	}
	t.cycle, t.list = h.cycle, t.list[:0]
	t.err = h.dump(h.buf, func(messages []byte) (bool, error) {
		return parseLinks(messages, func(l *link) error {
			if len(t.list) == maxLinks {
				return errors.New("there are more than 50,000 network devices: leave some out with net_devices_exclude")
			}
			if l.name != "" && !t.leftOut(l.name) {
				t.list = append(t.list, *l)
			}
			return nil
		})
	})
	return t.list, t.err
}

func (t *linkTable) leftOut(name string) bool {
	if t.exclude == nil {
		return false
	}
	out, known := t.excluded[name]
	if !known {
		if len(t.excluded) > maxNames {
			clear(t.excluded)
		}
		out = t.exclude.MatchString(name)
		t.excluded[name] = out
	}
	return out
}

// The counters of struct rtnl_link_stats64 (linux/if_link.h), in its order.
const (
	rxPackets = iota
	txPackets
	rxBytes
	txBytes
	rxErrors
	txErrors
	rxDropped
	txDropped
	multicast
	collisions
	rxLengthErrors
	rxOverErrors
	rxCRCErrors
	rxFrameErrors
	rxFIFOErrors
	rxMissedErrors
	txAbortedErrors
	txCarrierErrors
	txFIFOErrors
	txHeartbeatErrors
	txWindowErrors
	rxCompressed
	txCompressed
	rxNoHandler
	linkStats
)

// netdevMetrics are sums of those counters, as /proc/net/dev has them.
var netdevMetrics = declareNetdev([]netdevMetric{
	{"receive_bytes", []int{rxBytes}},
	{"receive_compressed", []int{rxCompressed}},
	{"receive_drop", []int{rxDropped, rxMissedErrors}},
	{"receive_errs", []int{rxErrors}},
	{"receive_fifo", []int{rxFIFOErrors}},
	{"receive_frame", []int{rxFrameErrors, rxLengthErrors, rxOverErrors, rxCRCErrors}},
	{"receive_multicast", []int{multicast}},
	{"receive_nohandler", []int{rxNoHandler}},
	{"receive_packets", []int{rxPackets}},
	{"transmit_bytes", []int{txBytes}},
	{"transmit_carrier", []int{txCarrierErrors, txAbortedErrors, txHeartbeatErrors, txWindowErrors}},
	{"transmit_colls", []int{collisions}},
	{"transmit_compressed", []int{txCompressed}},
	{"transmit_drop", []int{txDropped}},
	{"transmit_errs", []int{txErrors}},
	{"transmit_fifo", []int{txFIFOErrors}},
	{"transmit_packets", []int{txPackets}},
})

type netdevMetric struct {
	name string
	sum  []int
}

type netdevSum struct {
	metric *sdk.Metric
	sum    []int
}

func declareNetdev(list []netdevMetric) (sums []netdevSum) {
	for _, m := range list {
		sums = append(sums, netdevSum{sdk.Counter("node_network_"+m.name+"_total", "Network device statistic "+m.name+".", "device"), m.sum})
	}
	return sums
}

// netdev is the collector of that name.
func (h *host) netdev(_ context.Context, out *sdk.Batch) error {
	list, err := h.linkList()
	if err != nil {
		return err
	}
	for i := range list {
		l := &list[i]
		if !l.counted {
			continue
		}
		for _, m := range netdevMetrics {
			var total uint64
			for _, counter := range m.sum {
				total += l.stats[counter]
			}
			out.Set(m.metric, float64(total), l.name)
		}
	}
	return nil
}
