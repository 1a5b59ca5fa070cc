import { NativeSelect } from '@mantine/core'
import { useContext, useMemo, useState } from 'react'
import { fetchTargets, parseDuration } from '../api/prometheus'
import { counted } from '../format'
import { GoContext, useLink, type Place } from '../live/place'
import { usePoll } from '../live/poll'
import { Expander } from '../parts/Expander'
import { Choices } from './Choices'
import type { Dashboard, Section } from './model'
import { PanelBox, titleOf, type Asking } from './PanelBox'
import { builtIn } from './template'
import { bindingsOf, resolve } from './variables'

const ranges = ['5m', '15m', '1h', '3h', '6h', '12h', '1d', '2d', '7d', '30d', '90d']
const refreshes = ['off', '5s', '10s', '30s', '1m', '5m', '15m']
const longest = 400 * 86_400

/** A dashboard: what it asks for at the top, its rows and panels below. */
export function Board({ board, place }: { board: Dashboard; place: Place }) {
  const go = useContext(GoContext)
  const range = wordOf(place.range || board.range, '1h')
  const refresh = place.refresh === 'off' || board.refresh === '' && !place.refresh ? 'off' : wordOf(place.refresh || board.refresh, '30s')
  const seconds = parseDuration(range)
  const targets = usePoll('intervals', 60_000, fetchTargets)
  const interval = longestOf((targets.data ?? []).map((t) => t.interval))

  const wanted = JSON.stringify(place.vars)
  const names = useMemo(() => JSON.stringify(board.variables), [board])
  const choices = usePoll(`variables ${names} ${wanted} ${range}`, 300_000, (signal) =>
    resolve(board.variables, place.vars, seconds, builtIn(seconds, 15, interval, Date.now() / 1000), signal),
  )
  // While the choices of other values are asked for, those before stay: the page does not jump.
  const [kept, setKept] = useState(choices.data)
  if (choices.data && choices.data !== kept) setKept(choices.data)
  const bindings = useMemo(() => kept && bindingsOf(kept), [kept])
  const ready = bindings && (targets.data || targets.error) ? bindings : undefined
  const asking: Asking | undefined = ready && {
    range: seconds, rangeWord: range, interval, bindings: ready, every: refresh === 'off' ? Infinity : 1000 * Math.max(5, parseDuration(refresh)),
  }
  return (
    <div data-testid="board">
      <div className="toolbar">
        <div className="facts">
          <a className="link" {...useLink({ tab: 'dashboards' })}>
            Dashboards
          </a>
          <h1>{titleOf(board.title, asking)}</h1>
          {board.description && <span className="clamp" title={board.description}>{board.description}</span>}
        </div>
        <span className="grow" />
        <NativeSelect size="xs" aria-label="Range" value={range} data={withThat(ranges, range).map((r) => ({ value: r, label: `last ${r}` }))}
          onChange={(e) => go({ ...place, range: e.currentTarget.value })} data-testid="board-range" />
        <NativeSelect size="xs" aria-label="Refresh" value={refresh}
          data={withThat(refreshes, refresh).map((r) => ({ value: r, label: r === 'off' ? 'no refresh' : `every ${r}` }))}
          onChange={(e) => go({ ...place, refresh: e.currentTarget.value })} />
      </div>
      {kept && <Choices choices={kept} choose={(name, values) => go({ ...place, vars: { ...place.vars, [name]: values } })} />}
      {board.sections.map((s, i) => (
        <Rows key={i} section={s} asking={asking} />
      ))}
      {board.left > 0 && <p className="left">{counted(board.left, 'more panel')} of this dashboard are not drawn.</p>}
    </div>
  )
}

function wordOf(word: string, otherwise: string): string {
  const seconds = parseDuration(word)
  return seconds >= 5 && seconds <= longest ? word : otherwise
}

function withThat(words: string[], word: string): string[] {
  return words.includes(word) ? words : [word, ...words]
}

/** The longest interval that a target is collected at, so that rates have enough samples; of very slow ones as much as a minute. */
function longestOf(intervals: number[]): number {
  return Math.min(60, Math.max(15, ...intervals))
}

function Rows({ section, asking }: { section: Section; asking: Asking | undefined }) {
  const [open, setOpen] = useState(!section.collapsed)
  return (
    <section className="board-section">
      {section.title && (
        <h2>
          <Expander open={open} toggle={() => setOpen(!open)}>
            {titleOf(section.title, asking)}
            {!open && <small className="dim">{counted(section.panels.length, 'panel')}</small>}
          </Expander>
        </h2>
      )}
      {open && (
        <div className="board">
          {section.panels.map((p) => (
            <PanelBox key={p.id} panel={p} asking={asking} />
          ))}
        </div>
      )}
    </section>
  )
}
