// Numbers, sizes, times and series as the page writes them. Every function takes plain numbers in the unit that its name
// or comment says, and answers "–" for what is not a number.

const nothing = '–'

function digits(v: number): string {
  const a = Math.abs(v)
  return a >= 100 ? v.toFixed(0) : a >= 10 ? v.toFixed(1) : v.toFixed(2)
}

function scaled(v: number, base: number, units: string[]): string {
  if (!Number.isFinite(v)) return Number.isNaN(v) ? nothing : value(v)
  let i = 0
  // 999.5 would be written as 1000: the next unit says it shorter.
  while (Math.abs(v) >= base - 0.5 && i < units.length - 1) {
    v /= base
    i++
  }
  const n = i === 0 && Number.isInteger(v) ? String(v) : digits(v)
  return units[i] ? `${n} ${units[i]}` : n
}

export function bytes(v: number): string {
  return scaled(v, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'])
}

export function bytesPerSecond(v: number): string {
  return Number.isNaN(v) ? nothing : bytes(v) + '/s'
}

/** Counts: 1,234 below 10,000, then 12.3 k, 4.56 M. */
export function count(v: number): string {
  if (Number.isInteger(v) && Math.abs(v) < 10_000) return v.toLocaleString('en')
  return scaled(v, 1000, ['', 'k', 'M', 'G', 'T'])
}

/** "1 error", "3 errors", "12.3 k errors". */
export function counted(n: number, what: string): string {
  return `${count(n)} ${what}${n === 1 ? '' : 's'}`
}

/** A ratio (0.123) as "12.3 %". */
export function percent(ratio: number): string {
  if (!Number.isFinite(ratio)) return nothing
  const v = ratio * 100
  return `${Math.abs(v) >= 99.95 ? v.toFixed(0) : Math.abs(v) >= 10 ? v.toFixed(1) : v.toFixed(Math.abs(v) < 0.995 && v !== 0 ? 2 : 1)} %`
}

/** A plain number with up to two digits after the point. */
export function decimal(v: number): string {
  return Number.isFinite(v) ? digits(v) : value(v)
}

/** Seconds as the shortest exact-enough text: "350 ms", "4.2 s", "3 m 20 s", "2 d 4 h". */
export function duration(s: number): string {
  if (!Number.isFinite(s)) return nothing
  if (s < 0.0000005) return '0 s'
  if (s < 0.001) return `${digits(s * 1e6)} µs`
  if (s < 1) return `${digits(s * 1e3)} ms`
  if (s < 60) return `${Number.isInteger(s) ? s : digits(s)} s`
  const whole = Math.round(s)
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'm'],
    [whole % 60, 's'],
  ]
  const first = parts.findIndex(([n]) => n > 0)
  return parts
    .slice(first, first + 2)
    .filter(([n]) => n > 0)
    .map(([n, unit]) => `${n} ${unit}`)
    .join(' ')
}

/** How long ago a time (ms) was, in whole seconds; "never" for 0. */
export function ago(ms: number, now: number): string {
  if (ms === 0) return 'never'
  const s = Math.max(0, Math.round((now - ms) / 1000))
  return s < 2 ? 'now' : `${duration(s)} ago`
}

/** A time (ms) in the reader's zone: "14:03:27", with the day if it is not today's. */
export function clock(ms: number, now = Date.now()): string {
  if (ms === 0) return 'never'
  const d = new Date(ms)
  const time = [d.getHours(), d.getMinutes(), d.getSeconds()].map(two).join(':')
  return d.toDateString() === new Date(now).toDateString() ? time : `${day(d)} ${time}`
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

export function day(d: Date): string {
  return `${d.getDate()} ${months[d.getMonth()]}`
}

export function two(n: number): string {
  return String(n).padStart(2, '0')
}

/** A sample's value, exact to six digits, as PromQL would read it. */
export function value(v: number): string {
  if (Number.isNaN(v)) return 'NaN'
  if (!Number.isFinite(v)) return v > 0 ? '+Inf' : '-Inf'
  if (Number.isInteger(v) && Math.abs(v) < 1e15) return v.toLocaleString('en')
  return String(Number(v.toPrecision(6)))
}

/** A series in PromQL's notation; names with other characters than PromQL's own are quoted. */
export function series(labels: Record<string, string>): string {
  const { __name__: name = '', ...rest } = labels
  const plain = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name)
  const pairs = Object.entries(rest).map(([k, v]) => `${/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(k) ? k : quote(k)}=${quote(v)}`)
  if (name && !plain) return `{${[quote(name), ...pairs].join(', ')}}`
  return pairs.length || !name ? `${name}{${pairs.join(', ')}}` : name
}

/** A string as a PromQL literal: JSON's escapes are a subset of Go's. */
export function quote(s: string): string {
  return JSON.stringify(s)
}

/** A number on an axis or in a tooltip whose unit is not known: four digits, with SI prefixes from 10,000. */
export function compact(v: number): string {
  if (!Number.isFinite(v)) return value(v)
  return Math.abs(v) >= 10_000 ? scaled(v, 1000, ['', 'k', 'M', 'G', 'T', 'P', 'E']) : String(Number(v.toPrecision(4)))
}
