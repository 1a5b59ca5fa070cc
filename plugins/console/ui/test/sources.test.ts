import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RuleGroup } from '../src/api/prometheus'
import { readStatus } from '../src/api/status'
import { activeOf } from '../src/alerts/Alerts'
import { rowsOf, targetKey, type UpHistory } from '../src/sources/rows'

const target = (pool: string, instance: string, health: string, error = '') => ({
  labels: { job: 'etcd', instance }, pool, url: `http://${instance}/metrics`, health, error, last: 1000, took: 0.2, interval: 15,
})

const status = readStatus({
  components: [
    { address: 'source.a.main', kind: 'source', state: 'running', lastCollectNs: '100000000' },
    { address: 'source.b.main', kind: 'source', state: 'running' },
    { address: 'store.tsdb.main', kind: 'store', state: 'failed' },
  ],
})

const history: UpHistory = {
  grid: { start: 0, end: 20, step: 10 },
  share: new Map([[targetKey({ job: 'etcd', instance: 'x' }), 0.5]]),
  up: new Map([[targetKey({ job: 'etcd', instance: 'z' }), 0]]),
  durations: new Map([[targetKey({ job: 'etcd', instance: 'x' }), [[0, 5], [20, 7]]], [targetKey({ job: 'etcd', instance: 'y' }), [[20, 3]]]]),
}

test('a source has the targets of its pool, the ill ones first; a source in trouble comes first', () => {
  const targets = [target('source.b.main', 'x', 'up'), target('source.b.main', 'y', 'down', 'refused'), target('source.b.main', 'z', 'unknown'), target('elsewhere', 'q', 'up')]
  const [b, a, ...none] = rowsOf(status, targets, history)
  assert.equal(none.length, 0)
  assert.deepEqual([b!.component.address, b!.up, b!.down, b!.errors], ['source.b.main', 1, 2, 'refused'])
  assert.deepEqual(b!.targets.map((t) => [t.labels.instance, t.health]), [['y', 'down'], ['z', 'down'], ['x', 'up']])
  assert.deepEqual(b!.durations, [5, null, 7])
  assert.deepEqual([a!.targets, a!.took], [[], 0.1])
})

test('without a history of the store the targets are still there', () => {
  const [row] = rowsOf(status, [target('source.a.main', 'x', 'down')], undefined)
  assert.deepEqual([row!.component.address, row!.down, row!.durations], ['source.a.main', 1, []])
})

test('firing comes before pending, the severe before the mild, the new before the old', () => {
  const alert = (name: string, state: string, severity: string, since: number) => ({ state, labels: { alertname: name, severity }, annotations: {}, since, value: 1 })
  const alerts = [
    alert('pending', 'pending', 'critical', 9), alert('old', 'firing', 'warning', 1), alert('new', 'firing', 'warning', 2),
    alert('severe', 'firing', 'critical', 0), alert('gone', 'inactive', 'critical', 0),
  ]
  const rule = { kind: 'alert' as const, name: 'r', expr: '', state: '', health: 'ok', error: '', hold: 0, labels: {}, annotations: {}, alerts }
  const groups: RuleGroup[] = [{ name: 'g', file: '', interval: 15, last: 0, took: 0, rules: [rule] }]
  assert.deepEqual(activeOf(groups).map((a) => a.alert.labels.alertname), ['severe', 'new', 'old', 'pending'])
})
