import type uPlot from 'uplot'
import { day, two } from '../format'
import type { Palette } from './palette'

/** How an axis counts and writes its values. */
export interface Unit {
  format: (v: number) => string
  binary?: boolean // steps of 1024: bytes
}

const powers = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
const binarySteps = [0, 1, 2, 3, 4, 5].flatMap((k) => powers.map((p) => p * 1024 ** k))

const font = '11px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif'

export function axes(unit: Unit, palette: Palette): uPlot.Axis[] {
  const look = { stroke: palette.text, font, ticks: { show: false }, grid: { stroke: palette.grid, width: 1 } }
  return [
    { ...look, size: 24, gap: 4, space: 64, grid: { show: false }, values: (_, at, _axis, _space, step) => at.map((t) => tick(t, step)) },
    {
      ...look,
      size: width,
      gap: 6,
      space: (_u, _axis, _min, _max, height) => Math.max(28, height / 5), // px between two ticks
      values: (_, at) => at.map((v) => bare(unit.format(v))),
      ...(unit.binary && { incrs: binarySteps }),
    },
  ]
}

/** Time in the reader's zone, as short as the distance between two ticks allows. */
export function tick(seconds: number, step: number): string {
  const d = new Date(seconds * 1000)
  if (step >= 86_400 || (d.getHours() === 0 && d.getMinutes() === 0 && d.getSeconds() === 0)) return day(d)
  const time = `${two(d.getHours())}:${two(d.getMinutes())}`
  return step < 60 ? `${time}:${two(d.getSeconds())}` : time
}

/** "8.00 MiB" as "8 MiB": a tick stands at a round value. */
export function bare(written: string): string {
  return written.replace(/(\.\d*?)0+(?!\d)/, '$1').replace(/\.(?!\d)/, '')
}

/** The axis is as wide as its longest label. */
function width(_: uPlot, labels: string[] | null): number {
  const longest = Math.max(0, ...(labels ?? []).map((l) => l.length))
  return Math.max(38, 12 + longest * 6)
}
