import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Sample, Series } from '../src/api/prometheus'
import { timesOf } from '../src/chart/grid'
import { panelsOf } from '../src/machine/panels'
import { expressionOf, filesystemsOf, intervalOf, usedOf, type History, type Name } from '../src/machine/queries'

const machine = { job: 'node', instance: 'vm' }

test('a window for rates holds four intervals, a minute, and all that lies between two steps', () => {
  const rate = (interval: number, step: number) => /\[(\w+)\]/.exec(expressionOf('received', machine, interval, step))![1]
  assert.deepEqual([rate(5, 5), rate(15, 15), rate(60, 60), rate(15, 120)], ['60s', '60s', '240s', '120s'])
  assert.match(expressionOf('load', machine, 15, 15), /\[38s\]/)
})

test('an expression is of one machine, whatever its name is', () => {
  const expr = expressionOf('read', { job: 'a"b', instance: 'SEL\\RATE$&' }, 15, 15)
  assert.match(expr, /job="a\\"b", instance="SEL\\\\RATE\$&", device!~"dm-/)
})

test('the interval is what the daemon says of the target, else its default', () => {
  const target = { labels: { job: 'node', instance: 'vm' }, pool: '', url: '', health: 'up', error: '', last: 0, took: 0, interval: 5 }
  assert.equal(intervalOf([target], machine), 5)
  assert.equal(intervalOf([{ ...target, interval: 0 }], machine), 15)
  assert.equal(intervalOf([target], { job: 'node', instance: 'other' }), 15)
})

const mount = (mountpoint: string, device: string, size: number, avail: number, fstype = 'ext4'): Sample[] =>
  [['size', size], ['avail', avail]].map(([name, value]) => ({
    labels: { __name__: `node_filesystem_${name}_bytes`, mountpoint, device, fstype }, time: 0, value: value as number,
  }))

test('a bind mount is not another filesystem, and the fullest comes first', () => {
  const all = filesystemsOf([
    ...mount('/data', '/dev/b', 100, 10), ...mount('/etc/hosts', '/dev/a', 100, 50), ...mount('/', '/dev/a', 100, 50),
    ...mount('/run/x', 'overlay', 100, 1, 'overlay'), ...mount('/empty', '/dev/c', 0, 0),
  ])
  assert.deepEqual(all.map((fs) => [fs.mountpoint, usedOf(fs)]), [['/data', 0.9], ['/', 0.5]])
})

const grid = { start: 0, end: 20, step: 10 }
const flat = (labels: Record<string, string>, v: number): Series => ({ labels, points: timesOf(grid).map((t) => [t, v]) })

function history(series: Partial<Record<Name, Series[]>>): History {
  const names: Name[] = ['cpu', 'load', 'memory', 'received', 'sent', 'read', 'written', 'cpuPressure', 'ioPressure', 'memoryPressure', 'filesystems']
  return { grid, times: timesOf(grid), series: Object.fromEntries(names.map((n) => [n, series[n] ?? []])) as Record<Name, Series[]> }
}

const panels = (h: History) => Object.fromEntries(panelsOf(h, String, 2).map((p) => [p.id, p]))

test('CPU time is a share of all modes, grouped by what a person asks', () => {
  const cpu = [['user', 0.5], ['nice', 0.1], ['system', 0.2], ['softirq', 0.1], ['idle', 1], ['iowait', 0.1]].map(([mode, v]) => flat({ mode: mode as string }, v as number))
  const p = panels(history({ cpu })).cpu!
  assert.deepEqual(p.lines.map((l) => [l.label, l.values.at(-1)]), [['user', 0.3], ['system', 0.15000000000000002], ['I/O wait', 0.05], ['stolen', null]])
  assert.equal(p.now, '50.0 %')
})

test('memory in use is what is not available', () => {
  const memory = [['MemTotal', 1000], ['MemAvailable', 600], ['MemFree', 100], ['SwapTotal', 0], ['SwapFree', 0]].map(([n, v]) => flat({ __name__: `node_memory_${n}_bytes` }, v as number))
  const p = panels(history({ memory })).memory!
  assert.deepEqual(p.lines.map((l) => [l.label, l.values.at(-1)]), [['used', 400], ['cache, can be freed', 500]])
  assert.equal(p.floor, 1000)
})

test('the worst pressure is named', () => {
  const p = panels(history({ cpuPressure: [flat({}, 0.1)], ioPressure: [flat({}, 0.4)] })).pressure!
  assert.deepEqual([p.now, p.note], ['40.0 %', 'of time waiting for I/O'])
})

test('without any sample every panel says so, and none breaks', () => {
  for (const p of Object.values(panels(history({})))) {
    assert.match(p.now, /–/)
    assert.ok(p.lines.every((l) => l.values.every((v) => v === null)), p.id)
    assert.ok(p.lines.every((l) => l.values.length === 3), p.id)
  }
})
