import assert from 'node:assert/strict'
import { test } from 'node:test'
import { differing, errorsOf, placeOf, warningsOf } from '../src/query/evaluate'

const grid = { start: 0, end: 10, step: 10 }
const fine = { samples: [], series: [], warnings: ['cut'] }

test('both routes of the API complaining of one mistake is one error', () => {
  const words = '1:17: parse error: unclosed left parenthesis'
  const outcome = { expr: '', grid, took: 0, now: new Error(`invalid parameter "query": ${words}`), over: new Error(words) }
  assert.deepEqual(errorsOf(outcome), [words])
})

test('an error of the graph alone leaves the values and their warnings', () => {
  const outcome = { expr: '', grid, took: 0, now: fine, over: new Error('invalid expression type "range vector"') }
  assert.deepEqual(errorsOf(outcome), ['invalid expression type "range vector"'])
  assert.deepEqual(warningsOf(outcome), ['cut'])
})

test('the place of a parse error is found in its words', () => {
  assert.deepEqual(placeOf('1:17: parse error: x'), { line: 1, column: 17 })
  assert.equal(placeOf('query timed out'), undefined)
})

test('labels that all series share are left out of the tooltip', () => {
  const all = [{ job: 'node', cpu: '0', mode: 'idle' }, { job: 'node', cpu: '1', mode: 'idle' }]
  assert.deepEqual([...differing(all)], ['cpu'])
  assert.deepEqual([...differing([{ job: 'node' }, {}])], ['job'])
  assert.deepEqual([...differing([{ job: 'node' }])], ['job'])
})
