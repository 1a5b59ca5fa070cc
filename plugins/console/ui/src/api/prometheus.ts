import { fetchJSON, fields, list, number, stringMap, strings, text } from './http'

export type Labels = Record<string, string>

/** A series of an instant query; histogram is set in place of value for native histograms. */
export interface Sample {
  labels: Labels
  time: number // s since the epoch
  value: number // NaN for a histogram
  histogram?: { count: number; sum: number }
}

/** A series of a range query; histograms are drawn as their count. */
export interface Series {
  labels: Labels
  points: [time: number, value: number][]
}

export interface Vector {
  samples: Sample[]
  warnings: string[]
}

export interface Matrix {
  series: Series[]
  warnings: string[]
}

/** Steps of a range query: start, end and step in seconds, start and end multiples of the step. */
export interface Grid {
  start: number
  end: number
  step: number
}

/** Evaluates an expression on the newest data; a limit cuts the result, with a warning. */
export async function query(expr: string, signal: AbortSignal, limit?: number): Promise<Vector> {
  const { data, warnings } = await get('query', { query: expr, ...(limit && { limit: String(limit) }) }, signal)
  const { resultType, result } = fields(data)
  return { samples: readInstant(text(resultType), result), warnings }
}

export async function queryRange(expr: string, grid: Grid, signal: AbortSignal, limit?: number): Promise<Matrix> {
  const { start, end, step } = grid
  const { data, warnings } = await get(
    'query_range',
    { query: expr, start: String(start), end: String(end), step: String(step), ...(limit && { limit: String(limit) }) },
    signal,
  )
  return { series: list(fields(data).result).map(readSeries), warnings }
}

/** A list of names or values: of labels, such as "label/job/values", at most 2000 of them. */
export async function fetchNames(route: string, params: Record<string, string>, signal: AbortSignal): Promise<string[]> {
  const { data } = await get(route, { ...params, limit: '2000' }, signal)
  return strings(data)
}

function readInstant(type: string, result: unknown): Sample[] {
  if (type === 'scalar' || type === 'string') return [{ labels: {}, ...point(result) }]
  return list(result).map((v) => {
    const { metric, value, histogram, values, histograms } = fields(v)
    const labels = stringMap(metric)
    if (histogram) return { labels, ...histogramPoint(histogram) }
    if (histograms) return { labels, ...histogramPoint(list(histograms).at(-1)) }
    return { labels, ...point(value ?? list(values).at(-1)) } // a range vector is shown by its newest sample
  })
}

function point(v: unknown): { time: number; value: number } {
  const [time, value] = list(v)
  return { time: number(time), value: parseValue(text(value)) }
}

function histogramPoint(v: unknown): Omit<Sample, 'labels'> {
  const [time, h] = list(v)
  const { count, sum } = fields(h)
  return { time: number(time), value: NaN, histogram: { count: number(count), sum: number(sum) } }
}

function readSeries(v: unknown): Series {
  const { metric, values, histograms } = fields(v)
  const points = list(values).map((p): [number, number] => {
    const { time, value } = point(p)
    return [time, value]
  })
  for (const h of list(histograms)) {
    const { time, histogram } = histogramPoint(h)
    points.push([time, histogram?.count ?? NaN])
  }
  return { labels: stringMap(metric), points }
}

/** Values come as strings, among them NaN, +Inf and -Inf. */
export function parseValue(s: string): number {
  if (s === '+Inf' || s === 'Inf') return Infinity
  if (s === '-Inf') return -Infinity
  return s === '' ? NaN : Number(s)
}

export interface Target {
  labels: Labels
  pool: string // the address of the source
  url: string
  health: string // "up", "down", "unknown"
  error: string
  last: number // ms since the epoch; 0: never
  took: number // s
  interval: number // s
}

export async function fetchTargets(signal: AbortSignal): Promise<Target[]> {
  const { data } = await get('targets', { state: 'active' }, signal)
  return list(fields(data).activeTargets).map((v) => {
    const t = fields(v)
    return {
      labels: stringMap(t.labels),
      pool: text(t.scrapePool),
      url: text(t.scrapeUrl),
      health: text(t.health),
      error: text(t.lastError),
      last: parseTime(t.lastScrape),
      took: number(t.lastScrapeDuration),
      interval: parseDuration(text(t.scrapeInterval)),
    }
  })
}

export interface RuleGroup {
  name: string
  file: string
  interval: number // s
  last: number // ms since the epoch
  took: number // s
  rules: Rule[]
}

export interface Rule {
  kind: 'alert' | 'record'
  name: string
  expr: string
  state: string // "inactive", "pending", "firing"; "" for a recording rule
  health: string // "ok", "err", "unknown"
  error: string
  hold: number // s; the rule's `for`
  labels: Labels
  annotations: Labels
  alerts: Alert[]
}

export interface Alert {
  state: string // "pending", "firing"
  labels: Labels
  annotations: Labels
  since: number // ms since the epoch
  value: number
}

export async function fetchRules(signal: AbortSignal): Promise<RuleGroup[]> {
  const { data } = await get('rules', {}, signal)
  return list(fields(data).groups).map((v) => {
    const g = fields(v)
    return {
      name: text(g.name),
      file: text(g.file),
      interval: number(g.interval),
      last: parseTime(g.lastEvaluation),
      took: number(g.evaluationTime),
      rules: list(g.rules).map((r) => readRule(fields(r))),
    }
  })
}

function readRule(r: Record<string, unknown>): Rule {
  return {
    kind: text(r.type) === 'alerting' ? 'alert' : 'record',
    name: text(r.name),
    expr: text(r.query),
    state: text(r.state),
    health: text(r.health),
    error: text(r.lastError),
    hold: number(r.duration),
    labels: stringMap(r.labels),
    annotations: stringMap(r.annotations),
    alerts: list(r.alerts).map((v) => {
      const a = fields(v)
      return {
        state: text(a.state),
        labels: stringMap(a.labels),
        annotations: stringMap(a.annotations),
        since: parseTime(a.activeAt),
        value: parseValue(text(a.value)),
      }
    }),
  }
}

/** RFC 3339 to ms; Go's zero time, which means never, and what is no time to 0. */
export function parseTime(v: unknown): number {
  const ms = Date.parse(text(v))
  return ms > 0 ? ms : 0
}

const units: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400, w: 604_800, y: 31_536_000 }

/** Prometheus' and Go's spelling of durations ("15s", "1m30s", "0.5s") to seconds; 0 for what is none. */
export function parseDuration(s: string): number {
  if (!/^([0-9.]+(ms|[smhdwy]))+$/.test(s)) return 0
  return [...s.matchAll(/([0-9.]+)(ms|[smhdwy])/g)].reduce((sum, [, n, unit]) => sum + Number(n) * (units[unit!] ?? 0), 0)
}

async function get(route: string, params: Record<string, string>, signal: AbortSignal) {
  const search = new URLSearchParams(params).toString()
  const body = fields(await fetchJSON(`/api/v1/${route}${search && '?' + search}`, signal))
  return { data: body.data, warnings: list(body.warnings).map(text) }
}
