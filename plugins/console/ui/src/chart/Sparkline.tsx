import type { Values } from './grid'

interface Props {
  values: Values
  width?: number
  height?: number
  label: string
}

/** A line without axes, as high as its largest value; SVG, since a table may have hundreds. */
export function Sparkline({ values, width = 96, height = 22, label }: Props) {
  const top = Math.max(0, ...values.map((v) => v ?? 0)) || 1
  const x = (i: number) => 1 + (i * (width - 2)) / Math.max(1, values.length - 1)
  const y = (v: number) => height - 2 - (v / top) * (height - 4)
  let area = ''
  let line = ''
  for (const run of runs(values)) {
    const points = run.map(([i, v]) => `${x(i).toFixed(1)},${y(v).toFixed(1)}`)
    line += `M${points.join('L')}${run.length === 1 ? 'h0.1' : ''}`
    area += `M${x(run[0]![0]).toFixed(1)},${height}L${points.join('L')}L${x(run.at(-1)![0]).toFixed(1)},${height}Z`
  }
  return (
    <svg className="sparkline" width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="img" aria-label={label}>
      {line === '' && <path d={`M1,${height - 2}H${width - 1}`} className="sparkline-none" />}
      <path d={area} className="sparkline-area" />
      <path d={line} className="sparkline-line" />
    </svg>
  )
}

/** The stretches between gaps. */
function runs(values: Values): [number, number][][] {
  const all: [number, number][][] = []
  values.forEach((v, i) => {
    if (v === null) return
    if (i === 0 || values[i - 1] === null) all.push([])
    all.at(-1)!.push([i, v])
  })
  return all
}
