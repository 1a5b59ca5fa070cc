import { query, queryRange, type Grid, type Sample, type Series, type Target } from '../api/prometheus'
import { begun, gridOf, stepOf, timesOf, valuesOf, type Values } from '../chart/grid'
import type { Component, Status } from '../api/status'

/** What the store knows about targets beside their state of now. */
export interface UpHistory {
  grid: Grid
  share: Map<string, number> // by targetKey: share of the last hour that it was up
  up: Map<string, number> // 1 or 0, now
  durations: Map<string, Series['points']> // s that each collection took
}

const bound = 2000 // targets whose history is asked for

export async function fetchUpHistory(signal: AbortSignal): Promise<UpHistory> {
  const asked = gridOf(3600, stepOf(3600, 120), Date.now() / 1000)
  const [share, up, durations] = await Promise.all([
    query('avg_over_time(up[1h])', signal),
    query('up', signal),
    queryRange('max by (job, instance) (scrape_duration_seconds)', asked, signal, bound),
  ])
  const keyed = (all: Sample[]) => new Map(all.map((s) => [targetKey(s.labels), s.value]))
  return {
    grid: begun(asked, durations.series, 120),
    share: keyed(share.samples),
    up: keyed(up.samples),
    durations: new Map(durations.series.map((s) => [targetKey(s.labels), s.points])),
  }
}

export function targetKey(labels: Record<string, string>): string {
  return `${labels.job ?? ''} ${labels.instance ?? ''}`
}

export interface TargetRow extends Target {
  share: number | undefined
}

export interface SourceRow {
  component: Component
  targets: TargetRow[]
  up: number
  down: number
  took: number // s of its slowest target, or of the last collection
  durations: Values // s that its slowest target took, over an hour
  errors: string // the last error in words; "" if there was none
}

/** The sources of the daemon with their targets: a target's pool is its source's address. Troubled ones come first. */
export function rowsOf(status: Status, targets: Target[], history: UpHistory | undefined): SourceRow[] {
  const pools = new Map<string, Target[]>()
  for (const t of targets) {
    const pool = pools.get(t.pool)
    if (pool) pool.push(t)
    else pools.set(t.pool, [t])
  }
  return status.components
    .filter((c) => c.kind === 'source')
    .map((c) => rowOf(c, pools.get(c.address) ?? [], history))
    .sort((a, b) => badness(b) - badness(a) || a.component.address.localeCompare(b.component.address))
}

function rowOf(component: Component, targets: Target[], history: UpHistory | undefined): SourceRow {
  const rows = targets.map((t) => withHistory(t, history)).sort((a, b) => rank(a) - rank(b) || a.url.localeCompare(b.url))
  return {
    component,
    targets: rows,
    up: rows.filter((t) => t.health === 'up').length,
    down: rows.filter((t) => t.health === 'down').length,
    took: Math.max(component.lastCollect, ...rows.map((t) => t.took)),
    durations: history ? durationsOf(rows, history) : [],
    errors: component.lastError || (rows.find((t) => t.error)?.error ?? ''),
  }
}

/** A target that the daemon has not judged yet is what its last `up` says. */
function withHistory(target: Target, history: UpHistory | undefined): TargetRow {
  const key = targetKey(target.labels)
  const up = history?.up.get(key)
  const health = target.health !== 'unknown' || up === undefined ? target.health : up === 1 ? 'up' : 'down'
  return { ...target, health, share: history?.share.get(key) }
}

function durationsOf(targets: Target[], history: UpHistory): Values {
  const slowest: Values = timesOf(history.grid).map(() => null)
  for (const key of new Set(targets.map((t) => targetKey(t.labels)))) {
    valuesOf(history.durations.get(key) ?? [], history.grid).forEach((v, i) => {
      if (v !== null) slowest[i] = Math.max(slowest[i] ?? 0, v)
    })
  }
  return slowest
}

function rank(t: Target): number {
  return t.health === 'down' ? 0 : t.health === 'unknown' ? 1 : 2
}

function badness(r: SourceRow): number {
  const state = r.component.state === 'failed' ? 4 : r.component.state === 'degraded' ? 2 : 0
  return state + (r.down > 0 ? 1 : 0)
}
