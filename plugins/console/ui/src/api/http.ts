/** What went wrong between the page and the daemon, in words for a person. */
export class APIError extends Error {
  readonly status: number // HTTP status; 0: no answer came

  constructor(message: string, status: number) {
    super(message)
    this.name = 'APIError'
    this.status = status
  }

  /** The daemon itself did not answer, or a proxy before it did: there is nothing behind this page for now. */
  get unreachable(): boolean {
    return this.status === 0 || this.status === 502 || this.status === 504
  }
}

const deadline = 30_000 // ms; above the daemon's own query timeout would only hide that one

/** Fetches JSON from the daemon. Errors are APIErrors that carry the message of the body, except an abort by signal. */
export async function fetchJSON(path: string, signal: AbortSignal, init: RequestInit = {}): Promise<unknown> {
  let response: Response
  let text: string
  try {
    response = await fetch(path, { ...init, signal: AbortSignal.any([signal, AbortSignal.timeout(deadline)]) })
    text = await response.text()
  } catch (cause) {
    if (signal.aborted) throw cause
    const late = cause instanceof DOMException && cause.name === 'TimeoutError'
    throw new APIError(late ? `no answer within ${deadline / 1000} s` : 'no connection', 0)
  }
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    throw new APIError(response.ok ? 'the answer is not JSON' : failure(response, text), response.status)
  }
  if (!response.ok) throw new APIError(messageOf(body) ?? failure(response, ''), response.status)
  return body
}

function failure(response: Response, text: string): string {
  const first = text.trim().split('\n')[0]?.slice(0, 300) ?? ''
  return first && !first.startsWith('<') ? first : `HTTP ${response.status} ${response.statusText}`.trim()
}

/** Prometheus' API says {"errorType", "error"}, the control API {"code", "message"}. */
function messageOf(body: unknown): string | undefined {
  const { error, message } = fields(body)
  return text(error) || text(message) || undefined
}

// Readers for JSON whose shape is not to be trusted: what is missing or of another type is the zero value, as in proto3.

export function fields(v: unknown): Record<string, unknown> {
  return typeof v === 'object' && v !== null && !Array.isArray(v) ? (v as Record<string, unknown>) : {}
}

export function list(v: unknown): unknown[] {
  return Array.isArray(v) ? v : []
}

export function text(v: unknown): string {
  return typeof v === 'string' ? v : ''
}

/** Numbers, and the strings that proto3's JSON makes of 64-bit integers. */
export function number(v: unknown): number {
  const n = typeof v === 'string' && v !== '' ? Number(v) : v
  return typeof n === 'number' && !Number.isNaN(n) ? n : 0
}

export function strings(v: unknown): string[] {
  return list(v).filter((s) => typeof s === 'string')
}

export function stringMap(v: unknown): Record<string, string> {
  return Object.fromEntries(Object.entries(fields(v)).map(([k, s]) => [k, text(s)]))
}

export function numberMap(v: unknown): Record<string, number> {
  return Object.fromEntries(Object.entries(fields(v)).map(([k, n]) => [k, number(n)]))
}
