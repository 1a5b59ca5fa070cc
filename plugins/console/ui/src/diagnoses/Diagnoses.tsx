import { Button, Loader, Skeleton } from '@mantine/core'
import { useContext, useEffect, useRef } from 'react'
import { fetchReports, type Kept } from '../api/diagnoses'
import { levelOf, type Component, type Status } from '../api/status'
import { clock, counted, duration } from '../format'
import { useNow } from '../live/clock'
import { GoContext, useLink, type Place } from '../live/place'
import { usePoll, type Polled } from '../live/poll'
import { Card, Empty, Trouble } from '../parts/Card'
import { Expander } from '../parts/Expander'
import { State } from '../parts/State'
import type { Asked, Asking } from './asking'
import { Report } from './Report'

interface Props {
  place: Place
  status: Polled<Status>
  asking: Asking
}

/** Who can be asked what is wrong, and what they said before. */
export default function Diagnoses({ place, status, asking }: Props) {
  const go = useContext(GoContext)
  const reports = usePoll('reports', 5000, fetchReports)
  const diagnosers = status.data?.components.filter((c) => c.kind === 'diagnoser')

  // What was asked for here is opened when it comes, if nothing else is looked at.
  const seen = useRef(new Set(Object.values(asking.asked).map((a) => a.report)))
  useEffect(() => {
    for (const { report } of Object.values(asking.asked)) {
      if (!report || seen.current.has(report)) continue
      seen.current.add(report)
      reports.refresh()
      go({ ...place, alert: '', report })
    }
  }, [asking.asked])

  return (
    <>
      <Card title="Diagnosers" testid="diagnosers">
        {!diagnosers && <Skeleton height={60} radius={8} />}
        {diagnosers?.length === 0 && <None />}
        {diagnosers?.map((c) => (
          <Diagnoser key={c.address} component={c} asked={asking.asked[c.address]} ask={() => asking.ask(c.address)} place={place} />
        ))}
      </Card>
      <Reports reports={reports} place={place} />
    </>
  )
}

function None() {
  return (
    <Empty title="No diagnoser is configured">
      A diagnoser looks for what is wrong, when you ask it or when an alert that names it in <code>diagnose</code> fires. It is a
      block <code>diagnoser "type" "name" {'{}'}</code>.
    </Empty>
  )
}

function Diagnoser({ component: c, asked, ask, place }: { component: Component; asked: Asked | undefined; ask: () => void; place: Place }) {
  const now = useNow()
  const busy = asked !== undefined && !asked.report && !asked.error
  return (
    <div className="diagnoser" data-diagnoser={c.address}>
      <div className="diagnoser-line">
        <b>{c.address}</b>
        <State level={levelOf(c.state)} detail={c.text || c.lastError || undefined}>{c.state}</State>
        <span className="grow" />
        {busy && <span className="figure-note">{duration(Math.max(0, Math.round((now - asked.began) / 1000)))}</span>}
        {asked?.report && <a className="link" {...useLink({ ...place, tab: 'diagnoses', alert: '', report: asked.report })}>its report</a>}
        <Button size="compact-sm" variant="default" onClick={ask} disabled={busy} {...(busy && { leftSection: <Loader size={12} /> })}>
          {busy ? 'at work' : 'Diagnose'}
        </Button>
      </div>
      {busy && (
        <ul className="diagnoser-progress" aria-live="polite">
          {asked.progress.length === 0 && <li>asked</li>}
          {asked.progress.map((line, i) => (
            <li key={i}>{line}</li>
          ))}
        </ul>
      )}
      {asked?.error && <p className="trouble-text" role="alert">{asked.error}</p>}
    </div>
  )
}

function Reports({ reports, place }: { reports: Polled<Kept[]>; place: Place }) {
  const { data, error } = reports
  const of = data?.filter((r) => !place.alert || r.alert === place.alert)
  // A link may lead to a report that is not in the list: of another alert, or not yet listed.
  const alone = place.report && of && !of.some((r) => r.id === place.report)
  return (
    <Card title={place.alert ? `Reports of the alert ${place.alert}` : 'Reports'} testid="reports"
      aside={place.alert ? <a className="link" {...useLink({ tab: 'diagnoses' })}>all reports</a> : of && of.length > 0 && <span className="figure-note">{counted(of.length, 'report')}</span>}>
      {error && <Trouble what="The reports cannot be listed" error={error} />}
      {!data && !error && <Skeleton height={120} radius={8} />}
      {alone && <Report id={place.report} />}
      {of?.length === 0 && !alone && <Empty title={place.alert ? 'No report of this alert is kept' : 'Nothing was diagnosed yet'} />}
      {of?.map((r) => (
        <Line key={r.id} kept={r} place={place} />
      ))}
    </Card>
  )
}

const levels: Record<string, string> = { critical: 'failed', warning: 'degraded', info: 'idle', '': 'ok' }

function Line({ kept: r, place }: { kept: Kept; place: Place }) {
  const go = useContext(GoContext)
  const open = place.report === r.id
  return (
    <article className={open ? 'report-line open' : 'report-line'} data-report={r.id}>
      <Expander open={open} toggle={() => go({ ...place, report: open ? '' : r.id })}>
        <span className="report-time">{clock(r.started)}</span>
        <span className="report-who">{r.address}</span>
        <span className={`report-headline state ${levels[r.worst] ?? 'idle'}`}>
          <i className="dot" />
          <span>{r.headline}</span>
        </span>
        <span className="report-asked">{r.alert ? `alert ${r.alert}` : 'a person'}</span>
      </Expander>
      {open && <Report id={r.id} />}
    </article>
  )
}
