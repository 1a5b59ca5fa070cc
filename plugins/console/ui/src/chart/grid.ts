import type { Grid, Series } from '../api/prometheus'

/** The steps of the last `range` seconds before now (s), so that the newest step is not before now. */
export function gridOf(range: number, step: number, now: number): Grid {
  const end = Math.ceil(now / step) * step
  return { start: end - Math.floor(range / step) * step, end, step }
}

const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400]

/** A round step of at least `least` seconds that cuts the range into at most `points` steps. */
export function stepOf(range: number, points: number, least = 1): number {
  return steps.find((s) => s >= least && range / s <= points) ?? Math.ceil(range / points)
}

export function timesOf(grid: Grid): number[] {
  const n = Math.round((grid.end - grid.start) / grid.step)
  return Array.from({ length: n + 1 }, (_, i) => grid.start + i * grid.step)
}

/** The grid from where any series begins, but at least the newest `least` seconds: before that there is nothing to draw. */
export function begun(grid: Grid, all: Series[], least: number): Grid {
  const first = all.reduce((min, { points: [p] }) => (p ? Math.min(min, p[0]) : min), grid.end - least)
  const skipped = Math.floor((first - grid.start) / grid.step)
  return skipped > 0 ? { ...grid, start: grid.start + skipped * grid.step } : grid
}

export type Values = (number | null)[]

/** A series on every step of a grid; null where it has no sample, which is drawn as a gap. */
export function valuesOf(points: Series['points'], grid: Grid): Values {
  const values: Values = timesOf(grid).map(() => null)
  for (const [time, v] of points) {
    const i = Math.round((time - grid.start) / grid.step)
    if (i >= 0 && i < values.length && Number.isFinite(v)) values[i] = v
  }
  return values
}

/** Lines on top of one another: each is the sum of itself and those before. A gap stays one, and counts as nothing above. */
export function stack(lines: Values[]): Values[] {
  const sums = new Array<number>(lines[0]?.length ?? 0).fill(0)
  return lines.map((values) => values.map((v, i) => (v === null ? null : (sums[i] = sums[i]! + v))))
}

/** Steps with a value but no neighbour: a line alone would not show them. */
export function lonely(values: readonly (number | null | undefined)[]): number[] {
  const at: number[] = []
  values.forEach((v, i) => {
    if (v != null && values[i - 1] == null && values[i + 1] == null) at.push(i)
  })
  return at
}

/** Two lines combined step by step; null where either has none. */
export function combine(a: Values, b: Values, f: (a: number, b: number) => number): Values {
  return a.map((v, i) => {
    const w = b[i]
    return v === null || w == null ? null : f(v, w)
  })
}

/** The newest value, if it is among the last three steps: an older one says nothing about now. */
export function newest(values: Values): number | undefined {
  for (const v of values.slice(-3).reverse()) if (v !== null) return v
  return undefined
}
