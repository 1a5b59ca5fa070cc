import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bare, tick } from '../src/chart/axes'
import { begun, combine, gridOf, lonely, newest, stack, stepOf, timesOf, valuesOf } from '../src/chart/grid'

test('a grid stands on multiples of its step and reaches up to now', () => {
  assert.deepEqual(gridOf(900, 15, 1_000_003), { start: 999_105, end: 1_000_005, step: 15 })
  assert.deepEqual(gridOf(60, 20, 100), { start: 40, end: 100, step: 20 })
})

test('a step is round, not finer than asked, and leaves at most so many points', () => {
  assert.equal(stepOf(900, 300, 15), 15)
  assert.equal(stepOf(21_600, 300, 15), 120)
  assert.equal(stepOf(300, 250), 2)
  assert.equal(stepOf(366 * 86_400, 250), 126_490)
})

test('a grid begins with the data, and is never too short', () => {
  const grid = { start: 0, end: 900, step: 10 }
  const from = (t: number) => [{ labels: {}, points: [] }, { labels: {}, points: [[t, 1], [900, 1]] as [number, number][] }]
  assert.equal(begun(grid, from(600), 180).start, 600)
  assert.equal(begun(grid, from(604), 180).start, 600)
  assert.equal(begun(grid, from(850), 180).start, 720)
  assert.equal(begun(grid, from(0), 180), grid)
  assert.equal(begun(grid, [], 1800), grid)
})

test('a missing sample is a gap, not a zero', () => {
  const grid = { start: 0, end: 40, step: 10 }
  assert.deepEqual(timesOf(grid), [0, 10, 20, 30, 40])
  assert.deepEqual(valuesOf([[0, 1], [10, 2], [40, 5]], grid), [1, 2, null, null, 5])
})

test('what is not a finite number, or not on the grid, is a gap', () => {
  const points: [number, number][] = [[0, NaN], [10, Infinity], [-10, 1], [30, 1]]
  assert.deepEqual(valuesOf(points, { start: 0, end: 20, step: 10 }), [null, null, null])
})

test('stacked lines add up, and a gap in one leaves the others standing', () => {
  assert.deepEqual(stack([[1, null, 3], [10, 20, null], [100, 200, 300]]), [[1, null, 3], [11, 20, null], [111, 220, 303]])
  assert.deepEqual(stack([]), [])
})

test('a sample between two gaps is found, since a line would not show it', () => {
  assert.deepEqual(lonely([1, null, 2, 3, null, 4]), [0, 5])
  assert.deepEqual(lonely([null, null]), [])
})

test('two lines combine only where both have a value', () => {
  assert.deepEqual(combine([1, null, 3], [10, 20, null], (a, b) => a + b), [11, null, null])
})

test('an old value is not taken for the newest', () => {
  assert.equal(newest([1, 2, null]), 2)
  assert.equal(newest([1, null, null, null]), undefined)
  assert.equal(newest([]), undefined)
})

test('a tick is as short as the distance to the next one allows', () => {
  const noon = new Date(2026, 10, 21, 12, 5, 30).getTime() / 1000
  assert.equal(tick(noon, 15), '12:05:30')
  assert.equal(tick(noon, 60), '12:05')
  assert.equal(tick(noon, 86_400), '21 Nov')
  assert.equal(tick(new Date(2026, 10, 21).getTime() / 1000, 3600), '21 Nov')
})

test('a tick has no more digits than it needs', () => {
  assert.deepEqual(['8.00 MiB/s', '512 KiB', '2.50', '10.0 %', '100', '0.05 %', '1.20 k'].map(bare), ['8 MiB/s', '512 KiB', '2.5', '10 %', '100', '0.05 %', '1.2 k'])
})
