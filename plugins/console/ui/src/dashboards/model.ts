import { fields, list, number, strings, text } from '../api/http'

// What the page knows of Grafana's dashboards. Their JSON comes from a file that may be a stranger's: what is of another type
// than expected counts as missing, every number has bounds, and all texts are shown as text.

/** Bounds: of what is beyond them the page says how much it leaves out. */
const most = { panels: 300, targets: 26, variables: 40, options: 500, steps: 20, overrides: 50, text: 20_000 }

export interface Dashboard {
  title: string
  description: string
  range: string // of time until now, such as "6h"
  refresh: string // such as "30s"; "": not by itself
  variables: Variable[]
  sections: Section[]
  left: number // panels beyond the bound
}

/** What stands below a row's title; the first has none. */
export interface Section {
  title: string
  collapsed: boolean
  panels: Panel[] // places count from the section's top
}

export interface Place {
  x: number
  y: number
  w: number // of 24 columns
  h: number // of 30 px and a gap
}

export type Kind = 'timeseries' | 'stat' | 'gauge' | 'bargauge' | 'table' | 'text' | 'other'

export interface Panel {
  id: string
  kind: Kind
  type: string // as it is written
  title: string
  description: string
  place: Place
  targets: Target[]
  least: string // step, such as "1m"
  text: string // of a text panel
  look: Look
  field: Field
  overrides: Override[]
  columns: Columns
}

export interface Target {
  ref: string
  expr: string
  legend: string
  instant: boolean
  least: string // step
}

/** How a panel draws; each kind takes what it knows. */
export interface Look {
  filled: boolean
  stacked: boolean
  legend: 'list' | 'none'
  calcs: string[] // in the legend: "mean", "max"…
  reduce: string // what a figure shows of a series: "lastNotNull", "mean"…
  graph: boolean // a line behind a figure
  names: boolean // of series beside figures, even of one
  thresholds: boolean // are drawn in a chart
}

/** How values are written and coloured. */
export interface Field {
  unit: string
  decimals: number | undefined
  min: number | undefined
  max: number | undefined
  name: string // in place of the series' own
  color: string
  percentages: boolean // thresholds are shares of the range from min to max
  steps: Step[]
  mappings: Mapping[]
  none: string // what is written where there is no value
}

export interface Step {
  from: number // -Infinity: the first
  color: string
}

export interface Mapping {
  from: number // NaN: matches what is no number
  to: number
  text: string
  color: string
}

export interface Override {
  by: 'name' | 'regexp' | 'query'
  of: string
  field: Partial<Field>
}

export interface Columns {
  without: string[]
  named: Record<string, string>
}

export interface Variable {
  name: string
  label: string
  kind: 'query' | 'custom' | 'interval' | 'constant' | 'text'
  query: string
  regex: string
  sort: number
  multi: boolean
  all: boolean // "All" is one of the choices
  allValue: string
  hidden: boolean
  current: string[] // "$__all": all
}

export const all = '$__all'

export function readDashboard(json: unknown): Dashboard {
  const d = fields(json)
  const { sections, left } = readSections(d)
  return {
    title: text(d.title),
    description: text(d.description),
    range: /^now-\d+[smhdwy]$/.test(text(fields(d.time).from)) ? text(fields(d.time).from).slice(4) : '',
    refresh: text(d.refresh),
    variables: list(fields(d.templating).list).slice(0, most.variables).flatMap(readVariable),
    sections,
    left,
  }
}

// ---- Rows and places

function readSections(d: Record<string, unknown>): { sections: Section[]; left: number } {
  const sections: Section[] = [{ title: '', collapsed: false, panels: [] }]
  let room = most.panels
  let left = 0
  const add = (v: unknown, place?: Place) => {
    if (room-- > 0) sections.at(-1)!.panels.push(readPanel(fields(v), most.panels - room, place))
    else left++
  }
  const panels = list(d.panels).map(fields)
  for (const p of panels.toSorted((a, b) => order(a) - order(b))) {
    if (p.type !== 'row') {
      add(p)
      continue
    }
    sections.push({ title: text(p.title), collapsed: p.collapsed === true, panels: [] })
    list(p.panels).forEach((v) => add(v))
  }
  for (const row of list(d.rows).map(fields)) {
    // The form before 2018: rows of panels, whose width is a share of twelve.
    sections.push({ title: row.showTitle === false ? '' : text(row.title), collapsed: row.collapse === true, panels: [] })
    let x = 0
    let y = 0
    for (const p of list(row.panels).map(fields)) {
      const w = 2 * within(p.span, 1, 12, 12)
      if (x + w > 24) {
        x = 0
        y += 8
      }
      add(p, { x, y, w, h: 8 })
      x += w
    }
  }
  return { sections: sections.filter((s) => s.panels.length > 0 || s.title).slice(0, most.panels).map(fromTop), left }
}

