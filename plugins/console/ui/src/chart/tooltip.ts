import type uPlot from 'uplot'
import { clock } from '../format'
import type { ChartLine } from './line'

const shown = 12 // lines; the rest is counted

/** A box beside the cursor: the time and each line's value there, the line nearest to the cursor first if there are many. */
export function tooltip(lines: () => ChartLine[], format: (v: number) => string): uPlot.Plugin {
  const box = document.createElement('div')
  box.className = 'chart-tooltip'
  const hide = () => box.classList.remove('on')
  return {
    hooks: {
      init: (u) => {
        u.over.append(box)
        u.over.addEventListener('mouseleave', hide)
      },
      setCursor: (u) => {
        const { left = -1, top = -1, idx } = u.cursor
        if (left < 0 || idx == null || !u.over.matches(':hover')) return hide()
        const at = u.posToVal(top, 'y')
        box.replaceChildren(...content(u.data[0][idx]!, rows(lines(), idx, at), format))
        box.classList.add('on')
        place(box, u.over, left, top)
      },
    },
  }
}

function rows(lines: ChartLine[], idx: number, at: number): { line: ChartLine; v: number }[] {
  const all = lines.flatMap((line) => {
    const v = line.values[idx]
    return v == null ? [] : [{ line, v }]
  })
  if (all.length > shown) all.sort((a, b) => Math.abs(a.v - at) - Math.abs(b.v - at))
  return all
}

function content(time: number, all: ReturnType<typeof rows>, format: (v: number) => string): Node[] {
  const head = element('div', 'chart-tooltip-time', clock(time * 1000))
  const body = all.slice(0, shown).map(({ line, v }) => {
    const row = element('div', 'chart-tooltip-row', '')
    const swatch = element('i', 'swatch', '')
    swatch.style.background = line.color
    row.append(swatch, element('span', 'chart-tooltip-label', line.label), element('b', '', format(v)))
    return row
  })
  if (all.length === 0) body.push(element('div', 'chart-tooltip-label', 'no data'))
  if (all.length > shown) body.push(element('div', 'chart-tooltip-label', `and ${all.length - shown} more`))
  return [head, ...body]
}

function element(tag: string, className: string, text: string): HTMLElement {
  const e = document.createElement(tag)
  e.className = className
  e.textContent = text
  return e
}

/** Beside the cursor, on the side with room; it may stand out of the chart, but not out of the window. */
function place(box: HTMLElement, over: HTMLElement, left: number, top: number) {
  const { width, height } = box.getBoundingClientRect()
  const chart = over.getBoundingClientRect()
  const right = chart.left + left + 14 + width < document.documentElement.clientWidth - 8
  const x = right ? left + 14 : left - 14 - width
  const y = Math.min(top + 10, innerHeight - chart.top - height - 8)
  box.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px)`
}
