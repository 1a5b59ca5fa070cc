package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

var (
	sockets = sdk.Gauge("node_sockstat_sockets_used", "Number of IPv4 sockets in use.")
	// sockstatFields are the fields of /proc/net/sockstat and sockstat6, by protocol; mem_bytes is mem in bytes, not pages.
	sockstatFields = declareSockstat(`TCP:inuse,orphan,tw,alloc,mem,mem_bytes UDP:inuse,mem,mem_bytes UDPLITE:inuse RAW:inuse FRAG:inuse,memory
		TCP6:inuse UDP6:inuse UDPLITE6:inuse RAW6:inuse FRAG6:inuse,memory`)

	udpQueues = sdk.Gauge("node_udp_queues", "Number of allocated memory in the kernel for UDP datagrams in bytes.", "queue", "ip")
)

func declareSockstat(protocols string) map[string]map[string]*sdk.Metric {
	all := map[string]map[string]*sdk.Metric{}
	for _, p := range strings.Fields(protocols) {
		protocol, fields, _ := strings.Cut(p, ":")
		all[protocol] = map[string]*sdk.Metric{}
		for _, field := range strings.Split(fields, ",") {
			all[protocol][field] = sdk.Gauge("node_sockstat_"+protocol+"_"+field, "Number of "+protocol+" sockets in state "+field+".")
		}
	}
	return all
}

// sockstat is the collector of that name. Either file is missing where the kernel lacks that version of IP.
func (h *host) sockstat(_ context.Context, out *sdk.Batch) error {
	for _, file := range []string{"sockstat", "sockstat6"} {
		page, err := h.read(h.proc + "/net/" + file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := parseSockstat(page, h.pageSize, func(m *sdk.Metric, v float64) { out.Set(m, v) }); err != nil {
			return err
		}
	}
	return nil
}

// parseSockstat reads lines such as "TCP: inuse 9 orphan 0 tw 1 alloc 9 mem 233".
func parseSockstat(page []byte, pageSize int, found func(*sdk.Metric, float64)) error {
	for line := range bytes.Lines(page) {
		word, rest := cut(line)
		protocol := bytes.TrimSuffix(word, []byte(":"))
		fields := sockstatFields[string(protocol)]
		for {
			var name, number []byte
			name, rest = cut(rest)
			number, rest = cut(rest)
			if len(name) == 0 {
				break
			}
			v, err := float(number)
			if err != nil {
				return fmt.Errorf("sockstat: %s %s: %w", protocol, name, err)
			}
			m := fields[string(name)]
			if string(protocol) == "sockets" && string(name) == "used" {
				m = sockets
			}
			if m == nil {
				continue
			}
			found(m, v)
			if string(name) == "mem" {
				found(fields["mem_bytes"], v*float64(pageSize))
			}
		}
	}
	return nil
}

// udpQueues is the collector udp_queues.
func (h *host) udpQueues(_ context.Context, out *sdk.Batch) error {
	var missing error
	found := false
	for _, x := range []struct{ file, ip string }{{"udp", "v4"}, {"udp6", "v6"}} {
		page, err := h.read(h.proc + "/net/" + x.file)
		if errors.Is(err, fs.ErrNotExist) {
			missing = err
			continue
		}
		if err != nil {
			return err
		}
		tx, rx, err := parseUDP(page)
		if err != nil {
			return err
		}
		found = true
		out.Set(udpQueues, float64(tx), "tx", x.ip)
		out.Set(udpQueues, float64(rx), "rx", x.ip)
	}
	if !found {
		return missing
	}
	return nil
}

// parseUDP adds up the fifth column, "tx:rx" in hexadecimal bytes, of the lines behind the first.
func parseUDP(page []byte) (tx, rx uint64, err error) {
	_, page, _ = bytes.Cut(page, []byte("\n"))
	for line := range bytes.Lines(page) {
		queues, _ := cut(skip(line, 4))
		sent, received, _ := bytes.Cut(queues, []byte(":"))
		s, okS := integer(sent, 16)
		r, okR := integer(received, 16)
		if !okS || !okR {
			return 0, 0, fmt.Errorf("udp: the queues of a socket are %.64q", queues)
		}
		tx, rx = tx+s, rx+r
	}
	return tx, rx, nil
}
