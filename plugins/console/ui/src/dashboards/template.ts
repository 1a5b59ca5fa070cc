import { all, type Variable } from './model'

// Template variables, as Grafana replaces them in PromQL: $name, ${name}, ${name:format}, [[name]].

/** What a variable stands for. */
export interface Bound {
  values: string[]
  many: boolean // may be several: they become a regular expression
  raw?: string // stands as it is: what "All" means where the dashboard says it
  shown?: string // in titles and texts, in place of the values
}

export type Bindings = Record<string, Bound>

const reference = /\$\{(\w+)(?:\.\w+)?(?::(\w+))?\}|\$(\w+)|\[\[(\w+)(?::(\w+))?\]\]/g

/** Replaces what is known; the rest stays as it is. The result is bounded, for the variables may be long. */
export function fill(template: string, bindings: Bindings): string {
  let room = 100_000
  return template.replace(reference, (whole, a, formatA, b, c, formatC) => {
    const name = a ?? b ?? c
    if (!Object.hasOwn(bindings, name)) return whole
    const text = written(bindings[name]!, formatA ?? formatC ?? '')
    room -= text.length
    return room > 0 ? text : whole
  })
}

/** The names of the variables that a template names. */
export function names(template: string): string[] {
  return [...template.matchAll(reference)].map((m) => m[1] ?? m[3] ?? m[4] ?? '')
}

function written({ values, many, raw }: Bound, format: string): string {
  if (raw !== undefined) return raw
  switch (format) {
    case 'raw': case 'text': case 'csv':
      return values.join(',')
    case 'pipe':
      return values.join('|')
    case 'doublequote':
      return values.map((v) => JSON.stringify(v)).join(',')
    case 'singlequote':
      return values.map((v) => `'${v.replace(/['\\]/g, '\\$&')}'`).join(',')
    case 'regex':
      return values.length === 1 ? pattern(values[0]!) : `(${values.map(pattern).join('|')})`
  }
  if (!many) return values.map((v) => v.replace(/\\/g, '\\\\').replace(/"/g, '\\"')).join(',')
  return values.length === 1 ? pattern(values[0]!) : `(${values.map(pattern).join('|')})`
}

/** A value as a regular expression that matches it, within a PromQL string: what is escaped there needs two backslashes. */
function pattern(v: string): string {
  return v.replace(/[\\^$.*+?()[\]{}|/"]/g, (c) => (c === '/' ? c : c === '"' ? '\\"' : c === '\\' ? '\\\\\\\\' : `\\\\${c}`))
}

/** Seconds as PromQL writes a duration. */
export function promDuration(s: number): string {
  return s >= 1 ? `${Math.round(s)}s` : `${Math.max(1, Math.round(s * 1000))}ms`
}

/** The variables that a query brings with it. A rate needs four collections in its window, and all between two steps. */
export function builtIn(range: number, step: number, interval: number, now: number): Bindings {
  const bound = (v: string): Bound => ({ values: [v], many: false })
  return {
    __interval: bound(promDuration(step)),
    __interval_ms: bound(String(step * 1000)),
    __rate_interval: bound(promDuration(Math.max(step + interval, 4 * interval))),
    __range: bound(promDuration(range)),
    __range_s: bound(String(Math.round(range))),
    __range_ms: bound(String(Math.round(range * 1000))),
    __from: bound(String(Math.round((now - range) * 1000))),
    __to: bound(String(Math.round(now * 1000))),
  }
}

/** What a choice means: `chosen` are values, or "$__all". */
export function bind(v: Variable, options: string[], chosen: string[]): Bound {
  const many = v.multi || v.all
  if (!chosen.includes(all)) return { values: chosen, many }
  const raw = v.allValue || (options.length === 0 ? '.*' : undefined)
  return { values: options, many, shown: 'All', ...(raw !== undefined && { raw }) }
}
