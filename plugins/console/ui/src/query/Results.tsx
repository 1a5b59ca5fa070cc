import { Table } from '@mantine/core'
import { useMemo, useState } from 'react'
import type { Matrix, Sample, Vector } from '../api/prometheus'
import { Chart } from '../chart/Chart'
import type { ChartLine } from '../chart/line'
import { timesOf, valuesOf } from '../chart/grid'
import { usePalette } from '../chart/palette'
import { clock, compact, series, value } from '../format'
import { Card, Empty } from '../parts/Card'
import { SeriesName } from '../parts/Labels'
import { differing, drawn, listed, type Outcome } from './evaluate'

/** The graph, and the values of now below it: the table is the graph's legend. A click on a line there shows it alone. */
export function Results({ outcome, busy }: { outcome: Outcome; busy: boolean }) {
  const palette = usePalette()
  const [alone, setAlone] = useState<{ outcome: Outcome; name: string }>()
  const only = alone?.outcome === outcome ? alone.name : undefined
  const { now, over, grid } = outcome
  const times = useMemo(() => timesOf(grid), [grid])
  const all = useMemo(() => (over instanceof Error ? [] : linesOf(over, outcome, palette.line)), [outcome, palette])
  const lines = useMemo(() => (only ? all.filter((l) => l.name === only) : all), [all, only])
  const toggle = (name: string) => setAlone(only === name ? undefined : { outcome, name })
  if (now instanceof Error && over instanceof Error) return null
  return (
    <div className={busy ? 'stale' : ''}>
      {!(over instanceof Error) && (
        <Card title="Graph" aside={<GraphNote over={over} only={only} />}>
          {lines.length === 0 ? (
            <Empty title="No data in this range">The expression matches no series. Completion in the box lists the names that exist.</Empty>
          ) : (
            <Chart times={times} lines={lines} unit={{ format: compact }} label={outcome.expr} zoom testid="query-chart" />
          )}
        </Card>
      )}
      {!(now instanceof Error) && <Values now={now} lines={all} only={only} toggle={toggle} />}
    </div>
  )
}

/** A line of the graph with the whole name of its series; its label leaves out what all lines share. */
interface NamedLine extends ChartLine {
  name: string
}

function linesOf(over: Matrix, { grid }: Outcome, color: (i: number) => string): NamedLine[] {
  const shown = over.series.slice(0, drawn)
  const differ = differing(shown.map((s) => s.labels))
  return shown.map((s, i) => ({
    name: series(s.labels),
    label: series(Object.fromEntries(Object.entries(s.labels).filter(([k]) => differ.has(k)))),
    color: color(i),
    values: valuesOf(s.points, grid),
  }))
}

function GraphNote({ over, only }: { over: Matrix; only: string | undefined }) {
  const cut = over.series.length > drawn ? `the first ${drawn} of ${over.series.length} series` : ''
  return <span className="figure-note">{only ? 'one series; click it again for all' : cut || 'drag to zoom, double-click to zoom out'}</span>
}

interface ValuesProps {
  now: Vector
  lines: NamedLine[]
  only: string | undefined
  toggle: (name: string) => void
}

function Values({ now, lines, only, toggle }: ValuesProps) {
  const { samples } = now
  const colors = useMemo(() => new Map(lines.map((l) => [l.name, l.color])), [lines])
  const cut = samples.length > listed ? `the first ${listed} of ${samples.length}` : ''
  return (
    <Card title="Values now" aside={<span className="figure-note">{cut}</span>}>
      {samples.length === 0 ? (
        <Empty title="No value now" />
      ) : (
        <div className="scroll">
          <Table data-testid="query-table" highlightOnHover>
            <Table.Tbody>
              {samples.slice(0, listed).map((s, i) => {
                const name = series(s.labels)
                const color = colors.get(name)
                return (
                  <Table.Tr key={i} className={only && only !== name ? 'dim' : ''} {...(color && { onClick: () => toggle(name), style: { cursor: 'pointer' } })}>
                    <Table.Td className="stretch">
                      <i className="swatch" style={{ background: color ?? 'transparent' }} />
                      <SeriesName labels={s.labels} />
                    </Table.Td>
                    <Table.Td className="num" title={clock(s.time * 1000)}>
                      {written(s)}
                    </Table.Td>
                  </Table.Tr>
                )
              })}
            </Table.Tbody>
          </Table>
        </div>
      )}
    </Card>
  )
}

function written({ value: v, histogram }: Sample): string {
  return histogram ? `histogram: ${value(histogram.count)} observations, sum ${value(histogram.sum)}` : value(v)
}
