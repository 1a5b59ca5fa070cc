import { Chart } from '../chart/Chart'
import { newest } from '../chart/grid'
import { Card } from '../parts/Card'
import type { Panel } from './panels'

/** A panel: title, figure, chart, legend. Until there is a line to draw it says what it waits for. */
export function PanelCard({ panel, times }: { panel: Panel; times: number[] }) {
  const { id, title, now, note, lines, unit } = panel
  const some = lines.some((l) => l.values.some((v) => v !== null))
  return (
    <Card title={title} aside={<Figure now={now} note={note} />} testid={`panel-${id}`}>
      <div className="panel-chart">
        <Chart
          times={times}
          lines={lines}
          unit={unit}
          label={`${title}: ${now} ${note ?? ''}`}
          stacked={panel.stacked ?? false}
          filled={panel.filled ?? false}
          floor={panel.floor ?? 0}
          sync="machine"
          testid={`chart-${id}`}
        />
        {!some && <div className="panel-waits">no samples yet; a rate needs two</div>}
      </div>
      <ul className="legend">
        {lines.map((l) => (
          <li key={l.label}>
            <i className="swatch" style={{ background: l.color }} />
            {l.label}
            <b>{format(newest(l.values), unit.format)}</b>
          </li>
        ))}
      </ul>
    </Card>
  )
}

function Figure({ now, note }: { now: string; note: string | undefined }) {
  return (
    <>
      {note && <span className="figure-note">{note}</span>}
      <span className="figure">{now}</span>
    </>
  )
}

function format(v: number | undefined, by: (v: number) => string): string {
  return v === undefined ? '' : by(v)
}
