import { query, queryRange, type Grid, type Labels, type Matrix, type Vector } from '../api/prometheus'
import { gridOf, stepOf } from '../chart/grid'

/** Series of a result that are drawn and listed; more would be neither readable nor light. */
export const drawn = 200
export const listed = 500

/** What an expression gave: the values of now, and those over the range. Either may fail alone. */
export interface Outcome {
  expr: string
  grid: Grid
  now: Vector | Error
  over: Matrix | Error
  took: number // s
}

/** Evaluates an expression at now and over the last range (s). Only an abort is thrown. */
export async function evaluate(expr: string, range: number, signal: AbortSignal): Promise<Outcome> {
  const started = performance.now()
  const grid = gridOf(range, stepOf(range, 250), Date.now() / 1000)
  const [now, over] = await Promise.all([
    query(expr, signal, 2 * listed).catch(asError),
    queryRange(expr, grid, signal, 2 * drawn).catch(asError),
  ])
  signal.throwIfAborted()
  return { expr, grid, now, over, took: (performance.now() - started) / 1000 }
}

function asError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(String(cause))
}

/** The errors of an outcome in words, those that say the same once. */
export function errorsOf({ now, over }: Outcome): string[] {
  const all = [now, over].filter((r) => r instanceof Error)
  return [...new Set(all.map((e) => e.message.replace(/^invalid parameter "query": /, '')))] // only one of the two routes says that
}

/** What the store wants to be known of a result, such as that it was cut. */
export function warningsOf({ now, over }: Outcome): string[] {
  return [...new Set([now, over].flatMap((r) => (r instanceof Error ? [] : r.warnings)))]
}

/** Prometheus says where a mistake is ("1:7: parse error: …"); line and column count from 1. */
export function placeOf(message: string): { line: number; column: number } | undefined {
  const found = /\b(\d{1,6}):(\d{1,6}): parse error/.exec(message)
  return found ? { line: Number(found[1]), column: Number(found[2]) } : undefined
}

/** The names of the labels that tell series from one another; of a single series all of its labels. */
export function differing(all: Labels[]): Set<string> {
  const names = new Set(all.flatMap((l) => Object.keys(l)))
  if (all.length < 2) return names
  return new Set([...names].filter((k) => all.some((l) => l[k] !== all[0]![k])))
}
