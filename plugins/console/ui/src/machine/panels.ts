import type { ChartLine } from '../chart/line'
import type { Unit } from '../chart/axes'
import { combine, newest, type Values } from '../chart/grid'
import { bytes, bytesPerSecond, counted, decimal, percent } from '../format'
import { valuesWhere, type History, type Name } from './queries'

/** One chart of the machine's page, made from what was fetched. */
export interface Panel {
  id: string
  title: string
  now: string // the figure beside the title
  note?: string // what the figure is of
  lines: ChartLine[]
  unit: Unit
  stacked?: boolean
  filled?: boolean
  floor?: number
}

type Color = (i: number) => string

const ratio: Unit = { format: (v) => `${Number((v * 100).toFixed(1))} %` }
const size: Unit = { format: bytes, binary: true }
const speed: Unit = { format: bytesPerSecond, binary: true }
const plain: Unit = { format: decimal }

export function panelsOf(h: History, color: Color, cores: number): Panel[] {
  return [cpu(h, color), memory(h, color), load(h, color, cores), pressure(h, color), network(h, color), disk(h, color)]
}

// What the kernel calls a mode, by what a person asks: is it the programs, the kernel, the disk, or the neighbours?
const modes: [string, string[]][] = [
  ['user', ['user', 'nice']],
  ['system', ['system', 'irq', 'softirq']],
  ['I/O wait', ['iowait']],
  ['stolen', ['steal']],
]

function cpu(h: History, color: Color): Panel {
  const all = sum(h.series.cpu.map((s) => valuesWhere(h, 'cpu', (l) => l.mode === s.labels.mode)))
  const lines = modes.map(([label, of], i) => {
    const busy = sum(of.map((mode) => valuesWhere(h, 'cpu', (l) => l.mode === mode)))
    return { label, color: color([0, 1, 2, 4][i]!), values: combine(busy, all, (a, b) => (b > 0 ? a / b : 0)) }
  })
  const busy = newest(sum(lines.map((l) => l.values)))
  return { id: 'cpu', title: 'CPU', now: shown(busy, percent), note: 'busy', lines, unit: ratio, stacked: true, floor: 1 }
}

function memory(h: History, color: Color): Panel {
  const field = (name: string) => valuesWhere(h, 'memory', (l) => l.__name__ === `node_memory_${name}_bytes`)
  const total = field('MemTotal')
  const available = field('MemAvailable')
  const used = combine(total, available, (a, b) => Math.max(0, a - b))
  const cache = combine(available, field('MemFree'), (a, b) => Math.max(0, a - b))
  const swap = combine(field('SwapTotal'), field('SwapFree'), (a, b) => Math.max(0, a - b))
  const lines = [
    { label: 'used', color: color(3), values: used },
    { label: 'cache, can be freed', color: color(6), values: cache },
  ]
  if (swap.some((v) => v)) lines.push({ label: 'swap', color: color(4), values: swap })
  const all = newest(total)
  return {
    id: 'memory', title: 'Memory', now: shown(newest(used), bytes), ...(all && { note: `of ${bytes(all)}`, floor: all }),
    lines, unit: size, stacked: true,
  }
}

function load(h: History, color: Color, cores: number): Panel {
  const lines = [1, 5, 15].map((m, i) => ({
    label: `${m} min`,
    color: color([0, 2, 9][i]!),
    values: valuesWhere(h, 'load', (l) => l.__name__ === `node_load${m}`),
  }))
  const now = shown(newest(lines[0]!.values), decimal)
  return { id: 'load', title: 'Load', now, ...(cores > 0 && { note: `on ${counted(cores, 'core')}` }), lines, unit: plain, floor: 1 }
}

function pressure(h: History, color: Color): Panel {
  const lines = lined(h, color, [['CPU', 'cpuPressure', 0], ['I/O', 'ioPressure', 2], ['memory', 'memoryPressure', 3]])
  const [worst] = lines.toSorted((a, b) => (newest(b.values) ?? -1) - (newest(a.values) ?? -1))
  const most = worst && newest(worst.values)
  return {
    id: 'pressure', title: 'Pressure', now: shown(most, percent), ...(most !== undefined && { note: `of time waiting for ${worst!.label}` }),
    lines, unit: ratio, floor: 0.05,
  }
}

function network(h: History, color: Color): Panel {
  const lines = lined(h, color, [['in', 'received', 1], ['out', 'sent', 0]])
  return { id: 'network', title: 'Network', now: pair(lines, '↓', '↑'), lines, unit: speed, filled: true, floor: 1024 }
}

function disk(h: History, color: Color): Panel {
  const lines = lined(h, color, [['read', 'read', 6], ['written', 'written', 7]])
  return { id: 'disk', title: 'Disk I/O', now: pair(lines, 'r', 'w'), lines, unit: speed, filled: true, floor: 1024 }
}

/** The two figures of a panel of two directions. */
function pair([a, b]: ChartLine[], signA: string, signB: string): string {
  const figure = (line: ChartLine | undefined) => shown(line && newest(line.values), bytesPerSecond)
  return `${signA} ${figure(a)}  ${signB} ${figure(b)}`
}

function lined(h: History, color: Color, of: [string, Name, number][]): ChartLine[] {
  return of.map(([label, name, i]) => ({ label, color: color(i), values: valuesWhere(h, name) }))
}

/** Lines added step by step; a gap only where all of them have one. */
function sum(lines: Values[]): Values {
  const [first, ...rest] = lines
  if (!first) return []
  return rest.reduce((total, line) => total.map((v, i) => (v === null ? line[i]! : v + (line[i] ?? 0))), first)
}

function shown(v: number | undefined, format: (v: number) => string): string {
  return v === undefined ? '–' : format(v)
}
