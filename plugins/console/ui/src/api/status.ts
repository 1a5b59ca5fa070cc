import { fetchJSON, fields, list, number, numberMap, strings, text } from './http'

/** How something is: the states of the control API, gathered to what a colour can say. */
export type Level = 'ok' | 'degraded' | 'failed' | 'idle'

export interface Status {
  version: string
  hostname: string
  started: number // ms since the epoch, as all times here
  config: Config
  components: Component[]
  processes: Process[]
  pipelines: Pipeline[]
  buffer: Buffer
}

export interface Config {
  state: string // "current" or "last_applied"
  problem: string
  applied: number
  files: string[]
}

export interface Component {
  address: string
  kind: string
  type: string
  plugin: string
  state: string // "opening", "running", "degraded", "failed", "closed"
  text: string
  series: number
  collects: number
  skipped: number
  dropped: Record<string, number> // by reason
  errors: Record<string, number> // by blame
  lastError: string
  lastCollect: number // s
  samples: number // received from it or delivered to it, since it opened
  since: number
}

export interface Process {
  plugin: string
  pid: number
  state: string // "running", "starting", "backoff", "stopped"
  restarts: number
  cpu: number // s of CPU since it started
  rss: number // bytes
  pss: number // bytes; 0 where the kernel does not tell
  started: number
  lastDeath: string
  components: string[]
  version: string
  verified: Verified | undefined // undefined: there is no report beside the binary
}

/** What the report of `magpie plugin verify` beside a binary says. */
export interface Verified {
  current: boolean // it is of the binary of this process
  at: number
  by: string // version of magpie
  kit: string // version of the checks
  ok: number
  failed: number
  notApplicable: number
  checks: FailedCheck[] // the first of those that failed
  problem: string // why the file is no report
}

export interface FailedCheck {
  of: string
  check: string
  about: string
  text: string
  fix: string
}

export interface Pipeline {
  name: string
  sink: string
  delivered: number
  stored: number
  dropped: Record<string, number>
  lagRecords: number
  lag: number // s
  trouble: string
}

export interface Buffer {
  bytes: number
  records: number
  segments: number
}

/** Asks the daemon how it is. */
export async function fetchStatus(signal: AbortSignal): Promise<Status> {
  const init = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' }
  return readStatus(await fetchJSON('/api/magpie/v1/Status', signal, init))
}

/** Reads a StatusResponse in proto3's JSON: camelCase, int64 as strings, what is missing is zero. */
export function readStatus(json: unknown): Status {
  const s = fields(json)
  const config = fields(s.config)
  const buffer = fields(s.buffer)
  return {
    version: text(s.version),
    hostname: text(s.hostname),
    started: number(s.startedUnixMs),
    config: {
      state: text(config.state),
      problem: text(config.problem),
      applied: number(config.appliedUnixMs),
      files: strings(config.files),
    },
    components: list(s.components).map((v) => readComponent(fields(v))),
    processes: list(s.processes).map((v) => readProcess(fields(v))),
    pipelines: list(s.pipelines).map((v) => readPipeline(fields(v))),
    buffer: { bytes: number(buffer.bytes), records: number(buffer.records), segments: number(buffer.segments) },
  }
}

function readComponent(c: Record<string, unknown>): Component {
  return {
    address: text(c.address),
    kind: text(c.kind),
    type: text(c.type),
    plugin: text(c.plugin),
    state: text(c.state),
    text: text(c.text),
    series: number(c.series),
    collects: number(c.collects),
    skipped: number(c.skipped),
    dropped: numberMap(c.dropped),
    errors: numberMap(c.errors),
    lastError: text(c.lastError),
    lastCollect: number(c.lastCollectNs) / 1e9,
    samples: number(c.samples),
    since: number(c.sinceUnixMs),
  }
}

function readProcess(p: Record<string, unknown>): Process {
  return {
    plugin: text(p.plugin),
    pid: number(p.pid),
    state: text(p.state),
    restarts: number(p.restarts),
    cpu: number(p.cpuSeconds),
    rss: number(p.rssBytes),
    pss: number(p.pssBytes),
    started: number(p.startedUnixMs),
    lastDeath: text(p.lastDeath),
    components: strings(p.components),
    version: text(p.version),
    verified: p.verified === undefined ? undefined : readVerified(fields(p.verified)),
  }
}

function readVerified(v: Record<string, unknown>): Verified {
  return {
    current: v.current === true,
    at: number(v.atUnixMs),
    by: text(v.by),
    kit: text(v.kit),
    ok: number(v.ok),
    failed: number(v.failed),
    notApplicable: number(v.notApplicable),
    checks: list(v.checks).map((c) => {
      const { of, check, about, text: seen, fix } = fields(c)
      return { of: text(of), check: text(check), about: text(about), text: text(seen), fix: text(fix) }
    }),
    problem: text(v.problem),
  }
}

function readPipeline(p: Record<string, unknown>): Pipeline {
  return {
    name: text(p.name),
    sink: text(p.sink),
    delivered: number(p.delivered),
    stored: number(p.stored),
    dropped: numberMap(p.dropped),
    lagRecords: number(p.lagRecords),
    lag: number(p.lagMs) / 1e3,
    trouble: text(p.trouble),
  }
}

const levels: Record<string, Level> = {
  running: 'ok', degraded: 'degraded', failed: 'failed',
  opening: 'idle', closed: 'idle', starting: 'idle', stopped: 'idle', backoff: 'failed',
}

/** The level of a component's or process' state; a state that this page does not know is shown, not judged. */
export function levelOf(state: string): Level {
  return levels[state] ?? 'idle'
}

export function total(counts: Record<string, number>): number {
  return Object.values(counts).reduce((sum, n) => sum + n, 0)
}