function order(p: Record<string, unknown>): number {
  const { x, y } = fields(p.gridPos)
  return 100 * number(y) + number(x)
}

/** A section begins at its first panel: what stands above it in the file is in other sections. */
function fromTop(s: Section): Section {
  const top = Math.min(...s.panels.map((p) => p.place.y))
  return { ...s, panels: s.panels.map((p) => ({ ...p, place: { ...p.place, y: Math.min(p.place.y - top, 5000) } })) }
}

function readPlace(v: unknown): Place {
  const { x, y, w, h } = fields(v)
  const left = within(x, 0, 23, 0)
  return { x: left, y: within(y, 0, 1e6, 0), w: Math.min(24 - left, within(w, 1, 24, 12)), h: within(h, 2, 60, 8) }
}

function within(v: unknown, least: number, greatest: number, otherwise: number): number {
  return typeof v === 'number' && Number.isFinite(v) ? Math.min(greatest, Math.max(least, Math.floor(v))) : otherwise
}

// ---- Panels

const kinds: Record<string, Kind> = {
  timeseries: 'timeseries', graph: 'timeseries', stat: 'stat', singlestat: 'stat', gauge: 'gauge', bargauge: 'bargauge',
  table: 'table', 'table-old': 'table', text: 'text',
}

function readPanel(p: Record<string, unknown>, n: number, place?: Place): Panel {
  const options = fields(p.options)
  const type = text(p.type).slice(0, 100)
  const { defaults, overrides } = fields(p.fieldConfig)
  return {
    id: `${n}`,
    kind: Object.hasOwn(kinds, type) ? kinds[type]! : 'other',
    type,
    title: text(p.title),
    description: text(p.description),
    place: place ?? readPlace(p.gridPos),
    targets: list(p.targets).map(fields).filter((t) => text(t.expr) && t.hide !== true).slice(0, most.targets).map(readTarget),
    least: text(p.interval),
    text: (text(options.content) || text(p.content)).slice(0, most.text),
    look: type === 'graph' || type === 'singlestat' ? oldLook(p) : readLook(options, fields(fields(defaults).custom)),
    field: type === 'graph' || type === 'singlestat' ? oldField(p) : readField(fields(defaults)),
    overrides: list(overrides).slice(0, most.overrides).flatMap(readOverride),
    columns: readColumns(p.transformations),
  }
}

function readTarget(t: Record<string, unknown>, i: number): Target {
  return {
    ref: text(t.refId) || String.fromCharCode(65 + i),
    expr: text(t.expr),
    legend: text(t.legendFormat),
    instant: t.instant === true && t.range !== true,
    least: text(t.interval),
  }
}

function readLook(o: Record<string, unknown>, custom: Record<string, unknown>): Look {
  const legend = fields(o.legend)
  const stacking = text(fields(custom.stacking).mode)
  const style = text(fields(custom.thresholdsStyle).mode)
  return {
    filled: number(custom.fillOpacity) > 0 || custom.drawStyle === 'bars',
    stacked: stacking === 'normal' || stacking === 'percent',
    legend: legend.showLegend === false || legend.displayMode === 'hidden' ? 'none' : 'list',
    calcs: strings(legend.calcs).slice(0, 4),
    reduce: strings(fields(o.reduceOptions).calcs)[0] ?? 'lastNotNull',
    graph: o.graphMode === 'area',
    names: o.textMode === 'value_and_name' || o.textMode === 'name',
    thresholds: style !== '' && style !== 'off',
  }
}

function readField(f: Record<string, unknown>): Field {
  const { mode, fixedColor } = fields(f.color)
  return {
    unit: text(f.unit),
    decimals: typeof f.decimals === 'number' ? within(f.decimals, 0, 10, 0) : undefined,
    min: finite(f.min),
    max: finite(f.max),
    name: text(f.displayName),
    color: mode === 'fixed' ? text(fixedColor) : '',
    percentages: fields(f.thresholds).mode === 'percentage',
    steps: list(fields(f.thresholds).steps).slice(0, most.steps).map((v, i) => {
      const { value, color } = fields(v)
      return { from: i === 0 ? -Infinity : number(value), color: text(color) }
    }),
    mappings: list(f.mappings).slice(0, most.options).flatMap(readMapping).slice(0, most.options),
    none: text(f.noValue),
  }
}

function finite(v: unknown): number | undefined {
  const n = typeof v === 'string' && v.trim() !== '' ? Number(v) : v // the form before 2020 has them as text
  return typeof n === 'number' && Number.isFinite(n) ? n : undefined
}

