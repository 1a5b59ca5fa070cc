import type { Status } from '../api/status'

/** What is known only by comparing one Status with the next: use of CPU, samples a second. */
export interface Rates {
  at: number // ms of the Status that it was last advanced with
  cpu: Map<string, Track> // by processKey; seconds of CPU a second
  samples: Map<string, Track> // by component's address; samples a second
}

/** A counter's last reading and its rates between readings, oldest first. */
export interface Track {
  total: number
  rates: number[]
}

export const none: Rates = { at: 0, cpu: new Map(), samples: new Map() }

const kept = 90 // readings: the length of a sparkline

/** A restarted process is another one: its counter starts at zero. */
export function processKey(p: { plugin: string; pid: number }): string {
  return `${p.plugin}#${p.pid}`
}

/** The rates after a Status that came at a time (ms). What is gone from the Status is forgotten. */
export function advance(before: Rates, status: Status, at: number): Rates {
  const seconds = (at - before.at) / 1000
  const cpu = status.processes.map((p): [string, number] => [processKey(p), p.cpu])
  const samples = status.components.map((c): [string, number] => [c.address, c.samples])
  return { at, cpu: track(before.cpu, cpu, seconds), samples: track(before.samples, samples, seconds) }
}

function track(before: Map<string, Track>, now: [string, number][], seconds: number): Map<string, Track> {
  return new Map(
    now.map(([key, total]) => {
      const last = before.get(key)
      // A counter that fell belongs to a component that was opened again.
      if (!last || seconds <= 0 || total < last.total) return [key, { total, rates: [] }]
      return [key, { total, rates: [...last.rates, (total - last.total) / seconds].slice(-kept) }]
    }),
  )
}

/** The mean of the last n rates, for what comes in bursts; before there are as many, what a mean over its whole life says. */
export function mean(tracks: Map<string, Track>, key: string, n: number, life: number): number | undefined {
  const track = tracks.get(key)
  if (track && track.rates.length >= n) return track.rates.slice(-n).reduce((sum, v) => sum + v, 0) / n
  return track && life > 0 ? track.total / life : undefined
}

/** The newest rate; undefined before there are two readings. */
export function latest(tracks: Map<string, Track>, key: string): number | undefined {
  return tracks.get(key)?.rates.at(-1)
}
