import { useLayoutEffect, useMemo, useRef } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { axes, type Unit } from './axes'
import { lonely, stack, type Values } from './grid'
import type { ChartLine } from './line'
import { usePalette, type Palette } from './palette'
import { tooltip } from './tooltip'

interface Props {
  times: number[] // s since the epoch
  lines: ChartLine[]
  unit: Unit
  label: string // what it shows, for those who cannot see it
  stacked?: boolean
  filled?: boolean
  floor?: number // the y axis reaches at least up to here
  limits?: Limits // of the y axis, in place of one that begins at zero
  marks?: Mark[] // lines across the chart
  sync?: string // charts with the same word share their cursor
  zoom?: boolean // drag to zoom, double click to zoom out
  testid?: string
}

/** What a y axis holds at least, or where it ends whatever the data is; open: as far as the data. */
export interface Limits {
  min?: number | undefined
  max?: number | undefined
  zero: boolean // lines begin at zero, or at the lowest value
}

export interface Mark {
  at: number
  color: string
}

/** A live chart, as large as its class says: new data is drawn into the same canvas, gaps in the data are gaps in the lines. */
export function Chart(props: Props) {
  const palette = usePalette()
  const host = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>(null)
  const lines = useRef(props.lines)
  const data = useMemo(() => dataOf(props), [props.times, props.lines, props.stacked])
  // What only a new canvas can show; everything else is new data.
  const shape = JSON.stringify([props.lines.map((l) => [l.label, l.color]), palette.scheme, props.floor, props.limits, props.marks, props.stacked, props.filled])

  // Before the other effect, and both before the screen is drawn: data of another shape must never meet an old canvas.
  useLayoutEffect(() => {
    lines.current = props.lines
    const div = host.current!
    const size = () => ({ width: div.clientWidth, height: div.clientHeight })
    const u = new uPlot({ ...size(), ...optionsOf(props, palette, () => lines.current) }, data, div)
    plot.current = u
    const resized = new ResizeObserver(() => u.setSize(size()))
    resized.observe(div)
    return () => {
      resized.disconnect()
      plot.current = null
      u.destroy()
    }
  }, [shape])

  useLayoutEffect(() => {
    lines.current = props.lines
    if (plot.current && plot.current.data !== data) plot.current.setData(data)
  }, [data])

  return (
    <div ref={host} className="chart" role="img" aria-label={props.label} data-testid={props.testid} />
  )
}

/** The first line is drawn last, over the others: of stacked lines, one that is zero does not hide the one below it. */
function dataOf({ times, lines, stacked }: Props): uPlot.AlignedData {
  const values = lines.map((l) => l.values)
  return [times, ...(stacked ? stack(values) : values).toReversed()]
}

function optionsOf(props: Props, palette: Palette, lines: () => ChartLine[]): Omit<uPlot.Options, 'width' | 'height'> {
  const { unit, stacked, filled, floor = 0, limits, marks = [], sync, zoom = false } = props
  const area = palette.scheme === 'dark' ? '38' : '2e' // alpha of a filled area, in hexadecimal
  const series = props.lines.toReversed().map(
    (line): uPlot.Series => ({
      label: line.label,
      stroke: line.color,
      width: stacked ? 1.25 : 1.5,
      ...((stacked || filled) && { fill: line.color + area }),
      points: {
        show: true,
        size: 4,
        fill: line.color,
        filter: (u, i) => lonely(u.data[i] as Values),
      },
    }),
  )
  return {
    padding: [8, 8, 0, 0],
    legend: { show: false },
    series: [{}, ...series],
    axes: axes(unit, palette),
    // Between a stacked line and the one below, which is the next.
    bands: stacked ? series.slice(1).map((_, i) => ({ series: [i + 1, i + 2] })) : [],
    scales: { y: { range: (_, min, max) => (limits ? boundsWithin(min, max, limits) : bounds(min, max, floor)) } },
    cursor: {
      y: false,
      drag: { x: zoom, y: false },
      points: { size: 6 },
      ...(sync && { sync: { key: sync } }),
    },
    plugins: [tooltip(lines, unit.format), ...(marks.length > 0 ? [across(marks)] : [])],
  }
}

/** Dashed lines at values, below the data. */
function across(marks: Mark[]): uPlot.Plugin {
  return {
    hooks: {
      drawClear: (u) => {
        const { ctx, bbox } = u
        ctx.save()
        ctx.setLineDash([6, 5])
        ctx.lineWidth = devicePixelRatio
        for (const { at, color } of marks) {
          const y = Math.round(u.valToPos(at, 'y', true))
          if (y < bbox.top || y > bbox.top + bbox.height) continue
          ctx.strokeStyle = color
          ctx.beginPath()
          ctx.moveTo(bbox.left, y)
          ctx.lineTo(bbox.left + bbox.width, y)
          ctx.stroke()
        }
        ctx.restore()
      },
    },
  }
}

/** Between limits where there are any, else around the data, with a little room at its ends. */
export function boundsWithin(min: number | null, max: number | null, limits: Limits): [number, number] {
  const least = min ?? 0
  const greatest = max ?? 0
  const room = (greatest - least) * 0.08 || Math.abs(greatest) * 0.1
  const low = limits.min ?? (limits.zero ? Math.min(0, least < 0 ? least - room : 0) : least >= 0 ? Math.max(0, least - room) : least - room)
  const high = limits.max ?? (limits.zero && greatest <= 0 ? 0 : greatest + room)
  return high > low ? [low, high] : [low, low + 1]
}

/** From zero, or below it where the data is; a little room above the highest point. */
function bounds(min: number | null, max: number | null, floor: number): [number, number] {
  const low = Math.min(0, min ?? 0)
  const high = Math.max(floor, (max ?? 0) > floor ? (max ?? 0) * 1.08 : floor)
  return [low < 0 ? low * 1.08 : 0, high > low ? high : low + 1]
}
