import { Skeleton, Table } from '@mantine/core'
import { fetchReports } from '../api/diagnoses'
import type { Alert, Rule, RuleGroup } from '../api/prometheus'
import { clock, compact, counted, duration, value } from '../format'
import { useNow } from '../live/clock'
import { useLink } from '../live/place'
import { usePoll, type Polled } from '../live/poll'
import { Card, Empty, Left, Trouble } from '../parts/Card'
import { LabelChips } from '../parts/Labels'
import { State } from '../parts/State'
import { ExprLink } from './ExprLink'
import { Groups } from './Groups'

interface Active {
  alert: Alert
  rule: Rule
}

/** What is pending and firing, and the rules behind it. */
export function Alerts({ rules }: { rules: Polled<RuleGroup[]> }) {
  if (rules.error && !rules.data) return <Trouble what="The rules cannot be listed" error={rules.error} />
  if (!rules.data) return <Skeleton height={240} radius={8} />
  return (
    <>
      <AlertsCard rules={rules} />
      {rules.data.length > 0 && <Groups groups={rules.data} />}
    </>
  )
}

const glanced = 5 // alerts in a brief card: the worst

/** What is pending and firing; a brief card names only what a glance takes in. */
export function AlertsCard({ rules, brief = false }: { rules: Polled<RuleGroup[]>; brief?: boolean }) {
  if (!rules.data && !rules.error) return <Skeleton className="alerts" height={140} radius={8} />
  const active = activeOf(rules.data ?? [])
  const firing = active.filter((a) => a.alert.state === 'firing').length
  const counts = `${firing} firing · ${active.length - firing} pending`
  return (
    <Card title="Alerts" className="alerts" {...(brief && { more: { tab: 'alerts' } })}
      aside={active.length > 0 && <span className="figure-note">{counts}</span>}>
      {rules.error && <Trouble what={`The rules cannot be listed${rules.data ? '; this is what came last' : ''}`} error={rules.error} />}
      <div data-testid="alerts-table">
        {rules.data && active.length === 0 && <Quiet groups={rules.data} />}
        {active.length > 0 && <AlertTable active={brief ? active.slice(0, glanced) : active} brief={brief} />}
      </div>
      {brief && <Left n={active.length - glanced} what="alert" />}
    </Card>
  )
}

function alertsOf(groups: RuleGroup[]): number {
  return groups.reduce((sum, g) => sum + g.rules.filter((r) => r.kind === 'alert').length, 0)
}

function Quiet({ groups }: { groups: RuleGroup[] }) {
  const n = alertsOf(groups)
  if (n > 0)
    return (
      <Empty title={<State level="ok">All quiet</State>}>{n === 1 ? 'The one alert is inactive.' : `All ${n} alerts are inactive.`}</Empty>
    )
  return (
    <Empty title="No alert is configured">
      An alert is a block <code>alert "name" {'{ expr = "…" }'}</code> inside <code>rules "group" {'{}'}</code>.
    </Empty>
  )
}

// The severities that mixins use; others stand between warning and info.
const severities: Record<string, number> = { critical: 0, error: 1, warning: 2, info: 4, none: 5 }

/** Firing before pending, the most severe first, then the newest. */
export function activeOf(groups: RuleGroup[]): Active[] {
  const all = groups.flatMap((g) => g.rules.flatMap((rule) => rule.alerts.map((alert) => ({ alert, rule }))))
  const order = ({ alert }: Active) => (alert.state === 'firing' ? 0 : 10) + (severities[alert.labels.severity ?? ''] ?? 3)
  return all
    .filter(({ alert }) => alert.state === 'firing' || alert.state === 'pending')
    .sort((a, b) => order(a) - order(b) || b.alert.since - a.alert.since)
}

function AlertTable({ active, brief }: { active: Active[]; brief: boolean }) {
  const reports = usePoll('reports', 15_000, fetchReports, !brief)
  const diagnosed = new Map<string, number>()
  for (const { alert } of reports.data ?? []) diagnosed.set(alert, (diagnosed.get(alert) ?? 0) + 1)
  return (
    <div className="scroll">
      <Table className={brief ? 'brief' : 'wide'}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>State</Table.Th>
            <Table.Th>Alert</Table.Th>
            {!brief && <Table.Th>Severity</Table.Th>}
            <Table.Th className="stretch">Summary</Table.Th>
            {!brief && <Table.Th>Labels</Table.Th>}
            <Table.Th className="num minor">Value</Table.Th>
            <Table.Th>For</Table.Th>
            <Table.Th className="minor" />
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {active.map((a) => (
            <AlertRow key={a.rule.name + JSON.stringify(a.alert.labels)} {...a} brief={brief} reports={diagnosed.get(a.alert.labels.alertname ?? a.rule.name) ?? 0} />
          ))}
        </Table.Tbody>
      </Table>
    </div>
  )
}

function AlertRow({ alert, rule, brief, reports }: Active & { brief: boolean; reports: number }) {
  const now = useNow()
  const firing = alert.state === 'firing'
  const since = Math.max(0, Math.round((now - alert.since) / 1000))
  const { summary, description, message } = alert.annotations
  return (
    <Table.Tr>
      <Table.Td>
        <State level={firing ? 'failed' : 'degraded'}>{alert.state}</State>
      </Table.Td>
      <Table.Td>
        <b>{alert.labels.alertname ?? rule.name}</b>
        {brief && <div><Severity of={alert} /></div>}
      </Table.Td>
      {!brief && <Table.Td><Severity of={alert} /></Table.Td>}
      <Table.Td className="stretch">
        <div>{summary ?? message ?? description ?? <span className="dim">no summary</span>}</div>
        {summary && description && description !== summary && <small className="dim">{description}</small>}
      </Table.Td>
      {!brief && (
        <Table.Td>
          <LabelChips labels={alert.labels} without={['alertname', 'severity']} />
        </Table.Td>
      )}
      <Table.Td className="num minor" title={value(alert.value)}>{compact(alert.value)}</Table.Td>
      <Table.Td title={clock(alert.since, now)} className="since">
        {duration(since)}
        {!firing && rule.hold > 0 && <small className="dim">fires in {duration(Math.max(0, rule.hold - since))}</small>}
      </Table.Td>
      <Table.Td className="minor">
        <ExprLink expr={rule.expr} />
        {reports > 0 && <ReportsLink alert={alert.labels.alertname ?? rule.name} n={reports} />}
      </Table.Td>
    </Table.Tr>
  )
}

function Severity({ of: { labels } }: { of: Alert }) {
  return labels.severity ? <span className={`severity ${labels.severity}`}>{labels.severity}</span> : null
}

/** Leads to what the diagnosers said that the alert asked; they are known by the alert's name. */
function ReportsLink({ alert, n }: { alert: string; n: number }) {
  return (
    <div>
      <a className="link" {...useLink({ tab: 'diagnoses', alert })}>
        {counted(n, 'report')}
      </a>
    </div>
  )
}
