import { query, queryRange, type Grid, type Labels, type Sample, type Series, type Target } from '../api/prometheus'
import { begun, gridOf, stepOf, timesOf, valuesOf, type Values } from '../chart/grid'
import { quote } from '../format'

/** A machine in the store: the labels that tell its node_* series from those of others. */
export interface Machine {
  job: string
  instance: string
}

/** The machines that sent node_load1 within the last hours. */
export async function fetchMachines(signal: AbortSignal): Promise<Machine[]> {
  const { samples } = await query('group by (job, instance) (last_over_time(node_load1[6h]))', signal)
  return samples
    .map(({ labels }) => ({ job: labels.job ?? '', instance: labels.instance ?? '' }))
    .sort((a, b) => a.instance.localeCompare(b.instance) || a.job.localeCompare(b.job))
}

/** How often the machine is collected, in seconds: what the daemon says of its target, or the daemon's default. */
export function intervalOf(targets: Target[], { job, instance }: Machine): number {
  return targets.find(({ labels }) => labels.instance === instance && labels.job === job)?.interval || 15
}

/** What is asked of a machine. In the expressions, SEL is its matchers, RATE a window for rates and LAST one for gauges. */
const expressions = {
  cpu: 'sum by (mode) (rate(node_cpu_seconds_total{SEL}[RATE]))',
  load: 'last_over_time({__name__=~"node_load(1|5|15)", SEL}[LAST])',
  memory:
    'last_over_time({__name__=~"node_memory_(MemTotal|MemFree|MemAvailable|SwapTotal|SwapFree)_bytes", SEL}[LAST])',
  received: 'sum(rate(node_network_receive_bytes_total{SEL, device!~"DEVICES"}[RATE]))',
  sent: 'sum(rate(node_network_transmit_bytes_total{SEL, device!~"DEVICES"}[RATE]))',
  read: 'sum(rate(node_disk_read_bytes_total{SEL, device!~"DISKS"}[RATE]))',
  written: 'sum(rate(node_disk_written_bytes_total{SEL, device!~"DISKS"}[RATE]))',
  cpuPressure: 'rate(node_pressure_cpu_waiting_seconds_total{SEL}[RATE])',
  ioPressure: 'rate(node_pressure_io_waiting_seconds_total{SEL}[RATE])',
  memoryPressure: 'rate(node_pressure_memory_waiting_seconds_total{SEL}[RATE])',
  filesystems:
    '1 - last_over_time(node_filesystem_avail_bytes{SEL, FILESYSTEMS}[LAST]) / last_over_time(node_filesystem_size_bytes{SEL, FILESYSTEMS}[LAST])',
}

// Devices that stand for the traffic or the disk of another one would count it twice; loop devices are files.
const notDevices = 'lo|veth.*|br-.*|docker.*|cni.*|cali.*|flannel.*|virbr.*|tap.*|tun.*|wg.*|bond.*|dummy.*'
const notDisks = 'dm-.*|loop.*|zram.*|md.*|ram.*|sr.*|fd.*'
const notFilesystems = 'fstype!~"tmpfs|ramfs|devtmpfs|squashfs|iso9660|erofs|fuse.lxcfs|nsfs|autofs", fstype!=""'

export type Name = keyof typeof expressions

export interface History {
  grid: Grid
  times: number[]
  series: Record<Name, Series[]>
}

const youngest = 60 // s that the charts show of a machine that is known since a moment ago

/** Everything that the charts show, on one grid that begins with the data. A query that fails fails the whole: the store is one. */
export async function fetchHistory(machine: Machine, interval: number, range: number, signal: AbortSignal): Promise<History> {
  const asked = gridOf(range, stepOf(range, 300, Math.min(interval, 60)), Date.now() / 1000)
  const names = Object.keys(expressions) as Name[]
  const all = await Promise.all(
    names.map(async (name): Promise<[Name, Series[]]> => {
      const { series } = await queryRange(expressionOf(name, machine, interval, asked.step), asked, signal)
      return [name, series]
    }),
  )
  const grid = begun(asked, all.flatMap(([, series]) => series), youngest)
  return { grid, times: timesOf(grid), series: Object.fromEntries(all) as Record<Name, Series[]> }
}