function readMapping(v: unknown): Mapping[] {
  const m = fields(v)
  const options = fields(m.options)
  const result = fields(options.result)
  const to = { text: text(result.text), color: text(result.color) }
  if (m.type === 'value')
    return Object.entries(options).map(([k, r]) => ({ from: Number(k), to: Number(k), text: text(fields(r).text), color: text(fields(r).color) }))
  if (m.type === 'range') return [{ from: finite(options.from) ?? -Infinity, to: finite(options.to) ?? Infinity, ...to }]
  if (m.type === 'special' && /null|nan/.test(text(options.match))) return [{ from: NaN, to: NaN, ...to }]
  if (typeof m.text === 'string' && m.value !== undefined) return [{ from: Number(m.value), to: Number(m.value), text: m.text, color: '' }]
  return []
}

const matchers: Record<string, Override['by']> = { byName: 'name', byRegexp: 'regexp', byFrameRefID: 'query' }

function readOverride(v: unknown): Override[] {
  const { matcher, properties } = fields(v)
  const { id, options } = fields(matcher)
  const by = Object.hasOwn(matchers, text(id)) ? matchers[text(id)] : undefined
  if (!by) return []
  const given = Object.fromEntries(list(properties).slice(0, 100).map((p) => [text(fields(p).id), fields(p).value]))
  const read = readField(given)
  const field: Partial<Field> = {}
  if ('unit' in given) field.unit = read.unit
  if ('displayName' in given) field.name = read.name
  if ('color' in given) field.color = read.color
  if ('decimals' in given) field.decimals = read.decimals
  if ('min' in given) field.min = read.min
  if ('max' in given) field.max = read.max
  if ('mappings' in given) field.mappings = read.mappings
  if ('thresholds' in given) {
    field.steps = read.steps
    field.percentages = read.percentages
  }
  return [{ by, of: text(options).slice(0, 500), field }]
}

/** Of a table's transformations the one that names and leaves out columns is known. */
function readColumns(v: unknown): Columns {
  const without: string[] = []
  const named: Record<string, string> = {}
  for (const t of list(v).slice(0, 20).map(fields)) {
    if (t.id !== 'organize') continue
    const o = fields(t.options)
    for (const [k, out] of Object.entries(fields(o.excludeByName))) if (out === true) without.push(k)
    for (const [k, name] of Object.entries(fields(o.renameByName))) if (text(name)) named[k] = text(name)
  }
  return { without, named }
}

/** The panels of before: "graph" and "singlestat". */
function oldLook(p: Record<string, unknown>): Look {
  const legend = fields(p.legend)
  const calcs: [string, string][] = [['min', 'min'], ['max', 'max'], ['avg', 'mean'], ['current', 'lastNotNull'], ['total', 'sum']]
  const reduce: Record<string, string> = { avg: 'mean', min: 'min', max: 'max', total: 'sum', first: 'first' }
  return {
    filled: finite(p.fill) === undefined ? p.type === 'graph' : number(p.fill) > 0,
    stacked: p.stack === true,
    legend: legend.show === false ? 'none' : 'list',
    calcs: legend.values === true ? calcs.filter(([k]) => legend[k] === true).map(([, v]) => v) : [],
    reduce: reduce[text(p.valueName)] ?? 'lastNotNull',
    graph: fields(p.sparkline).show === true,
    names: false,
    thresholds: false,
  }
}

function oldField(p: Record<string, unknown>): Field {
  const y = fields(list(p.yaxes)[0])
  const limits = text(p.thresholds).split(',').filter((s) => s.trim() !== '').map(Number)
  const colors = strings(p.colors)
  return {
    ...readField({ unit: text(y.format) || text(p.format), decimals: p.decimals, min: y.min, max: y.max, mappings: list(p.valueMaps) }),
    steps: p.colorValue === true || p.colorBackground === true
      ? colors.slice(0, limits.length + 1).map((color, i) => ({ from: i === 0 ? -Infinity : (limits[i - 1] ?? 0), color }))
      : [],
  }
}

// ---- Variables

const variableKinds: Record<string, Variable['kind']> = { query: 'query', custom: 'custom', interval: 'interval', constant: 'constant', textbox: 'text' }

/** Those of other types, such as the data source, are not asked for: there is one store. */
function readVariable(v: unknown): Variable[] {
  const d = fields(v)
  const kind = Object.hasOwn(variableKinds, text(d.type)) ? variableKinds[text(d.type)] : undefined
  const name = text(d.name)
  if (!kind || !/^\w{1,100}$/.test(name)) return []
  const value = fields(d.current).value
  return [{
    name,
    label: text(d.label) || name,
    kind,
    query: (text(d.query) || text(fields(d.query).query) || text(d.definition)).slice(0, most.text),
    regex: text(d.regex).slice(0, 200),
    sort: number(d.sort),
    multi: d.multi === true,
    all: d.includeAll === true,
    allValue: text(d.allValue),
    hidden: d.hide === 2 || kind === 'constant',
    current: typeof value === 'string' ? [value] : strings(value).slice(0, most.options),
  }]
}
