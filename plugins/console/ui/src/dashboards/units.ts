import type { Unit } from '../chart/axes'
import { bytes, compact, count, duration, percent, value } from '../format'

const bits = (v: number) => `${compact(v)}${Math.abs(v) >= 10_000 ? '' : ' '}b`
const rate = (what: string) => (v: number) => `${compact(v)} ${what}/s`
const decimalBytes = (v: number) => `${compact(v)}${Math.abs(v) >= 10_000 ? '' : ' '}B`
const signed = (f: (v: number) => string) => (v: number) => (v < 0 ? `-${f(-v)}` : f(v))
const time = (factor: number) => signed((v: number) => duration(v * factor))

/** Grafana's names of the units that this page writes in its own way; more are written as numbers. */
const formats: Record<string, (v: number) => string> = {
  none: compact, short: compact, locale: (v) => v.toLocaleString('en'), string: (v) => String(v),
  percent: (v) => percent(v / 100), percentunit: percent,
  bytes, decbytes: decimalBytes, kbytes: (v) => bytes(v * 1024), mbytes: (v) => bytes(v * 1024 ** 2), gbytes: (v) => bytes(v * 1024 ** 3),
  deckbytes: (v) => decimalBytes(v * 1e3), decmbytes: (v) => decimalBytes(v * 1e6), bits, decbits: bits,
  Bps: (v) => `${decimalBytes(v)}/s`, binBps: (v) => `${bytes(v)}/s`, bps: (v) => `${bits(v)}/s`, binbps: (v) => `${bits(v)}/s`,
  KBs: (v) => `${decimalBytes(v * 1e3)}/s`, KiBs: (v) => `${bytes(v * 1024)}/s`, MBs: (v) => `${decimalBytes(v * 1e6)}/s`, MiBs: (v) => `${bytes(v * 1024 ** 2)}/s`,
  ns: time(1e-9), 'µs': time(1e-6), ms: time(1e-3), s: time(1), m: time(60), h: time(3600), d: time(86_400), dtdurations: time(1), dtdurationms: time(1e-3),
  clocks: time(1), clockms: time(1e-3),
  ops: rate('ops'), reqps: rate('req'), rps: rate('reads'), wps: rate('writes'), iops: rate('I/O'), pps: rate('packets'), cps: rate(''), eps: rate('events'), mps: rate('messages'),
  celsius: (v) => `${compact(v)} °C`, fahrenheit: (v) => `${compact(v)} °F`, volt: (v) => `${compact(v)} V`, amp: (v) => `${compact(v)} A`, watt: (v) => `${compact(v)} W`, hertz: (v) => `${compact(v)} Hz`, rotrpm: (v) => `${compact(v)} rpm`,
  bool: (v) => (v ? 'true' : 'false'), bool_yes_no: (v) => (v ? 'yes' : 'no'), bool_on_off: (v) => (v ? 'on' : 'off'),
  dateTimeAsIso: date, dateTimeAsLocal: date, dateTimeFromNow: (v) => `${time(1e-3)(Math.max(0, Date.now() - v))} ago`, dateTimeAsSystem: date,
}

const binary = new Set(['bytes', 'binBps', 'KiBs', 'MiBs', 'kbytes', 'mbytes', 'gbytes'])

function date(ms: number): string {
  const d = new Date(ms)
  return Number.isNaN(d.getTime()) ? value(ms) : d.toISOString().replace('T', ' ').slice(0, 19)
}

/** How a dashboard's unit is written; "suffix:…" and "prefix:…" are its own words. */
export function unitOf(name: string, decimals?: number): Unit {
  const [, where, word = ''] = /^(suffix|prefix):([^]{1,40})/.exec(name) ?? []
  const plain = decimals === undefined ? compact : (v: number) => (Math.abs(v) >= 1e5 ? count(v) : v.toLocaleString('en', { maximumFractionDigits: decimals, minimumFractionDigits: decimals }))
  const format =
    where === 'suffix' ? (v: number) => `${plain(v)} ${word.trim()}`
    : where === 'prefix' ? (v: number) => `${word}${plain(v)}`
    : !Object.hasOwn(formats, name) || name === 'none' || name === 'short' ? plain
    : decimals !== undefined && /^percent/.test(name) ? (v: number) => `${(name === 'percent' ? v : v * 100).toFixed(decimals)} %`
    : formats[name]!
  const finite = (v: number) => (Number.isFinite(v) ? format(v) : value(v))
  return binary.has(name) ? { format: finite, binary: true } : { format: finite }
}
