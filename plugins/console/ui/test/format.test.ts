import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ago, bytes, bytesPerSecond, compact, count, counted, duration, percent, series, value } from '../src/format'

function table(f: (v: number) => string, rows: [number, string][]) {
  for (const [v, want] of rows) assert.equal(f(v), want, `of ${v}`)
}

test('bytes are written in powers of 1024 with three digits', () => {
  table(bytes, [[0, '0 B'], [1, '1 B'], [1023, '1023 B'], [1024, '1.00 KiB'], [1536, '1.50 KiB'], [25_232_932_864, '23.5 GiB'], [-2048, '-2.00 KiB'], [NaN, '–']])
  assert.equal(bytesPerSecond(1_048_576), '1.00 MiB/s')
  assert.equal(bytesPerSecond(NaN), '–')
})

test('counts are exact below ten thousand and short above', () => {
  table(count, [[0, '0'], [1234, '1,234'], [9999, '9,999'], [10_000, '10.0 k'], [999_600, '1.00 M'], [4_560_000, '4.56 M'], [162.4, '162']])
  assert.equal(counted(1, 'error'), '1 error')
  assert.equal(counted(2, 'error'), '2 errors')
})

test('a ratio is written as a percentage', () => {
  table(percent, [[0, '0.0 %'], [0.00123, '0.12 %'], [0.0456, '4.6 %'], [0.5, '50.0 %'], [0.9999, '100 %'], [1, '100 %'], [1.5, '150 %'], [NaN, '–']])
})

test('a duration has at most two units', () => {
  table(duration, [[0, '0 s'], [0.0000021, '2.10 µs'], [0.0082, '8.20 ms'], [2.0003, '2.00 s'], [15, '15 s'], [60, '1 m'], [95, '1 m 35 s'], [3600, '1 h'], [3660, '1 h 1 m'], [187_200, '2 d 4 h'], [86_460, '1 d'], [NaN, '–']])
})

test('how long ago something was never lies in the future', () => {
  assert.equal(ago(0, 1000), 'never')
  assert.equal(ago(5000, 4000), 'now')
  assert.equal(ago(1000, 66_000), '1 m 5 s ago')
})

test('values are exact to six digits', () => {
  table(value, [[0.288035123, '0.288035'], [1234567, '1,234,567'], [1e21, '1e+21'], [NaN, 'NaN'], [Infinity, '+Inf'], [-Infinity, '-Inf']])
  table(compact, [[0.123456, '0.1235'], [4500, '4500'], [12_345, '12.3 k'], [-2_000_000, '-2.00 M']])
})

test('a series is written as PromQL would read it', () => {
  assert.equal(series({ __name__: 'up' }), 'up')
  assert.equal(series({}), '{}')
  assert.equal(series({ __name__: 'up', job: 'a"b\\c' }), 'up{job="a\\"b\\\\c"}')
  assert.equal(series({ __name__: 'http.requests', 'service.name': 'x' }), '{"http.requests", "service.name"="x"}')
})
