import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { envelope, messages, readDiagnosis } from '../src/api/diagnoses'
import { APIError, fetchJSON } from '../src/api/http'
import { fetchRules, fetchTargets, parseDuration, parseTime, parseValue, query, queryRange } from '../src/api/prometheus'
import { fetchStatus, levelOf, readStatus } from '../src/api/status'

const real = globalThis.fetch
const asked: { url: string; init: RequestInit | undefined }[] = []
afterEach(() => {
  globalThis.fetch = real
  asked.length = 0
})

function answer(body: string, status = 200) {
  globalThis.fetch = async (url, init) => {
    asked.push({ url: String(url), init })
    return new Response(body, { status })
  }
}

const signal = new AbortController().signal
const data = (d: unknown) => JSON.stringify({ status: 'success', data: d })

test('an error carries the words of the daemon, whichever API answers', async () => {
  const cases: [string, number, string][] = [
    ['{"status":"error","errorType":"bad_data","error":"1:3: parse error"}', 400, '1:3: parse error'],
    ['{"code":"unavailable","message":"the store starts"}', 503, 'the store starts'],
    ['no such component\nmore', 404, 'no such component'],
    ['<html>Bad Gateway</html>', 502, 'HTTP 502'],
    ['', 500, 'HTTP 500'],
    ['<html>', 200, 'the answer is not JSON'],
    ['{"error":{"deep":1}}', 500, 'HTTP 500'],
  ]
  for (const [body, status, want] of cases) {
    answer(body, status)
    await assert.rejects(fetchJSON('/x', signal), (e) => e instanceof APIError && e.message === want && e.status === status, body)
  }
})

test('a daemon that does not answer is told from one that answers with an error', async () => {
  globalThis.fetch = () => Promise.reject(new TypeError('fetch failed'))
  await assert.rejects(fetchJSON('/x', signal), (e) => e instanceof APIError && e.unreachable)
  assert.equal(new APIError('', 502).unreachable, true)
  assert.equal(new APIError('', 503).unreachable, false)
})

test('an abort is no error of the daemon', async () => {
  const stop = new AbortController()
  stop.abort()
  globalThis.fetch = () => Promise.reject(stop.signal.reason)
  await assert.rejects(fetchJSON('/x', stop.signal), (e) => !(e instanceof APIError))
})

test('the status is asked for as Connect wants it', async () => {
  answer('{}')
  await fetchStatus(signal)
  const { url, init } = asked[0]!
  assert.equal(url, '/api/magpie/v1/Status')
  assert.deepEqual([init?.method, init?.body, init?.headers], ['POST', '{}', { 'Content-Type': 'application/json' }])
})

test('a status in proto3 JSON has 64-bit numbers as strings and leaves zeros out', () => {
  const s = readStatus({
    version: '0.1.0', startedUnixMs: '1795244760317', hostname: 'vm',
    config: { state: 'last_applied', problem: 'x', files: ['a.hcl', 7] },
    components: [{ address: 'source.host.main', kind: 'source', series: '812', lastCollectNs: '8200000', dropped: { late: '3' }, errors: { target: '4' } }],
    processes: [{ plugin: 'host', pid: 41, cpuSeconds: 1.5, rssBytes: '1048576', components: ['source.host.main'] }],
    pipelines: [{ name: 'p', lagMs: '1500' }],
    buffer: { bytes: '18874368', segments: 2 },
  })
  assert.equal(s.started, 1795244760317)
  assert.deepEqual(s.config.files, ['a.hcl'])
  const [c] = s.components
  assert.deepEqual([c!.series, c!.lastCollect, c!.dropped.late, c!.errors.target, c!.collects], [812, 0.0082, 3, 4, 0])
  assert.deepEqual([s.processes[0]!.cpu, s.processes[0]!.rss, s.processes[0]!.pss], [1.5, 1048576, 0])
  assert.deepEqual([s.pipelines[0]!.lag, s.buffer.bytes, s.buffer.records], [1.5, 18874368, 0])
})

test('what a report says of a binary is read whatever is missing in it', () => {
  const { processes } = readStatus({ processes: [
    { plugin: 'a' },
    { plugin: 'b', verified: { current: true, atUnixMs: '1795161600000', ok: 71, checks: [{ check: 'close/cancel', text: 7 }, 'x'] } },
    { plugin: 'c', verified: [] },
  ] })
  assert.equal(processes[0]!.verified, undefined)
  const none = { of: '', check: '', about: '', text: '', fix: '' }
  assert.deepEqual(processes[1]!.verified, {
    current: true, at: 1795161600000, by: '', kit: '', ok: 71, failed: 0, notApplicable: 0, problem: '', checks: [{ ...none, check: 'close/cancel' }, none],
  })
  assert.equal(processes[2]!.verified?.current, false)
})

test('a status of any other shape is read as nothing', () => {
  for (const json of [null, [], 'x', 7, { components: {}, processes: [null, 3], config: [] }]) {
    const s = readStatus(json)
    assert.equal(s.version, '')
    assert.equal(s.config.state, '')
  }
})

