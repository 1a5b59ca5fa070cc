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

// netstatFields are what node_exporter takes of /proc/net/netstat, snmp and snmp6 by default: by protocol, then by field.
var netstatFields = declareNetstat(`Icmp6_InErrors Icmp6_InMsgs Icmp6_OutMsgs Icmp_InErrors Icmp_InMsgs Icmp_OutMsgs
	Ip6_InOctets Ip6_OutOctets IpExt_InOctets IpExt_OutOctets Ip_Forwarding
	TcpExt_ListenDrops TcpExt_ListenOverflows TcpExt_SyncookiesFailed TcpExt_SyncookiesRecv TcpExt_SyncookiesSent
	TcpExt_TCPOFOQueue TcpExt_TCPRcvQDrop TcpExt_TCPSynRetrans TcpExt_TCPTimeouts
	Tcp_ActiveOpens Tcp_CurrEstab Tcp_InErrs Tcp_InSegs Tcp_OutRsts Tcp_OutSegs Tcp_PassiveOpens Tcp_RetransSegs
	Udp6_InDatagrams Udp6_InErrors Udp6_NoPorts Udp6_OutDatagrams Udp6_RcvbufErrors Udp6_SndbufErrors UdpLite6_InErrors UdpLite_InErrors
	Udp_InDatagrams Udp_InErrors Udp_NoPorts Udp_OutDatagrams Udp_RcvbufErrors Udp_SndbufErrors`)

func declareNetstat(names string) map[string]map[string]*sdk.Metric {
	fields := map[string]map[string]*sdk.Metric{}
	for _, name := range strings.Fields(names) {
		protocol, field, _ := strings.Cut(name, "_")
		if fields[protocol] == nil {
			fields[protocol] = map[string]*sdk.Metric{}
		}
		fields[protocol][field] = sdk.Untyped("node_netstat_"+name, "Statistic "+protocol+field+".")
	}
	return fields
}

// netstat is the collector of that name.
func (h *host) netstat(_ context.Context, out *sdk.Batch) error {
	set := func(m *sdk.Metric, v float64) { out.Set(m, v) }
	for _, file := range []string{"netstat", "snmp"} {
		page, err := h.read(h.proc + "/net/" + file)
		if err != nil {
			return err
		}
		if err := parseNetstat(page, set); err != nil {
			return err
		}
	}
	page, err := h.read(h.proc + "/net/snmp6")
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no IPv6
	}
	if err != nil {
		return err
	}
	return parseSNMP6(page, set)
}

// parseNetstat reads pairs of lines: "TcpExt: SyncookiesSent SyncookiesRecv …", "TcpExt: 0 12 …".
func parseNetstat(page []byte, found func(*sdk.Metric, float64)) error {
	for len(page) > 0 {
		var names, values []byte
		names, page, _ = bytes.Cut(page, []byte("\n"))
		values, page, _ = bytes.Cut(page, []byte("\n"))
		protocol, names := cut(names)
		again, values := cut(values)
		if !bytes.Equal(protocol, again) {
			return fmt.Errorf("netstat: names of %q are followed by values of %q", protocol, again)
		}
		fields := netstatFields[string(bytes.TrimSuffix(protocol, []byte(":")))]
		for {
			var name, value []byte
			name, names = cut(names)
			value, values = cut(values)
			if len(name) == 0 && len(value) == 0 {
				break
			}
			m := fields[string(name)]
			if m == nil {
				continue
			}
			v, err := float(value)
			if err != nil {
				return fmt.Errorf("netstat: %s %s: %w", protocol, name, err)
			}
			found(m, v)
		}
	}
	return nil
}

// parseSNMP6 reads lines such as "Ip6InOctets 1234".
func parseSNMP6(page []byte, found func(*sdk.Metric, float64)) error {
	for line := range bytes.Lines(page) {
		name, rest := cut(line)
		six := bytes.IndexByte(name, '6')
		if six < 0 {
			continue
		}
		m := netstatFields[string(name[:six+1])][string(name[six+1:])]
		if m == nil {
			continue
		}
		value, _ := cut(rest)
		v, err := float(value)
		if err != nil {
			return fmt.Errorf("snmp6: %s: %w", name, err)
		}
		found(m, v)
	}
	return nil
}
