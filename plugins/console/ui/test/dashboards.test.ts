import assert from 'node:assert/strict'
import { test } from 'node:test'
import { boundsWithin } from '../src/chart/Chart'
import { colorAt, colorOf } from '../src/dashboards/colors'
import { nameOf, reduce, type Found } from '../src/dashboards/data'
import { readDashboard, type Variable } from '../src/dashboards/model'
import { tableOf } from '../src/dashboards/Rows'
import { bind, builtIn, fill } from '../src/dashboards/template'
import { unitOf } from '../src/dashboards/units'
import { choose, chosenBy, listed, sorted } from '../src/dashboards/variables'

const variable = (v: Partial<Variable>): Variable => readDashboard({
  templating: { list: [{ type: 'query', name: 'x', includeAll: v.all, ...v, current: { value: v.current } }] },
}).variables[0]!

test('variables are replaced in each of their spellings, and what is unknown stays', () => {
  const bindings = { job: { values: ['a'], many: false }, constructor: { values: ['c'], many: false } }
  assert.equal(fill('$job ${job} [[job]] ${job:raw} $jobs ${toString} $toString $constructor', bindings), 'a a a a $jobs ${toString} $toString c')
})

test('what may be several values is a pattern that matches just them', () => {
  const of = (...values: string[]) => fill('$x', { x: { values, many: true } })
  assert.equal(of('a.b'), 'a\\\\.b')
  assert.equal(of('a', 'b|c"'), '(a|b\\\\|c\\")')
  assert.equal(fill('${x:pipe} ${x:csv}', { x: { values: ['a.b', 'c'], many: true } }), 'a.b|c a.b,c')
})

test('all means what the dashboard says of it, else every option, else anything', () => {
  const filled = (v: Partial<Variable>, options: string[]) => fill('$x', { x: bind(variable({ all: true, ...v }), options, ['$__all']) })
  assert.equal(filled({ allValue: '.+' }, ['a']), '.+')
  assert.equal(filled({}, ['a', 'b']), '(a|b)')
  assert.equal(filled({}, []), '.*')
})

test('a window for rates holds four collections and all between two steps', () => {
  const window = (step: number, interval: number) => fill('$__rate_interval', builtIn(3600, step, interval, 0))
  assert.deepEqual([window(5, 15), window(15, 60), window(300, 15)], ['60s', '240s', '315s'])
  assert.equal(fill('$__range $__range_s ${__interval} $__interval_ms', builtIn(3600, 15, 15, 0)), '3600s 3600 15s 15000')
})

test('what was chosen is kept only while it exists', () => {
  const v = variable({ current: ['b'] })
  assert.deepEqual(choose(v, ['a', 'b'], undefined), ['b'])
  assert.deepEqual(choose(v, ['a', 'c'], undefined), ['a'])
  assert.deepEqual(choose(v, ['a', 'b'], ['a', 'b']), ['a'])
  assert.deepEqual(choose(variable({ multi: true }), ['a', 'b'], ['b', 'gone', 'a']), ['b', 'a'])
  assert.deepEqual(choose(variable({ all: true }), ['a'], ['gone']), ['$__all'])
  assert.deepEqual(choose(v, [], ['x']), [])
})

test('options are listed, picked by a pattern and put in order', () => {
  assert.deepEqual(listed('a, one : b,c\\,d,'), ['a', 'b', 'c,d'])
  assert.deepEqual(chosenBy('/up\\{.*job="([^"]+)"/', ['up{job="a"} 1', 'up{job="b"} 1', 'x']), ['a', 'b'])
  assert.deepEqual(chosenBy('/(?<text>.)(?<value>.)/', ['ab']), ['b'])
  assert.deepEqual(chosenBy('/(/', ['a', 'a']), ['a'])
  assert.deepEqual(sorted(['n10', 'n9'], 3), ['n9', 'n10'])
  assert.deepEqual(sorted(['a', 'B'], 6), ['B', 'a'])
})

test('rows become sections, and a collapsed one holds its panels', () => {
  const d = readDashboard({ title: 't', panels: [
    { type: 'stat', title: 'c', gridPos: { x: 0, y: 9, w: 6, h: 4 } },
    { type: 'row', title: 'second', collapsed: true, gridPos: { y: 20 }, panels: [{ type: 'graph', title: 'd', gridPos: { x: 12, y: 21, w: 24, h: 999 } }] },
    { type: 'row', title: 'first', gridPos: { y: 5 } },
    { type: 'text', title: 'b', gridPos: { x: 0, y: 6, w: 6, h: 3 } },
    { type: 'heatmap', title: 'a', gridPos: { x: 0, y: 0, w: 6, h: 3 } },
  ] })
  assert.deepEqual(d.sections.map((s) => [s.title, s.collapsed, s.panels.map((p) => [p.title, p.kind, p.place])]), [
    ['', false, [['a', 'other', { x: 0, y: 0, w: 6, h: 3 }]]],
    ['first', false, [['b', 'text', { x: 0, y: 0, w: 6, h: 3 }], ['c', 'stat', { x: 0, y: 3, w: 6, h: 4 }]]],
    ['second', true, [['d', 'timeseries', { x: 12, y: 0, w: 12, h: 60 }]]],
  ])
})

test('the form before 2018 flows in rows of twelve', () => {
  const d = readDashboard({ rows: [{ title: 'r', panels: [{ type: 'graph', span: 8 }, { type: 'singlestat', span: 6, thresholds: '5,10', colors: ['green', 'red', 'blue'], colorValue: true }] }] })
  const [first, second] = d.sections[0]!.panels
  assert.deepEqual([first!.place, second!.place], [{ x: 0, y: 0, w: 16, h: 8 }, { x: 0, y: 8, w: 12, h: 8 }])
  assert.deepEqual([1, 7, 11].map((v) => colorAt(v, second!.field, 'light')), ['#1a8a4a', '#cc2f3e', '#2266d3'])
})

