package main

import (
	"context"
	"slices"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

// collector is one topic, under the name that it has in node_exporter.
type collector struct {
	name    string
	asked   bool // runs only where the block names it
	collect func(*host, context.Context, *sdk.Batch) error
}

// collectors are all that there are, in the order in which they run.
var collectors = []*collector{
	{"arp", false, (*host).arp},
	{"bonding", false, (*host).bonding},
	{"conntrack", false, (*host).conntrack},
	{"cpu", false, (*host).cpu},
	{"cpufreq", false, (*host).cpufreq},
	{"diskstats", false, (*host).diskstats},
	{"dmi", false, (*host).dmi},
	{"entropy", false, (*host).entropy},
	{"filefd", false, (*host).filefd},
	{"filesystem", false, (*host).filesystem},
	{"hwmon", false, (*host).hwmons},
	{"kernel_hung", false, (*host).kernelHung},
	{"loadavg", false, (*host).loadavg},
	{"mdadm", false, (*host).mdadm},
	{"meminfo", false, (*host).meminfo},
	{"netclass", false, (*host).netclass},
	{"netdev", false, (*host).netdev},
	{"netstat", false, (*host).netstat},
	{"os", false, (*host).os},
	{"powersupplyclass", false, (*host).powerSupplies},
	{"pressure", false, (*host).pressure},
	{"processes", false, (*host).processes},
	{"schedstat", false, (*host).schedstat},
	{"selinux", false, (*host).selinux},
	{"sockstat", false, (*host).sockstat},
	{"softnet", false, (*host).softnet},
	{"stat", false, (*host).kernelStat},
	{"textfile", false, (*host).textfile},
	{"thermal_zone", false, (*host).thermalZones},
	{"threads", true, (*host).threads},
	{"time", false, (*host).time},
	{"timex", false, (*host).timex},
	{"udp_queues", false, (*host).udpQueues},
	{"uname", false, (*host).uname},
	{"vmstat", false, (*host).vmstat},
}

func find(name string) *collector {
	for _, c := range collectors {
		if c.name == name {
			return c
		}
	}
	return nil
}

// names lists the collectors for a message.
func names() string {
	var all []string
	for _, c := range collectors {
		all = append(all, c.name)
	}
	return strings.Join(all, ", ")
}

// chosen are the collectors that a block asks for.
func chosen(cfg *Config) (run []*collector) {
	all := slices.Contains(cfg.Collect, "default")
	for _, c := range collectors {
		wanted := all && !c.asked || slices.Contains(cfg.Collect, c.name)
		if wanted && !slices.Contains(cfg.Exclude, c.name) {
			run = append(run, c)
		}
	}
	return run
}
