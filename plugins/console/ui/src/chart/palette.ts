import { useComputedColorScheme } from '@mantine/core'

export type Scheme = 'light' | 'dark'

/** Colours of series, told apart also without red and green; the first are for the lines that matter most. */
const series: Record<Scheme, string[]> = {
  light: ['#2266d3', '#0b9a83', '#dd7a10', '#8453d6', '#cf3759', '#0e8fb5', '#a78605', '#c03f9d', '#4f8f1f', '#5f6f86'],
  dark: ['#5e9dff', '#2dc5ad', '#f5a24b', '#b191ff', '#fb7090', '#46c4ea', '#dfc044', '#ee8ad2', '#93d155', '#93a3b8'],
}

export interface Palette {
  scheme: Scheme
  line: (i: number) => string
  text: string
  grid: string
}

const palettes: Record<Scheme, Palette> = {
  light: { scheme: 'light', line: (i) => series.light[i % 10]!, text: '#6b7684', grid: '#e9edf1' },
  dark: { scheme: 'dark', line: (i) => series.dark[i % 10]!, text: '#8795a5', grid: '#232b34' },
}

/** The colours for what is drawn on a canvas, which knows no CSS. */
export function usePalette(): Palette {
  return palettes[useComputedColorScheme('light', { getInitialValueInEffect: false })]
}
