import type { Values } from './grid'

/** A line of a chart: a value, or a gap, for each of its times. */
export interface ChartLine {
  label: string
  color: string
  values: Values
}
