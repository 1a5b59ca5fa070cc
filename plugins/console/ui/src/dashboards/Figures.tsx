import { usePalette } from '../chart/palette'
import { Sparkline } from '../chart/Sparkline'
import { colorAt, mappingOf, rangeOf, stepsOf, colorOf } from './colors'
import { reduce, type Data, type Found } from './data'
import type { Panel } from './model'
import { unitOf } from './units'

const shown = 60 // figures; the rest is counted

interface Props {
  panel: Panel
  data: Data
}

/** Large numbers, one for each series. */
export function Figures({ panel, data }: Props) {
  const { scheme } = usePalette()
  const named = panel.look.names || data.series.length > 1
  return (
    <div className="figures">
      {data.series.slice(0, shown).map((s, i) => {
        const v = reduce(panel.look.reduce, s.values, s.last)
        return (
          <div className="figures-one" key={i} title={s.name}>
            <b style={{ color: colorAt(v, s.field, scheme) }}>{written(v, s)}</b>
            {named && <span>{s.name}</span>}
            {panel.look.graph && s.values.filter((x) => x !== null).length > 1 && <Sparkline values={s.values} width={120} height={26} label={s.name} />}
          </div>
        )
      })}
      <Rest n={data.series.length - shown} />
    </div>
  )
}

/** How full something is, one for each series: arcs, or bars. */
export function Gauges({ panel, data }: Props) {
  const few = data.series.slice(0, shown)
  return (
    <div className={panel.kind === 'gauge' ? 'figures' : 'gauges'}>
      {few.map((s, i) => {
        const v = reduce(panel.look.reduce, s.values, s.last)
        return panel.kind === 'gauge' ? <Arc key={i} s={s} v={v} named={few.length > 1 || panel.look.names} /> : <Bar key={i} s={s} v={v} />
      })}
      <Rest n={data.series.length - shown} />
    </div>
  )
}

function Rest({ n }: { n: number }) {
  return n > 0 ? <p className="board-cut">and {n} more</p> : null
}

/** A value in its field's words. */
export function written(v: number, { field }: Pick<Found, 'field'>): string {
  const mapped = mappingOf(v, field)?.text
  if (mapped) return mapped
  return Number.isNaN(v) ? field.none || '–' : unitOf(field.unit, field.decimals).format(v)
}

function share(v: number, s: Found): number {
  const [min, max] = rangeOf(s.field)
  return Number.isNaN(v) ? 0 : Math.min(1, Math.max(0, (v - min) / (max - min)))
}

function Bar({ s, v }: { s: Found; v: number }) {
  const { scheme } = usePalette()
  const color = colorAt(v, s.field, scheme)
  return (
    <div className="gauges-one" title={s.name}>
      <span className="bar-name">{s.name}</span>
      <b style={{ color }}>{written(v, s)}</b>
      <span className="bar"><i style={{ width: `${share(v, s) * 100}%`, background: color }} /></span>
    </div>
  )
}

/** Three quarters of a circle, with the thresholds around it. */
function Arc({ s, v, named }: { s: Found; v: number; named: boolean }) {
  const { scheme } = usePalette()
  const steps = stepsOf(s.field)
  return (
    <div className="figures-one arc" title={s.name}>
      <svg viewBox="0 0 120 92" role="img" aria-label={`${s.name}: ${written(v, s)}`}>
        <path d={arc(48, 0, 1)} className="arc-room" />
        {share(v, s) > 0 && <path d={arc(48, 0, share(v, s))} className="arc-value" style={{ stroke: colorAt(v, s.field, scheme) }} />}
        {steps.length > 1 && steps.map((step, i) => {
          const from = i === 0 ? 0 : share(step.from, s)
          const to = i + 1 < steps.length ? share(steps[i + 1]!.from, s) : 1
          return to > from && <path key={i} d={arc(56, from, to)} className="arc-step" style={{ stroke: colorOf(step.color, scheme) }} />
        })}
        <text x="60" y="68" textAnchor="middle">{written(v, s)}</text>
      </svg>
      {named && <span>{s.name}</span>}
    </div>
  )
}

/** A piece of the gauge's circle, between two shares of it. */
function arc(radius: number, from: number, to: number): string {
  const at = (share: number) => {
    const angle = ((-210 + 240 * share) * Math.PI) / 180
    return `${(60 + radius * Math.cos(angle)).toFixed(2)},${(62 + radius * Math.sin(angle)).toFixed(2)}`
  }
  return `M${at(from)}A${radius},${radius} 0 ${(to - from) * 240 > 180 ? 1 : 0} 1 ${at(to)}`
}
