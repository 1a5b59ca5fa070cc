import { createContext, useCallback, useContext, useEffect, useState } from 'react'

export const tabs = ['overview', 'dashboards', 'sources', 'alerts', 'diagnoses', 'plugins', 'query'] as const
export type Tab = (typeof tabs)[number]

/** Where a person is on the page: everything that a shared link must bring back. */
export interface Place {
  tab: Tab
  range: string // "" : the tab's own default
  expr: string // of the query box
  machine: string // instance on the overview; "": the daemon's own
  board: string // the dashboard that is shown; "": the list of them
  vars: Record<string, string[]> // of its variables, what was chosen by hand
  refresh: string // of it: "30s", "off"; "": as it says
  report: string // id of the diagnosis that is open
  alert: string // whose diagnoses are listed; "": all
}

/** Reads the address' query string; what is unknown in it is ignored. */
export function readPlace(search: string): Place {
  const p = new URLSearchParams(search)
  const tab = tabs.find((t) => t === p.get('tab')) ?? 'overview'
  const of = (name: string) => p.get(name) ?? ''
  const vars: Record<string, string[]> = {}
  for (const [k, v] of p) if (/^var-\w+$/.test(k)) (vars[k.slice(4)] ??= []).push(v)
  return {
    tab, range: of('range'), expr: of('expr'), machine: of('machine'), board: of('board'), vars, refresh: of('refresh'), report: of('report'), alert: of('alert'),
  }
}

/** The query string of a place, such as "?tab=query&expr=up&range=1h"; only what differs from the default. */
export function searchOf(place: Partial<Place>): string {
  const p = new URLSearchParams()
  if (place.tab && place.tab !== 'overview') p.set('tab', place.tab)
  if (place.machine) p.set('machine', place.machine)
  if (place.expr) p.set('expr', place.expr)
  if (place.board) p.set('board', place.board)
  if (place.range) p.set('range', place.range)
  if (place.refresh) p.set('refresh', place.refresh)
  for (const [name, values] of Object.entries(place.vars ?? {})) for (const v of values) p.append(`var-${name}`, v)
  if (place.alert) p.set('alert', place.alert)
  if (place.report) p.set('report', place.report)
  const s = p.toString()
  return s && '?' + s
}

type Go = (next: Partial<Place>) => void

/** The place, kept in the address: go makes a new entry of the browser's history. */
export function useAddress(): [Place, Go] {
  const [place, setPlace] = useState(() => readPlace(location.search))
  useEffect(() => {
    const back = () => setPlace(readPlace(location.search))
    addEventListener('popstate', back)
    return () => removeEventListener('popstate', back)
  }, [])
  const go = useCallback((next: Partial<Place>) => {
    const search = searchOf(next)
    if (search !== location.search) history.pushState(null, '', location.pathname + search)
    setPlace(readPlace(search))
  }, [])
  return [place, go]
}

export const GoContext = createContext<Go>(() => {})

/** Attributes of a link to a place: a click stays on the page, a middle click opens a tab. */
export function useLink(place: Partial<Place>) {
  const go = useContext(GoContext)
  return {
    href: searchOf(place) || location.pathname,
    onClick: (e: React.MouseEvent) => {
      if (e.metaKey || e.ctrlKey || e.shiftKey || e.button !== 0) return
      e.preventDefault()
      go(place)
    },
  }
}
