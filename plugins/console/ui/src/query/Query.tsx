import { Alert, Button, Loader, SegmentedControl } from '@mantine/core'
import { useContext, useEffect, useState } from 'react'
import { parseDuration } from '../api/prometheus'
import { duration } from '../format'
import { GoContext, useLink, type Place } from '../live/place'
import { Card } from '../parts/Card'
import { Editor } from './Editor'
import { errorsOf, evaluate, placeOf, warningsOf, type Outcome } from './evaluate'
import { Results } from './Results'

const ranges = ['5m', '15m', '1h', '6h', '1d', '7d']
const longest = 366 * 86_400

/** The query box. What was run is the page's address: the link brings the same graph to someone else. A brief box leads to it. */
export default function Query({ place, brief = false }: { place: Place; brief?: boolean }) {
  const go = useContext(GoContext)
  const [draft, setDraft] = useState(place.expr)
  const [times, setTimes] = useState(0) // run, to run the same again
  const range = rangeOf(brief ? '' : place.range)
  const { outcome, busy } = useOutcome(place.expr, range, times)
  useEffect(() => setDraft(place.expr), [place.expr])

  const run = (expr: string, over = range) => {
    setTimes((n) => n + 1)
    go({ tab: 'query', expr: expr.trim(), range: over })
  }
  return (
    <>
      <Card title="Query" {...(brief && { more: { tab: 'query' } })} aside={<Took outcome={outcome} busy={busy} />}>
        <div className="query-box">
          <Editor expr={draft} focus={!brief} onChange={setDraft} onRun={() => run(draft)} />
          <Button onClick={() => run(draft)} disabled={!draft.trim()} data-testid="query-run">
            Run
          </Button>
        </div>
        <div className="query-tools">
          {!brief && (
            <SegmentedControl size="xs" value={range} data={ranges.includes(range) ? ranges : [...ranges, range]} aria-label="Range"
              data-testid="query-range" onChange={(next) => run(place.expr || draft, next)} />
          )}
          <span className="dim">Enter runs · Shift-Enter breaks the line · Ctrl-Space completes</span>
        </div>
        {!place.expr && <Examples range={range} />}
        {outcome && <Words outcome={outcome} />}
      </Card>
      {outcome && <Results outcome={outcome} busy={busy} />}
    </>
  )
}

function rangeOf(word: string): string {
  const seconds = parseDuration(word)
  return seconds >= 10 && seconds <= longest ? word : '1h'
}

/** The outcome of the last finished run; of an empty expression none. */
function useOutcome(expr: string, range: string, times: number) {
  const [state, setState] = useState<{ outcome: Outcome | undefined; busy: boolean }>({ outcome: undefined, busy: false })
  useEffect(() => {
    if (!expr) return setState({ outcome: undefined, busy: false })
    const stop = new AbortController()
    setState((s) => ({ ...s, busy: true }))
    evaluate(expr, parseDuration(range), stop.signal).then(
      (outcome) => setState({ outcome, busy: false }),
      () => {}, // only a newer run aborts
    )
    return () => stop.abort()
  }, [expr, range, times])
  return state
}

function Took({ outcome, busy }: { outcome: Outcome | undefined; busy: boolean }) {
  if (busy) return <Loader size={16} />
  if (!outcome) return null
  const { now, over } = outcome
  const found = over instanceof Error ? (now instanceof Error ? undefined : now.samples.length) : over.series.length
  return (
    <span className="figure-note">
      {found !== undefined && `${found} series · `}
      {duration(outcome.took)} · step {duration(outcome.grid.step)}
    </span>
  )
}

const examples: [string, string][] = [
  ['What is up', 'up'],
  ['CPU by mode', 'sum by (mode) (rate(node_cpu_seconds_total[1m]))'],
  ['Memory left', 'node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes'],
  ['Slowest collections', 'topk(5, scrape_duration_seconds)'],
  ['Series by name', 'topk(10, count by (__name__) ({__name__!=""}))'],
  ['What fired', 'ALERTS{alertstate="firing"}'],
]

function Examples({ range }: { range: string }) {
  return (
    <div className="examples">
      {examples.map(([what, expr]) => (
        <Example key={expr} what={what} expr={expr} range={range} />
      ))}
    </div>
  )
}

function Example({ what, expr, range }: { what: string; expr: string; range: string }) {
  return (
    <a className="example" {...useLink({ tab: 'query', expr, range })}>
      {what}
      <code>{expr}</code>
    </a>
  )
}

/** Errors with a caret under the mistake, and warnings. */
function Words({ outcome }: { outcome: Outcome }) {
  const warnings = warningsOf(outcome)
  return (
    <>
      {errorsOf(outcome).map((message) => (
        <Alert key={message} color="red" variant="light" className="banner" role="alert" data-testid="query-error">
          {message}
          <Caret expr={outcome.expr} message={message} />
        </Alert>
      ))}
      {warnings.length > 0 && (
        <Alert color="yellow" variant="light" className="banner">
          {warnings.map((w) => (
            <div key={w}>{w}</div>
          ))}
        </Alert>
      )}
    </>
  )
}

function Caret({ expr, message }: { expr: string; message: string }) {
  const at = placeOf(message)
  const line = at && expr.split('\n')[at.line - 1]
  if (!at || line === undefined || at.column > line.length + 1) return null
  return <pre>{`${line}\n${' '.repeat(at.column - 1)}^`}</pre>
}
