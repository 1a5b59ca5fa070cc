// The source "host" watches the machine it runs on.
//
// Its metrics are those of node_exporter 1.12, by name, label, type, help and value, so that the rules of node-mixin and
// dashboards such as "Node Exporter Full" work unchanged; the label job is "node" and instance is the hostname.
//
// In a container, mount the machine's /proc, /sys and / and name them with proc_path, sys_path and root_path; the network
// is that of the plugin's own namespace, so use the machine's (as for node_exporter).
//
// # Collectors
//
// What the kernel says is read from /proc, /sys and a few system calls, by collectors named as node_exporter names them.
// Each says how it fares in node_scrape_collector_success (0 also where this machine has nothing of the kind, such as a
// RAID) and node_scrape_collector_duration_seconds; one that fails leaves the others alone.
//
// The collectors are arp, bonding, conntrack, cpu, cpufreq, diskstats, dmi, entropy, filefd, filesystem, hwmon, kernel_hung,
// loadavg, mdadm, meminfo, netclass, netdev, netstat, os, powersupplyclass, pressure, processes, schedstat, selinux,
// sockstat, softnet, stat, textfile, thermal_zone, threads, time, timex, udp_queues, uname and vmstat. "threads" has to be
// asked for: it is the part of node_exporter's "processes" that reads a file for each thread.
//
// What rarely changes — which sensors and disks there are, the speed of a network link whose carrier is steady, the
// limits of a CPU's frequency, /etc/os-release — is read in every 20th collect only.
//
// # What differs from node_exporter
//
// These collectors of node_exporter are not here: bcache, bcachefs, btrfs, dmmultipath, edac, fibrechannel, infiniband,
// ipvs, nfs, nfsd, nvme, rapl, tapestats, watchdog, xfs, zfs, and those that it does not run by default but for
// "processes", which runs by default here. Other differences: memory has all fields that the kernel gives (as node_exporter
// had until 1.9), a state that some process was in stays, with 0, when none is in it, and a sensor that cannot be read has
// no sample instead of 0.
//
// # How it is tested
//
// On the machine that runs the tests, series by series beside a real node_exporter where one is installed. For hardware
// that this machine lacks, a made-up machine of files stands in.
//
// # Files
//
//	host.go           configuration, one collect
//	collectors.go     the table of collectors
//	files.go          reading and cutting up the kernel's files
//	sensors.go        numbers that have a file each
//	system_linux.go   what is asked by system calls; netlink_linux.go asks for the network devices
//	*.go              a file for each topic, with its metrics
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Config is a block `source "host"`.
type Config struct {
	Collect []string `hcl:"collect,optional" default:"default" doc:"Collectors to run, such as [\"cpu\", \"meminfo\"]. \"default\" stands for all that run by default: [\"default\", \"threads\"] runs one more."`
	Exclude []string `hcl:"exclude,optional" doc:"Collectors to leave out of those."`

	ProcPath string `hcl:"proc_path,optional" default:"/proc" doc:"Where procfs is mounted."`
	SysPath  string `hcl:"sys_path,optional" default:"/sys" doc:"Where sysfs is mounted."`
	RootPath string `hcl:"root_path,optional" default:"/" doc:"Where the machine's root filesystem is mounted. The prefix is taken off the mount points in labels."`

	FSTypesExclude     string        `hcl:"fs_types_exclude,optional" default:"^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|tracefs)$" check:"regexp" doc:"Filesystem types to leave out, a regular expression."`
	FSTypesInclude     string        `hcl:"fs_types_include,optional" check:"regexp" doc:"Filesystem types to watch, a regular expression, instead of all but fs_types_exclude. Only one of the two may be written."`
	MountPointsExclude string        `hcl:"mount_points_exclude,optional" default:"^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)" check:"regexp" doc:"Mount points to leave out, a regular expression."`
	MountPointsInclude string        `hcl:"mount_points_include,optional" check:"regexp" doc:"Mount points to watch, a regular expression, instead of all but mount_points_exclude. Only one of the two may be written."`
	MountTimeout       time.Duration `hcl:"mount_timeout,optional" default:"5s" check:"min=10ms,max=1m" doc:"How long a filesystem may take to answer before it is reported with node_filesystem_device_error 1; at most half of the timeout is spent waiting. It is asked again once it has answered."`

	DiskDevicesExclude string `hcl:"disk_devices_exclude,optional" default:"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\\d+n\\d+p)\\d+$" check:"regexp" doc:"Disks to leave out, a regular expression. The default leaves out partitions and RAM disks."`
	NetDevicesExclude  string `hcl:"net_devices_exclude,optional" check:"regexp" doc:"Network devices to leave out, a regular expression; empty: none."`

	TextfileDirs []string `hcl:"textfile_dirs,optional" doc:"Directories, or patterns of them such as \"/var/lib/metrics/*\", whose files *.prom hold metrics in the Prometheus text format, without timestamps, 16 MiB in all."`
}

