import { Chart } from '../chart/Chart'
import type { ChartLine } from '../chart/line'
import { usePalette } from '../chart/palette'
import { bytes, percent } from '../format'
import { Card, Empty } from '../parts/Card'
import { usedOf, valuesWhere, type Filesystem, type History } from './queries'

const drawn = 8

/** How full each filesystem is, now and over the range. */
export function Filesystems({ history, filesystems }: { history: History; filesystems: Filesystem[] }) {
  const palette = usePalette()
  const lines = filesystems.slice(0, drawn).map((fs, i): ChartLine => ({
    label: fs.mountpoint,
    color: palette.line(i),
    values: valuesWhere(history, 'filesystems', (l) => l.mountpoint === fs.mountpoint),
  }))
  return (
    <Card title="Filesystems" className="filesystems" aside={<span className="figure-note">{about(filesystems)}</span>}
      testid="panel-filesystems">
      {filesystems.length === 0 && <Empty title="No filesystem is reported" />}
      {filesystems.length > 0 && (
        <div className="filesystems-body">
          <ul className="bars">
            {filesystems.map((fs, i) => (
              <Bar key={fs.mountpoint} fs={fs} color={i < drawn ? palette.line(i) : palette.text} />
            ))}
          </ul>
          <Chart times={history.times} lines={lines} unit={{ format: percentOf }} floor={1} sync="machine"
            label="Used share of each filesystem" testid="chart-filesystems" />
        </div>
      )}
    </Card>
  )
}

function Bar({ fs, color }: { fs: Filesystem; color: string }) {
  const used = usedOf(fs)
  const level = used >= 0.95 ? 'failed' : used >= 0.85 ? 'degraded' : ''
  return (
    <li title={`${fs.device}, ${fs.type}`}>
      <span className="bar-name">
        <i className="swatch" style={{ background: color }} />
        {fs.mountpoint}
      </span>
      <span className="bar-value">
        {bytes(fs.available)} of {bytes(fs.size)} free <b>{percent(used)}</b>
      </span>
      <span className="bar">
        <i className={level} style={{ width: `${Math.min(100, used * 100)}%` }} />
      </span>
    </li>
  )
}

function about(filesystems: Filesystem[]): string {
  return filesystems.length > drawn ? `the ${drawn} fullest of ${filesystems.length} are drawn` : ''
}

const percentOf = (v: number) => `${Math.round(v * 100)} %`
