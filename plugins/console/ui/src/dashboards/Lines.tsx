import { useMemo } from 'react'
import { Chart, type Limits, type Mark } from '../chart/Chart'
import type { ChartLine } from '../chart/line'
import { timesOf } from '../chart/grid'
import { usePalette, type Palette } from '../chart/palette'
import { colorOf, stepsOf } from './colors'
import { reduce, type Data } from './data'
import type { Panel } from './model'
import { unitOf } from './units'

const words: Record<string, string> = { lastNotNull: 'last', mean: 'mean', max: 'max', min: 'min', sum: 'sum', first: 'first' }

/** A panel of lines or areas, with a legend below. */
export function Lines({ panel, data }: { panel: Panel; data: Data }) {
  const palette = usePalette()
  const { look, field } = panel
  const unit = useMemo(() => unitOf(field.unit || (data.series[0]?.field.unit ?? ''), field.decimals), [panel, data])
  const times = useMemo(() => timesOf(data.grid), [data])
  const lines = useMemo(() => linesOf(data, palette), [data, palette])
  const marks = useMemo(() => marksOf(panel, palette), [panel, palette])
  const limits: Limits = { min: field.min, max: field.max, zero: look.filled || look.stacked }
  return (
    <>
      <Chart times={times} lines={lines} unit={unit} label={`${panel.title}: ${lines.length} lines`} stacked={look.stacked} filled={look.filled}
        limits={limits} marks={marks} zoom sync="dashboard" />
      {look.legend === 'list' && (
        <ul className="legend">
          {lines.map((l, i) => (
            <li key={i}>
              <i className="swatch" style={{ background: l.color }} />
              {l.label}
              {look.calcs.map((c) => (
                <span key={c}>
                  {look.calcs.length > 1 && <small> {words[c] ?? c}</small>}
                  <b>{written(reduce(c, data.series[i]!.values, data.series[i]!.last), unit.format)}</b>
                </span>
              ))}
            </li>
          ))}
        </ul>
      )}
    </>
  )
}

function written(v: number, format: (v: number) => string): string {
  return Number.isNaN(v) ? '–' : format(v)
}

function linesOf(data: Data, palette: Palette): ChartLine[] {
  return data.series.map((s, i) => ({ label: s.name, color: colorOf(s.field.color, palette.scheme) ?? palette.line(i), values: s.values }))
}

function marksOf(panel: Panel, palette: Palette): Mark[] {
  if (!panel.look.thresholds) return []
  return stepsOf(panel.field).filter((s) => Number.isFinite(s.from)).map((s) => ({ at: s.from, color: colorOf(s.color, palette.scheme) ?? palette.text }))
}