test('a state that this page does not know is shown, not judged', () => {
  assert.deepEqual(['running', 'degraded', 'failed', 'backoff', 'opening', 'sleeping'].map(levelOf), ['ok', 'degraded', 'failed', 'failed', 'idle', 'idle'])
})

test('instant results of every type become samples', async () => {
  answer(data({ resultType: 'vector', result: [{ metric: { __name__: 'up' }, value: [12.5, '1'] }] }))
  assert.deepEqual((await query('up', signal)).samples, [{ labels: { __name__: 'up' }, time: 12.5, value: 1 }])
  answer(data({ resultType: 'scalar', result: [3, '+Inf'] }))
  assert.deepEqual((await query('1/0', signal)).samples, [{ labels: {}, time: 3, value: Infinity }])
  answer(data({ resultType: 'matrix', result: [{ metric: {}, values: [[1, '1'], [2, '5']] }] }))
  assert.deepEqual((await query('up[1m]', signal)).samples, [{ labels: {}, time: 2, value: 5 }])
  answer(data({ resultType: 'vector', result: [{ metric: {}, histogram: [4, { count: '7', sum: '9.5' }] }] }))
  assert.deepEqual((await query('h', signal)).samples, [{ labels: {}, time: 4, value: NaN, histogram: { count: 7, sum: 9.5 } }])
})

test('a range query asks for its grid and keeps warnings', async () => {
  answer(JSON.stringify({ status: 'success', warnings: ['cut'], data: { resultType: 'matrix', result: [{ metric: { a: 'b' }, values: [[10, 'NaN'], [20, '2']] }] } }))
  const { series, warnings } = await queryRange('a+b', { start: 10, end: 20, step: 10 }, signal, 400)
  assert.equal(asked[0]!.url, '/api/v1/query_range?query=a%2Bb&start=10&end=20&step=10&limit=400')
  assert.deepEqual(series, [{ labels: { a: 'b' }, points: [[10, NaN], [20, 2]] }])
  assert.deepEqual(warnings, ['cut'])
})

test('targets and rules are read as Prometheus writes them', async () => {
  answer(data({ activeTargets: [{ labels: { job: 'node' }, scrapePool: 'source.host.main', health: 'up', lastScrape: '0001-01-01T00:00:00Z', lastScrapeDuration: 0.01, scrapeInterval: '1m30s' }] }))
  const [target] = await fetchTargets(signal)
  assert.deepEqual([target!.pool, target!.last, target!.interval, target!.error], ['source.host.main', 0, 90, ''])
  answer(data({ groups: [{ name: 'g', interval: 15, rules: [{ type: 'alerting', name: 'A', state: 'firing', duration: 60, alerts: [{ state: 'firing', activeAt: '2026-11-21T07:00:00Z', value: '1e+00', labels: { alertname: 'A' } }] }, { type: 'recording', name: 'r' }] }] }))
  const [group] = await fetchRules(signal)
  const [alert, record] = group!.rules
  assert.deepEqual([alert!.kind, alert!.hold, alert!.alerts[0]!.value, alert!.alerts[0]!.since], ['alert', 60, 1, Date.UTC(2026, 10, 21, 7)])
  assert.deepEqual([record!.kind, record!.state, record!.alerts], ['record', '', []])
})

test('durations, times and values that are none are zero', () => {
  assert.deepEqual(['15s', '1h30m', '0.5s', '250ms', '1d', '', 'x', '5', '1h x'].map(parseDuration), [15, 5400, 0.5, 0.25, 86_400, 0, 0, 0, 0])
  assert.deepEqual([parseTime('nonsense'), parseTime(7), parseTime('0001-01-01T00:00:00Z')], [0, 0, 0])
  assert.deepEqual(['1e3', '-Inf', ''].map(parseValue), [1000, -Infinity, NaN])
})

test('a stream is read however it is cut into pieces', async () => {
  const whole = [envelope(0, '{"progress":"ä"}'), envelope(0, '{}'), envelope(2, '{"error":{}}')].flatMap((m) => [...m])
  for (const size of [1, 3, 7, whole.length]) {
    const body = new ReadableStream<Uint8Array>({
      start(c) {
        for (let i = 0; i < whole.length; i += size) c.enqueue(new Uint8Array(whole.slice(i, i + size)))
        c.close()
      },
    })
    const got = []
    for await (const m of messages(body)) got.push(m)
    assert.deepEqual(got, [{ last: false, json: { progress: 'ä' } }, { last: false, json: {} }, { last: true, json: { error: {} } }])
  }
})

test('a stream of something else is refused before it fills the memory', async () => {
  const bad = [new Uint8Array([0, 255, 255, 255, 255]), new Uint8Array([1, 0, 0, 0, 0]), envelope(0, 'not JSON')]
  for (const bytes of bad) {
    const body = new ReadableStream<Uint8Array>({ start: (c) => c.enqueue(bytes) })
    await assert.rejects(async () => { for await (const _ of messages(body)) assert.fail() })
  }
})

test('a report of any shape is read', () => {
  for (const json of [null, 1, [], { findings: {} }, { findings: [null, { evidence: [1], next: 'x' }], checks: [[]], question: { alert: 1 } }]) readDiagnosis(json)
  assert.equal(readDiagnosis({ findings: [{}] }).findings[0]!.severity, '')
})
