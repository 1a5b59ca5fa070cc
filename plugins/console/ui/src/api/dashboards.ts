import { fetchJSON, fields, list, text } from './http'
import { fetchNames } from './prometheus'

export interface Named {
  name: string // what it is asked for by; that of a pack begins with the pack's address
  title: string
}

const at = '/api/magpie/v1/dashboards'

/** The dashboards of the configuration that runs. */
export async function fetchDashboards(signal: AbortSignal): Promise<Named[]> {
  return list(fields(await fetchJSON(at, signal)).dashboards).map((v) => {
    const { name, title } = fields(v)
    return { name: text(name), title: text(title) }
  })
}

/** A dashboard as its file is: JSON of Grafana that somebody wrote. */
export function fetchDashboard(name: string, signal: AbortSignal): Promise<unknown> {
  return fetchJSON(`${at}/${encodeURIComponent(name)}`, signal)
}

/** The values of a label in the last seconds; of all series, or of those that match. */
export async function fetchLabelValues(label: string, match: string, range: number, signal: AbortSignal): Promise<string[]> {
  const now = Date.now() / 1000
  const over = { start: String(Math.floor(now - range)), end: String(Math.ceil(now)) }
  if (/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(label)) return fetchNames(`label/${label}/values`, { ...(match && { 'match[]': match }), ...over }, signal)
  throw new Error(`${JSON.stringify(label)} is no name of a label`)
}

export function fetchLabelNames(match: string, signal: AbortSignal): Promise<string[]> {
  return fetchNames('labels', match ? { 'match[]': match } : {}, signal)
}
