import { APIError, fetchJSON, fields, list, number, stringMap, text } from './http'
import { parseTime, type Labels } from './prometheus'

/** A report that is kept, in a line. */
export interface Kept {
  id: string
  address: string // of the diagnoser
  started: number // ms since the epoch
  headline: string
  worst: string // severity; "": nothing was found
  alert: string // that asked; "": a person did
}

export interface Diagnosis {
  address: string
  alert: Labels | undefined // of the alert that asked
  started: number // ms
  ended: number
  findings: Finding[] // the worst first
  checks: Check[]
  problem: string // why it is not complete
  cut: number // what is left out
}

export interface Finding {
  severity: string // "critical", "warning", "info"
  title: string
  text: string
  evidence: { time: number; where: string; what: string; value: string }[]
  next: { text: string; command: string; changes: boolean }[]
}

/** What was looked at; with trouble nothing is known of it. */
export interface Check {
  name: string
  outcome: string
  trouble: string
}

const most = 1000 // of anything in a report: the daemon's own bounds are below it

export async function fetchReports(signal: AbortSignal): Promise<Kept[]> {
  const init = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' }
  return list(fields(await fetchJSON('/api/magpie/v1/Reports', signal, init)).reports).slice(0, most).map((v) => {
    const r = fields(v)
    return {
      id: text(r.id), address: text(r.address), started: number(r.startedUnixMs), headline: text(r.headline), worst: text(r.worst), alert: text(r.alert),
    }
  })
}

export async function fetchReport(id: string, signal: AbortSignal): Promise<Diagnosis> {
  return readDiagnosis(await fetchJSON(`/reports/${encodeURIComponent(id)}.json`, signal))
}

export function readDiagnosis(json: unknown): Diagnosis {
  const d = fields(json)
  const { alert } = fields(d.question)
  const some = (v: unknown) => list(v).slice(0, most).map(fields)
  return {
    address: text(d.address),
    alert: alert ? stringMap(fields(alert).Labels) : undefined,
    started: parseTime(d.started),
    ended: parseTime(d.ended),
    findings: some(d.findings).map((f) => ({
      severity: text(f.severity),
      title: text(f.title),
      text: text(f.text),
      evidence: some(f.evidence).map((e) => ({ time: parseTime(e.time), where: text(e.where), what: text(e.what), value: text(e.value) })),
      next: some(f.next).map((n) => ({ text: text(n.text), command: text(n.command), changes: n.changes === true })),
    })),
    checks: some(d.checks).map((c) => ({ name: text(c.name), outcome: text(c.outcome), trouble: text(c.trouble) })),
    problem: text(d.problem),
    cut: number(d.cut),
  }
}

/** Asks a diagnoser. It may take minutes; `says` is told what it does meanwhile. The answer is the report's id. */
export async function diagnose(address: string, says: (progress: string) => void, signal: AbortSignal): Promise<string> {
  const init = { method: 'POST', headers: { 'Content-Type': 'application/connect+json' }, body: envelope(0, JSON.stringify({ address })), signal }
  let response: Response
  try {
    response = await fetch('/api/magpie/v1/Diagnose', init)
  } catch (cause) {
    if (signal.aborted) throw cause
    throw new APIError('no connection', 0)
  }
  if (!response.ok || !response.body) throw new APIError((await response.text()).slice(0, 300) || `HTTP ${response.status}`, response.status)
  let id = ''
  for await (const message of messages(response.body)) {
    const m = fields(message.json)
    if (message.last) {
      const problem = fields(m.error)
      if (m.error) throw new APIError(text(problem.message) || text(problem.code) || 'the diagnosis failed', response.status)
      return id
    }
    if (text(m.progress)) says(text(m.progress).slice(0, 1000))
    id = text(m.id) || id
  }
  throw new APIError('the connection ended before the diagnosis did', 0)
}

// Connect's streams: each message is a byte of flags, four of length, and its JSON. The last has the flag 2.

const longest = 8 << 20 // bytes of a message

export function envelope(flags: number, message: string): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(message)
  const all = new Uint8Array(5 + json.length)
  all[0] = flags
  new DataView(all.buffer).setUint32(1, json.length)
  all.set(json, 5)
  return all
}

/** The messages of a stream, however it is cut into pieces. */
export async function* messages(body: ReadableStream<Uint8Array>): AsyncGenerator<{ last: boolean; json: unknown }> {
  const reader = body.getReader()
  let rest = new Uint8Array()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      const joined = new Uint8Array(rest.length + value.length)
      joined.set(rest)
      joined.set(value, rest.length)
      rest = joined
      while (rest.length >= 5) {
        const flags = rest[0]!
        const length = new DataView(rest.buffer, rest.byteOffset).getUint32(1)
        if (length > longest || flags & 1) throw new APIError('the answer is no stream that this page can read', 200)
        if (rest.length < 5 + length) break
        const json: unknown = JSON.parse(new TextDecoder().decode(rest.subarray(5, 5 + length)))
        rest = rest.slice(5 + length)
        yield { last: (flags & 2) !== 0, json }
      }
    }
  } finally {
    void reader.cancel().catch(() => {})
  }
}