/**
 * An expression for one machine. A rate needs several samples and must not leave any out between two steps. A gauge is
 * taken from a window of two and a half intervals, not from the five minutes that PromQL looks back: a gap shows as one.
 */
export function expressionOf(name: Name, machine: Machine, interval: number, step: number): string {
  const words: Record<string, string> = {
    SEL: matchers(machine),
    RATE: `${Math.ceil(Math.max(60, 4 * interval, step))}s`,
    LAST: `${Math.ceil(2.5 * interval)}s`,
    FILESYSTEMS: notFilesystems,
    DEVICES: notDevices,
    DISKS: notDisks,
  }
  return expressions[name].replace(/\b(SEL|RATE|LAST|FILESYSTEMS|DEVICES|DISKS)\b/g, (word) => words[word]!)
}

export function matchers({ job, instance }: Machine): string {
  return `job=${quote(job)}, instance=${quote(instance)}`
}

/** The values of the series that a test picks, on the grid; gaps throughout where there is none. */
export function valuesWhere({ grid, series }: History, name: Name, pick: (l: Labels) => boolean = () => true): Values {
  return valuesOf(series[name].find((s) => pick(s.labels))?.points ?? [], grid)
}

/** What does not change while one looks: the machine's name, system and size. */
export interface Facts {
  nodename: string
  system: string
  kernel: string
  cores: number
  memory: number // bytes
  booted: number // s since the epoch; 0: unknown
}

export async function fetchFacts(machine: Machine, signal: AbortSignal): Promise<Facts> {
  const sel = matchers(machine)
  const info = `{__name__=~"node_uname_info|node_os_info|node_boot_time_seconds|node_memory_MemTotal_bytes", ${sel}}`
  const [about, cores] = await Promise.all([query(info, signal), query(`count(node_cpu_seconds_total{${sel}, mode="idle"})`, signal)])
  return factsOf(about.samples, cores.samples)
}

function factsOf(samples: Sample[], cores: Sample[]): Facts {
  const find = (name: string) => samples.find((s) => s.labels.__name__ === name)
  const uname = find('node_uname_info')?.labels ?? {}
  return {
    nodename: uname.nodename ?? '',
    system: find('node_os_info')?.labels.pretty_name ?? '',
    kernel: [uname.sysname, uname.release, uname.machine].filter(Boolean).join(' '),
    cores: cores[0]?.value ?? 0,
    memory: find('node_memory_MemTotal_bytes')?.value ?? 0,
    booted: find('node_boot_time_seconds')?.value ?? 0,
  }
}

export interface Filesystem {
  mountpoint: string
  device: string
  type: string
  size: number // bytes
  available: number // bytes, for users other than root
}

/** The filesystems with room to fill, the fullest first. */
export async function fetchFilesystems(machine: Machine, signal: AbortSignal): Promise<Filesystem[]> {
  const { samples } = await query(
    `{__name__=~"node_filesystem_(size|avail)_bytes", ${matchers(machine)}, ${notFilesystems}}`,
    signal,
  )
  return filesystemsOf(samples)
}

/**
 * One filesystem for each device: a bind mount or a subvolume is as full as its device, and the shortest mount point names
 * it. Of overlays only the root counts: the others are containers'.
 */
export function filesystemsOf(samples: Sample[]): Filesystem[] {
  const mounts = new Map<string, Filesystem>()
  for (const { labels, value } of samples) {
    const { mountpoint = '', device = '', fstype: type = '' } = labels
    if (type === 'overlay' && mountpoint !== '/') continue
    const fs = mounts.get(mountpoint) ?? { mountpoint, device, type, size: 0, available: 0 }
    if (labels.__name__ === 'node_filesystem_size_bytes') fs.size = value
    else fs.available = value
    mounts.set(mountpoint, fs)
  }
  const devices = new Map<string, Filesystem>()
  for (const fs of mounts.values()) {
    const other = devices.get(fs.device)
    if (fs.size > 0 && !(other && other.mountpoint.length <= fs.mountpoint.length)) devices.set(fs.device, fs)
  }
  return [...devices.values()].sort((a, b) => usedOf(b) - usedOf(a))
}

/** The share of a filesystem that users cannot write to any more: 1 is full. */
export function usedOf(fs: Filesystem): number {
  return 1 - fs.available / fs.size
}
