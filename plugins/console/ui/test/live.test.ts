import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readStatus } from '../src/api/status'
import { readPlace, searchOf } from '../src/live/place'
import { advance, latest, mean, none, processKey } from '../src/live/rates'

test('a place survives the way through the address', () => {
  const place = {
    tab: 'query' as const, expr: 'rate(x{a="b&c"}[5m]) + 1', range: '6h', machine: '', board: 'pack.a.b', vars: { job: ['a&b', '$__all'], x: [''] }, refresh: 'off',
    report: '', alert: 'Down',
  }
  assert.deepEqual(readPlace(searchOf(place)), place)
  assert.equal(searchOf({ tab: 'query', expr: 'up', range: '1h' }), '?tab=query&expr=up&range=1h')
})

test('the first tab has an empty address, and an unknown one leads to it', () => {
  assert.equal(searchOf({ tab: 'overview' }), '')
  assert.equal(readPlace('?tab=nothing').tab, 'overview')
})

const status = (cpu: number, samples: number, pid = 41) =>
  readStatus({ processes: [{ plugin: 'host', pid, cpuSeconds: cpu }], components: [{ address: 'source.host.main', samples: String(samples) }] })

test('rates come from two readings', () => {
  const key = processKey({ plugin: 'host', pid: 41 })
  const first = advance(none, status(1, 100), 10_000)
  assert.equal(latest(first.cpu, key), undefined)
  const second = advance(first, status(1.5, 600), 15_000)
  assert.equal(latest(second.cpu, key), 0.1)
  assert.equal(latest(second.samples, 'source.host.main'), 100)
})

test('a restarted process and a component that was opened again have no rate yet', () => {
  const before = advance(advance(none, status(1, 100), 10_000), status(2, 600), 15_000)
  const after = advance(before, status(0.1, 20, 42), 20_000)
  assert.equal(latest(after.cpu, processKey({ plugin: 'host', pid: 42 })), undefined)
  assert.equal(latest(after.samples, 'source.host.main'), undefined)
  assert.equal(after.cpu.size, 1)
})

test('the history of rates is bounded', () => {
  let rates = none
  for (let i = 1; i < 500; i++) rates = advance(rates, status(i, i), i * 1000)
  assert.equal(rates.samples.get('source.host.main')!.rates.length, 90)
})

test('a rate of bursts is a mean, of the whole life while the page is young', () => {
  let rates = advance(none, status(0, 1000), 10_000)
  const samples = () => mean(rates.samples, 'source.host.main', 3, 100)
  assert.equal(samples(), 10)
  for (const [i, total] of [1300, 1300, 1300].entries()) rates = advance(rates, status(0, total), 15_000 + 5000 * i)
  assert.equal(samples(), 20)
  assert.equal(mean(rates.samples, 'source.host.main', 9, 0), undefined)
  assert.equal(mean(rates.samples, 'source.other.main', 3, 100), undefined)
})