test('whatever a dashboard holds, it is read, and bounded', () => {
  const odd: unknown[] = [null, 1, 'x', [], {}, NaN, -1e300, { length: 5 }, '__proto__', { toString: 1 }]
  const panel = (v: unknown) => ({
    type: v, title: v, gridPos: v, targets: [v, { expr: 'x', refId: v, legendFormat: v }], options: v, fieldConfig: { defaults: v, overrides: [v, { matcher: v, properties: v }] },
    transformations: [v, { id: 'organize', options: v }], interval: v, thresholds: v, colors: v, valueMaps: v, yaxes: v, legend: v, panels: [v],
  })
  for (const v of odd) {
    for (const json of [v, { title: v, time: v, panels: v, rows: v, templating: v }, { panels: [v, panel(v), { ...panel(v), type: 'row' }], rows: [v, { panels: [panel(v)] }], templating: { list: [v, { type: 'query', name: v }, { type: 'constructor', name: 'x' }] } }]) {
      const d = readDashboard(json)
      for (const { place } of d.sections.flatMap((s) => s.panels)) assert.ok(place.x + place.w <= 24 && place.h <= 60 && place.y >= 0 && place.y <= 5000, JSON.stringify(place))
    }
  }
  const many = readDashboard({ panels: Array.from({ length: 1000 }, () => ({ type: 'stat' })) })
  assert.deepEqual([many.sections[0]!.panels.length, many.left], [300, 700])
})

test('only colours reach the page', () => {
  assert.deepEqual(['red', 'semi-dark-green', '#F00', '#11223344', 'rgba(1, 2, 300, 0.5)'].map((c) => colorOf(c, 'light')), ['#cc2f3e', '#1a8a4a', '#ff0000', '#112233', '#0102ff'])
  for (const c of ['', 'url(//x)', 'red;background:url(//x)', 'constructor', '#12', 'text']) assert.equal(colorOf(c, 'dark'), undefined)
})

test('a value has the colour of the highest threshold that it reaches, and the words of its mapping', () => {
  const field = readDashboard({ panels: [{ type: 'gauge', fieldConfig: { defaults: {
    max: 50, thresholds: { mode: 'percentage', steps: [{ color: 'green', value: null }, { color: 'red', value: 80 }] },
    mappings: [{ type: 'value', options: { 1: { text: 'one', color: 'blue' } } }],
  } } }] }).sections[0]!.panels[0]!.field
  assert.deepEqual([-5, 39, 40, 1].map((v) => colorAt(v, field, 'light')), ['#1a8a4a', '#1a8a4a', '#cc2f3e', '#2266d3'])
})

test('units are written as the rest of the page writes them', () => {
  const written = (unit: string, v: number, decimals?: number) => unitOf(unit, decimals).format(v)
  assert.deepEqual(
    [written('bytes', 2048), written('Bps', 12_300), written('percentunit', 0.5), written('percent', 12.34, 1), written('ms', 1500), written('s', -90), written('suffix:widgets', 3), written('nonsense', 3.14159), written('constructor', 1), written('short', 2, 2), written('s', Infinity)],
    ['2.00 KiB', '12.3 kB/s', '50.0 %', '12.3 %', '1.50 s', '-1 m 30 s', '3 widgets', '3.142', '1', '2.00', '+Inf'],
  )
})

const found = (ref: string, labels: Record<string, string>, last: number): Found => {
  const [panel] = readDashboard({ panels: [{ type: 'table', targets: [{ expr: 'x', refId: ref }] }] }).sections[0]!.panels
  return { target: panel!.targets[0]!, labels, name: '', field: panel!.field, values: [], last }
}

test('a table joins what its queries say of the same labels', () => {
  const columns = { without: ['job', 'Time'], named: {} }
  const t = tableOf([found('A', { __name__: 'x', job: 'j', i: '1' }, 1), found('B', { __name__: 'y', job: 'j', i: '1' }, 2), found('B', { job: 'j', i: '2' }, 3)], columns)
  assert.deepEqual([t.labels, t.refs], [['i'], ['A', 'B']])
  assert.deepEqual(t.rows.map((r) => [r.labels.i, r.values.get('A')?.last, r.values.get('B')?.last]), [['1', 1, 2], ['2', undefined, 3]])
})

test('a series is called by its legend, else by what tells it from the others', () => {
  const { target } = found('A', {}, 0)
  assert.equal(nameOf({ ...target, legend: '{{ job }} {{gone}}!{{constructor}}' }, { job: '<b>' }, new Set(), 1), '<b> !')
  assert.equal(nameOf({ ...target, legend: '__auto' }, { job: 'a', i: '1' }, new Set(['i']), 1), '{i="1"}')
  assert.equal(nameOf(target, {}, new Set(), 2), 'A')
})

test('a series is one number', () => {
  const values = [1, null, 3, 5, null]
  assert.deepEqual(['mean', 'max', 'first', 'sum', 'range', 'lastNotNull', 'unknown'].map((how) => reduce(how, values, NaN)), [3, 5, 1, 9, 4, 5, 5])
  assert.ok(Number.isNaN(reduce('mean', [null], NaN)))
})

test('an axis ends where it must, and never has no height', () => {
  assert.deepEqual(boundsWithin(100, 100, { zero: false }), [90, 110])
  assert.deepEqual(boundsWithin(5, 10, { zero: true, max: 20 }), [0, 20])
  assert.deepEqual(boundsWithin(null, null, { zero: false }), [0, 1])
  assert.deepEqual(boundsWithin(5, 10, { zero: false, min: 50, max: 2 }), [50, 51])
})