// Validate checks what the tags cannot say.
func (c *Config) Validate(d *sdk.Diags) {
	for i := range c.Collect {
		if c.Collect[i] != "default" && find(c.Collect[i]) == nil {
			d.Errorf(&c.Collect[i], "there is no collector %q; there are %s, and \"default\" for those that run by default", c.Collect[i], names())
		}
	}
	for i := range c.Exclude {
		if find(c.Exclude[i]) == nil {
			d.Errorf(&c.Exclude[i], "there is no collector %q; there are %s", c.Exclude[i], names())
		}
	}
	for _, path := range []*string{&c.ProcPath, &c.SysPath, &c.RootPath} {
		if !strings.HasPrefix(*path, "/") {
			d.Errorf(path, "%q is not an absolute path", *path)
		}
	}
	for i, pattern := range c.patterns() {
		if _, err := regexp.Compile(*pattern); err != nil {
			d.Errorf(c.patterns()[i], "%v", err)
		}
	}
	def := defaults()
	if c.FSTypesInclude != "" && c.FSTypesExclude != def.FSTypesExclude {
		d.Errorf(&c.FSTypesInclude, "fs_types_include and fs_types_exclude exclude each other: write one of them")
	}
	if c.MountPointsInclude != "" && c.MountPointsExclude != def.MountPointsExclude {
		d.Errorf(&c.MountPointsInclude, "mount_points_include and mount_points_exclude exclude each other: write one of them")
	}
}

func (c *Config) patterns() []*string {
	return []*string{&c.FSTypesExclude, &c.FSTypesInclude, &c.MountPointsExclude, &c.MountPointsInclude, &c.DiskDevicesExclude, &c.NetDevicesExclude}
}

// defaults is a block with nothing written in it.
func defaults() *Config {
	c := &Config{}
	if err := sdk.Fill(c, nil); err != nil {
		panic(err) // a mistake in the tags above
	}
	return c
}

// host is an open component.
type host struct {
	tree
	system
	cfg        *Config
	log        *slog.Logger
	status     func(sdk.Status, string)
	collectors []*running

	stat        statPage
	cpus        cpuState
	frequency   sensors
	disks       diskFilter
	mounts      mountTable
	links       linkTable
	procs       processTable
	thermal     sensors
	hwmon       sensors
	power       sensors
	firmware    []string          // of node_dmi_info, once read
	release     map[string]string // of os-release
	releaseText string
	text        textFiles
}

// running is a collector and how it fared last.
type running struct {
	*collector
	problem string // what it said when it failed; "" where it did not
	absent  bool   // it failed because there is nothing of the kind here
}

func open(_ context.Context, cfg *Config, h sdk.Host) (*host, error) {
	return openOn(realSystem(), cfg, h)
}

// openOn opens a component that makes its system calls through sys.
func openOn(sys system, cfg *Config, h sdk.Host) (*host, error) {
	for _, path := range []*string{&cfg.ProcPath, &cfg.SysPath, &cfg.RootPath} {
		if info, err := os.Stat(*path); err != nil {
			return nil, sdk.At(path, err)
		} else if !info.IsDir() {
			return nil, sdk.At(path, fmt.Errorf("%s is not a directory", *path))
		}
	}
	m := &host{
		tree:   newTree(cfg.ProcPath, cfg.SysPath, cfg.RootPath),
		system: sys, cfg: cfg, log: h.Log(), status: h.Status,
		disks:  newDiskFilter(cfg),
		mounts: newMountTable(cfg),
		links:  newLinkTable(cfg),
	}
	for _, c := range chosen(cfg) {
		m.collectors = append(m.collectors, &running{collector: c})
	}
	if len(m.collectors) == 0 {
		return nil, sdk.At(&cfg.Exclude, errors.New("no collector is left to run"))
	}
	return m, nil
}

var (
	collectorDuration = sdk.Gauge("node_scrape_collector_duration_seconds", "node_exporter: Duration of a collector scrape.", "collector")
	collectorSuccess  = sdk.Gauge("node_scrape_collector_success", "node_exporter: Whether a collector succeeded.", "collector")
)

// Collect runs the collectors one after the other. It fails only if all of them do.
func (h *host) Collect(ctx context.Context, out *sdk.Batch) error {
	h.begin()
	var errs []error
	changed := false
	for _, c := range h.collectors {
		if err := ctx.Err(); err != nil {
			return err
		}
		start := time.Now()
		err := sdk.Recover(c.name, func() error { return c.collect(h, ctx, out) })
		out.Set(collectorDuration, time.Since(start).Seconds(), c.name)
		out.Set(collectorSuccess, truth(err == nil), c.name)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.name, err))
		}
		changed = h.note(c, err) || changed
	}
	if changed {
		h.report()
	}
	if len(errs) == len(h.collectors) {
		return &sdk.Problem{Blame: sdk.BlameHost, Err: fmt.Errorf("every collector failed: %w", errors.Join(errs...))}
	}
	return nil
}

// note keeps how a collector fared and logs when it begins or ceases to fail. What is not there or not for us to
// read is no failure to tell people of: it says what machine this is.
func (h *host) note(c *running, err error) (changed bool) {
	problem, absent := "", false
	if err != nil {
		problem = err.Error()
		absent = errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported)
	}
	if problem == c.problem {
		return false
	}
	switch known := c.problem != "" && c.absent == absent; {
	case err == nil:
		h.log.Info("a collector works again", "collector", c.name)
	case known: // other words for the same state
	case absent:
		h.log.Debug("a collector finds nothing here", "collector", c.name, "why", problem)
	default:
		h.log.Warn("a collector failed; the others go on", "collector", c.name, "error", problem)
	}
	c.problem, c.absent = problem, absent
	return true
}

// report says in the component's status which collectors fail.
func (h *host) report() {
	var failing []string
	for _, c := range h.collectors {
		if c.problem != "" && !c.absent {
			failing = append(failing, c.name+": "+c.problem)
		}
	}
	if len(failing) == 0 {
		h.status(sdk.OK, "")
		return
	}
	h.status(sdk.Degraded, strings.Join(failing, "; "))
}

// truth is a gauge's value for yes and no.
func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

var _ sdk.Validator = (*Config)(nil)
