import { useEffect, useRef, useState, type CSSProperties } from 'react'
import { useLink } from '../live/place'
import { usePoll } from '../live/poll'
import { Hint } from '../parts/State'
import { exprOf, gridFor, load, type Data } from './data'
import { Figures, Gauges } from './Figures'
import { Lines } from './Lines'
import type { Panel } from './model'
import { Rows } from './Rows'
import { builtIn, fill, type Bindings } from './template'

/** What all panels of a dashboard are asked with. */
export interface Asking {
  range: number // s
  rangeWord: string
  interval: number // s; at which targets are collected
  bindings: Bindings
  every: number // ms
}

export function titleOf(title: string, asking: Asking | undefined): string {
  return asking ? fill(title, asText(asking.bindings)) : title
}

/** In a text a variable is its values, not a pattern. */
function asText(bindings: Bindings): Bindings {
  return Object.fromEntries(Object.entries(bindings).map(([k, b]) => [k, { ...b, raw: b.shown ?? b.values.slice(0, 5).join(', ') }]))
}

/** A panel in its place. It is asked for while it can be seen. */
export function PanelBox({ panel, asking }: { panel: Panel; asking: Asking | undefined }) {
  const [box, seen] = useSeen()
  const { x, y, w, h } = panel.place
  // Below a width the places do not fit: panels stand one below the other, as high as they are (styles.css).
  const style = { '--x': x + 1, '--y': y + 1, '--w': w, '--h': h } as CSSProperties
  const title = titleOf(panel.title, asking)
  return (
    <section className={`card board-panel kind-${panel.kind}`} ref={box} style={style} aria-label={title} data-panel={panel.title}>
      {(title || panel.description) && (
        <header>
          <h2 title={title}>{title}</h2>
          {panel.description && (
            <Hint text={panel.description.slice(0, 1000)}>
              <span className="about" tabIndex={0} aria-label="What it shows">
                i
              </span>
            </Hint>
          )}
          {asking && panel.targets[0] && panel.kind !== 'text' && <div className="card-aside"><Ask panel={panel} asking={asking} /></div>}
        </header>
      )}
      <div className="board-body">
        {panel.kind === 'text' && <pre className="board-text">{titleOf(panel.text, asking)}</pre>}
        {panel.kind === 'other' && <p className="board-note">Panels of the type “{panel.type || 'none'}” are not drawn here.</p>}
        {panel.kind !== 'text' && panel.kind !== 'other' && asking && <Live panel={panel} asking={asking} seen={seen} />}
      </div>
    </section>
  )
}

/** Leads to the query box with the first expression. */
function Ask({ panel, asking }: { panel: Panel; asking: Asking }) {
  const grid = gridFor(panel, asking.range, Date.now() / 1000)
  const expr = exprOf(panel.targets[0]!, asking.range, grid, asking.interval, asking.bindings)
  return (
    <a className="link board-ask" {...useLink({ tab: 'query', expr, range: asking.rangeWord })} title={expr}>
      query
    </a>
  )
}

function Live({ panel, asking, seen }: { panel: Panel; asking: Asking; seen: boolean }) {
  const { range, interval, bindings, every } = asking
  const asked = panel.targets.map((t) => fill(t.expr + '\n' + t.least, { ...bindings, ...builtIn(range, 1, interval, 0) }))
  const { data, error } = usePoll(JSON.stringify([panel.id, range, interval, asked]), every, (signal) => load(panel, range, interval, bindings, signal), seen)
  const [kept, setKept] = useState<Data>()
  if (data && data !== kept) setKept(data)
  if (panel.targets.length === 0) return <p className="board-note">The panel has no query in PromQL.</p>
  if (error && !kept) return <p className="board-note trouble-text">{error.message}</p>
  if (!kept) return <p className="board-note" aria-busy>…</p>
  return (
    <>
      {kept.errors.map((e) => (
        <p className="board-note trouble-text" key={e} role="alert">{e}</p>
      ))}
      {kept.series.length === 0 && kept.errors.length === 0 && <p className="board-note">{panel.field.none || 'no data'}</p>}
      {kept.series.length > 0 && <Drawn panel={panel} data={kept} stale={!data} />}
      {kept.cut > 0 && <p className="board-cut">{kept.cut} more series are not shown</p>}
      {kept.warnings.length > 0 && <p className="board-cut" title={kept.warnings.join('\n')}>{kept.warnings[0]}</p>}
    </>
  )
}

function Drawn({ panel, data, stale }: { panel: Panel; data: Data; stale: boolean }) {
  return (
    <div className={stale ? 'board-drawn stale' : 'board-drawn'}>
      {panel.kind === 'timeseries' && <Lines panel={panel} data={data} />}
      {panel.kind === 'stat' && <Figures panel={panel} data={data} />}
      {(panel.kind === 'gauge' || panel.kind === 'bargauge') && <Gauges panel={panel} data={data} />}
      {panel.kind === 'table' && <Rows panel={panel} data={data} />}
    </div>
  )
}

/** Whether an element is on the screen, or soon will be. */
function useSeen() {
  const box = useRef<HTMLElement>(null)
  const [seen, setSeen] = useState(false)
  useEffect(() => {
    const observer = new IntersectionObserver(([entry]) => setSeen(entry!.isIntersecting), { rootMargin: '200px' })
    observer.observe(box.current!)
    return () => observer.disconnect()
  }, [])
  return [box, seen] as const
}
