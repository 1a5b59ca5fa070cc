import { fetchLabelNames, fetchLabelValues } from '../api/dashboards'
import { query } from '../api/prometheus'
import { series } from '../format'
import { all, type Variable } from './model'
import { bind, fill, type Bindings } from './template'

const most = 1000 // options of a variable

/** A variable with what can be chosen and what is. */
export interface Choice {
  variable: Variable
  options: string[]
  chosen: string[]
  error?: string
}

export type Chosen = Record<string, string[]>

/** The options of all variables, one after the other: a query may name those before it. Only an abort is thrown. */
export async function resolve(variables: Variable[], wanted: Chosen, range: number, fixed: Bindings, signal: AbortSignal): Promise<Choice[]> {
  const choices: Choice[] = []
  for (const variable of variables) {
    const bindings = { ...fixed, ...bindingsOf(choices) }
    let options: string[] = []
    let error: string | undefined
    try {
      options = await optionsOf(variable, bindings, range, signal)
    } catch (cause) {
      signal.throwIfAborted()
      error = cause instanceof Error ? cause.message : String(cause)
    }
    const chosen = choose(variable, options, wanted[variable.name])
    choices.push({ variable, options, chosen, ...(error !== undefined && { error }) })
  }
  return choices
}

export function bindingsOf(choices: Choice[]): Bindings {
  return Object.fromEntries(choices.map((c) => [c.variable.name, bind(c.variable, c.options, c.chosen)]))
}

async function optionsOf(v: Variable, bindings: Bindings, range: number, signal: AbortSignal): Promise<string[]> {
  switch (v.kind) {
    case 'query':
      return sorted(chosenBy(v.regex, await ask(fill(v.query, bindings), range, signal)), v.sort).slice(0, most)
    case 'custom':
      return listed(fill(v.query, bindings))
    case 'interval':
      return listed(v.query).filter((o) => /^\d+(ms|[smhdwy])$/.test(o))
    case 'constant':
      return [v.query]
    case 'text':
      return [v.current[0] ?? v.query]
  }
}

/** "a, b, name : c", where a comma in a value has a backslash. */
export function listed(text: string): string[] {
  const parts = text.match(/(?:\\,|[^,])+/g) ?? []
  return parts.slice(0, most).map((p) => p.replace(/\\,/g, ',').replace(/^.* : /, '').trim()).filter(Boolean)
}

/** label_values(…), label_names(), metrics(…), query_result(…): Grafana's functions of variables. */
async function ask(text: string, range: number, signal: AbortSignal): Promise<string[]> {
  const [, name = '', inner = ''] = /^\s*(\w+)\(([^]*)\)\s*$/.exec(text) ?? []
  switch (name) {
    case 'label_values': {
      const [, match = '', label = ''] = /^(?:([^]*),)?\s*([\w.]+)\s*$/.exec(inner) ?? []
      return fetchLabelValues(label, match.trim(), range, signal)
    }
    case 'label_names':
      return fetchLabelNames(inner.trim(), signal)
    case 'metrics': {
      const re = pattern(inner.trim())
      return (await fetchLabelValues('__name__', '', range, signal)).filter((v) => re?.test(v))
    }
    case 'query_result':
      return (await query(inner, signal, most)).samples.map((s) => `${series(s.labels)} ${s.value} ${Math.round(s.time * 1000)}`)
  }
  throw new Error(text.trim() ? `the page does not know how to ask ${text.slice(0, 200)}` : 'the variable has no query')
}

/** A pattern of the dashboard; undefined if it is none. Texts and patterns are short, the browser's own limit is all beyond. */
export function pattern(source: string): RegExp | undefined {
  const [, inner = source, flags = ''] = /^\/([^]*)\/([imsu]*)$/.exec(source) ?? []
  try {
    return new RegExp(inner.slice(0, 200), flags)
  } catch {
    return undefined
  }
}

/** What a variable's pattern leaves: what it matches, or the part in (value) or the first parentheses. */
export function chosenBy(regex: string, values: string[]): string[] {
  const re = regex ? pattern(regex) : undefined
  if (!re) return [...new Set(values)]
  return [...new Set(values.flatMap((v) => {
    const m = re.exec(v.slice(0, 2000))
    return m ? [m.groups?.value ?? m[1] ?? v] : []
  }))]
}

/** Grafana's orders: 1 and 2 by letters, 3 and 4 by number, 5 and 6 by letters whatever their case; even ones downwards. */
export function sorted(values: string[], sort: number): string[] {
  if (sort < 1 || sort > 6) return values
  const n = (s: string) => Number(/-?\d+(\.\d+)?/.exec(s)?.[0] ?? Infinity)
  const less =
    sort <= 2 ? (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)
    : sort <= 4 ? (a: string, b: string) => (n(a) < n(b) ? -1 : n(a) > n(b) ? 1 : 0)
    : (a: string, b: string) => a.localeCompare(b, 'en', { sensitivity: 'base' })
  return values.toSorted((a, b) => (sort % 2 === 0 ? -less(a, b) : less(a, b)))
}

/** What is chosen: what is wanted, else what the dashboard says, else the first; only what there is. */
export function choose(v: Variable, options: string[], wanted: string[] | undefined): string[] {
  if (v.kind === 'text') return [(wanted ?? options)[0] ?? '']
  for (const some of [wanted ?? [], v.current]) {
    if (v.all && some.includes(all)) return [all]
    const there = some.filter((o) => options.includes(o))
    if (there.length > 0) return v.multi ? there : there.slice(0, 1)
  }
  return v.all ? [all] : options.slice(0, 1)
}
