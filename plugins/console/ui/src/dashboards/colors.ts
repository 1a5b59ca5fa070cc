import type { Scheme } from '../chart/palette'
import type { Field, Step } from './model'

/** Grafana's colours by name; their shades ("dark-red") are the same here. */
const named: Record<string, Record<Scheme, string>> = {
  green: { light: '#1a8a4a', dark: '#3fc177' },
  yellow: { light: '#a78605', dark: '#dfc044' },
  orange: { light: '#c96a08', dark: '#f5a24b' },
  red: { light: '#cc2f3e', dark: '#ff6b78' },
  blue: { light: '#2266d3', dark: '#5e9dff' },
  purple: { light: '#8453d6', dark: '#b191ff' },
}

/** A colour of a dashboard as #rrggbb, which is all that reaches the page; undefined for what is none. */
export function colorOf(color: string, scheme: Scheme): string | undefined {
  const name = color.replace(/^(super-light|light|semi-dark|dark)-/, '')
  if (Object.hasOwn(named, name)) return named[name]![scheme]
  if (/^#[0-9a-f]{6}([0-9a-f]{2})?$/i.test(color)) return color.slice(0, 7).toLowerCase()
  if (/^#[0-9a-f]{3}$/i.test(color)) return '#' + [...color.slice(1)].map((c) => c + c).join('').toLowerCase()
  const rgb = /^rgba?\(\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*(,[\s\d.]+)?\)$/.exec(color)
  return rgb ? '#' + rgb.slice(1, 4).map((n) => Math.min(255, Number(n)).toString(16).padStart(2, '0')).join('') : undefined
}

/** The range of a gauge: what its field says, else from 0 to 100 %. */
export function rangeOf(f: Field): [number, number] {
  const min = f.min ?? 0
  const max = f.max ?? (f.unit === 'percentunit' ? 1 : 100)
  return max > min ? [min, max] : [min, min + 1]
}

/** Thresholds as values: shares are of the field's range. */
export function stepsOf(f: Field): Step[] {
  if (!f.percentages) return f.steps
  const [min, max] = rangeOf(f)
  return f.steps.map((s) => ({ ...s, from: min + ((max - min) * s.from) / 100 }))
}

/** The colour of the highest threshold that a value reaches; a mapping's own comes before. */
export function colorAt(v: number, f: Field, scheme: Scheme): string | undefined {
  const mapped = mappingOf(v, f)?.color
  if (mapped) return colorOf(mapped, scheme)
  if (f.color) return colorOf(f.color, scheme)
  const reached = stepsOf(f).findLast((s) => v >= s.from)
  return reached && colorOf(reached.color, scheme)
}

export function mappingOf(v: number, f: Field) {
  return f.mappings.find((m) => (Number.isNaN(m.from) && Number.isNaN(m.to) ? Number.isNaN(v) : v >= m.from && v <= m.to))
}
