import { parseDuration, query, queryRange, type Grid, type Labels, type Sample, type Series } from '../api/prometheus'
import { gridOf, stepOf, valuesOf, type Values } from '../chart/grid'
import { series as written } from '../format'
import { differing, drawn, listed } from '../query/evaluate'
import type { Field, Panel, Target } from './model'
import { builtIn, fill, type Bindings } from './template'
import { pattern } from './variables'

/** What a panel's queries gave; of a query that failed only its error. */
export interface Data {
  grid: Grid
  series: Found[]
  errors: string[]
  warnings: string[]
  cut: number // series that are left out
}

/** A series of a panel: over time, or of now as its only value. */
export interface Found {
  target: Target
  labels: Labels
  name: string
  field: Field
  values: Values // on the grid
  last: number // NaN: none
}

const points = 240 // at most; a panel may be as wide as the page

/** The steps of a panel: as fine as it has room for, but not finer than it says. */
export function gridFor(panel: Panel, range: number, now: number): Grid {
  return gridOf(range, stepOf(range, points, Math.max(5, parseDuration(panel.least))), now)
}

/** A target's expression as it is asked. */
export function exprOf(target: Target, range: number, grid: Grid, interval: number, bindings: Bindings): string {
  const own = parseDuration(fill(target.least, bindings))
  const step = Math.max(grid.step, own)
  return fill(target.expr, { ...bindings, ...builtIn(range, step, Math.max(interval, own), grid.end) })
}

/** Asks a panel's queries. Those of figures and tables that ask for now only get that. Only an abort is thrown. */
export async function load(panel: Panel, range: number, interval: number, bindings: Bindings, signal: AbortSignal): Promise<Data> {
  const grid = gridFor(panel, range, Date.now() / 1000)
  const data: Data = { grid, series: [], errors: [], warnings: [], cut: 0 }
  const answers = await Promise.all(panel.targets.map((t) => ask(t, panel, range, grid, interval, bindings, signal).catch(asError)))
  signal.throwIfAborted()
  const most = panel.kind === 'table' ? listed : drawn
  const all: { target: Target; labels: Labels; values: Values; last: number }[] = []
  answers.forEach((answer, i) => {
    if (answer instanceof Error) data.errors.push(answer.message.replace(/^invalid parameter "query": /, ''))
    else {
      data.warnings.push(...answer.warnings)
      all.push(...answer.found.map((f) => ({ target: panel.targets[i]!, ...f })))
    }
  })
  data.errors = [...new Set(data.errors)]
  data.warnings = [...new Set(data.warnings)]
  data.cut = Math.max(0, all.length - most)
  const differ = differing(all.map((f) => f.labels))
  data.series = all.slice(0, most).map((f) => withField(panel, { ...f, name: nameOf(f.target, f.labels, differ, panel.targets.length) }))
  return data
}

function asError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(String(cause))
}

async function ask(target: Target, panel: Panel, range: number, grid: Grid, interval: number, bindings: Bindings, signal: AbortSignal) {
  const expr = exprOf(target, range, grid, interval, bindings)
  if (target.instant || panel.kind === 'table') {
    const { samples, warnings } = await query(expr, signal, 2 * listed)
    return { warnings, found: samples.map((s) => ({ labels: s.labels, ...steady(s, grid) })) }
  }
  const { series, warnings } = await queryRange(expr, grid, signal, 2 * drawn)
  return { warnings, found: series.map((s) => ({ labels: s.labels, ...moving(s, grid) })) }
}

function steady(s: Sample, grid: Grid): { values: Values; last: number } {
  const v = s.histogram?.count ?? s.value
  return { values: valuesOf([[grid.end, v]], grid), last: v }
}

function moving(s: Series, grid: Grid): { values: Values; last: number } {
  return { values: valuesOf(s.points, grid), last: s.points.at(-1)?.[1] ?? NaN }
}

/** What the dashboard calls a series, else what tells it from the others. */
export function nameOf(target: Target, labels: Labels, differ: Set<string>, targets: number): string {
  if (target.legend && target.legend !== '__auto')
    return target.legend.replace(/\{\{\s*([^{}]+?)\s*\}\}/g, (_, label: string) => (Object.hasOwn(labels, label) ? labels[label]! : '')).slice(0, 1000)
  const own = Object.fromEntries(Object.entries(labels).filter(([k]) => differ.has(k)))
  const name = written(own)
  return name !== '{}' ? name : targets > 1 ? target.ref : written(labels) === '{}' ? target.expr.slice(0, 200) : written(labels)
}

/** The panel's field with what its overrides say of this series. */
function withField(panel: Panel, f: Omit<Found, 'field'>): Found {
  let field = panel.field
  for (const o of panel.overrides) {
    const matches = o.by === 'name' ? o.of === f.name : o.by === 'query' ? o.of === f.target.ref : pattern(o.of)?.test(f.name.slice(0, 500))
    if (matches) field = { ...field, ...o.field }
  }
  return { ...f, field, name: field.name && !field.name.includes('${') ? field.name : f.name }
}

/** A series as one number. NaN: it has none. */
export function reduce(how: string, values: Values, last: number): number {
  const all = values.filter((v) => v !== null)
  if (all.length === 0) return last
  switch (how) {
    case 'mean':
      return all.reduce((a, b) => a + b, 0) / all.length
    case 'sum':
      return all.reduce((a, b) => a + b, 0)
    case 'min':
      return Math.min(...all)
    case 'max':
      return Math.max(...all)
    case 'first': case 'firstNotNull':
      return all[0]!
    case 'range':
      return Math.max(...all) - Math.min(...all)
    case 'diff':
      return all.at(-1)! - all[0]!
    case 'count':
      return all.length
    case 'last':
      return last
  }
  return all.at(-1)!
}
