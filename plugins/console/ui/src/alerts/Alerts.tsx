import { Skeleton, Table } from '@mantine/core'
import type { Alert, Rule, RuleGroup } from '../api/prometheus'
import { clock, duration, value } from '../format'
import { useNow } from '../live/clock'
import { useLink } from '../live/place'
import type { Polled } from '../live/poll'
import { Card, Empty, Trouble } from '../parts/Card'
import { LabelChips } from '../parts/Labels'
import { State } from '../parts/State'
import { Groups } from './Groups'

interface Active {
  alert: Alert
  rule: Rule
}

/** What is pending and firing, and the rules behind it. */
export function Alerts({ rules }: { rules: Polled<RuleGroup[]> }) {
  if (rules.error && !rules.data) return <Trouble what="The rules cannot be listed" error={rules.error} />
  if (!rules.data) return <Skeleton height={240} radius={8} />
  const active = activeOf(rules.data)
  const firing = active.filter((a) => a.alert.state === 'firing').length
  return (
    <>
      {rules.error && <Trouble what="The rules cannot be listed; this is what came last" error={rules.error} />}
      <Card title="Alerts" aside={<span className="figure-note">{`${firing} firing · ${active.length - firing} pending`}</span>}>
        {active.length === 0 ? <Quiet groups={rules.data} /> : <AlertTable active={active} />}
      </Card>
      {rules.data.length > 0 && <Groups groups={rules.data} />}
    </>
  )
}

function Quiet({ groups }: { groups: RuleGroup[] }) {
  const n = groups.reduce((sum, g) => sum + g.rules.filter((r) => r.kind === 'alert').length, 0)
  if (n > 0) return <Empty title="All quiet">{n === 1 ? 'The one alert is inactive.' : `All ${n} alerts are inactive.`}</Empty>
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

function AlertTable({ active }: { active: Active[] }) {
  return (
    <div className="scroll">
      <Table data-testid="alerts-table" className="wide">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>State</Table.Th>
            <Table.Th>Alert</Table.Th>
            <Table.Th>Severity</Table.Th>
            <Table.Th className="stretch">Summary</Table.Th>
            <Table.Th>Labels</Table.Th>
            <Table.Th className="num">Value</Table.Th>
            <Table.Th>Since</Table.Th>
            <Table.Th />
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {active.map((a) => (
            <AlertRow key={a.rule.name + JSON.stringify(a.alert.labels)} {...a} />
          ))}
        </Table.Tbody>
      </Table>
    </div>
  )
}

function AlertRow({ alert, rule }: Active) {
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
      </Table.Td>
      <Table.Td>
        {alert.labels.severity && <span className={`severity ${alert.labels.severity}`}>{alert.labels.severity}</span>}
      </Table.Td>
      <Table.Td className="stretch">
        <div>{summary ?? message ?? description ?? <span className="dim">no summary</span>}</div>
        {summary && description && description !== summary && <small className="dim">{description}</small>}
      </Table.Td>
      <Table.Td>
        <LabelChips labels={alert.labels} without={['alertname', 'severity']} />
      </Table.Td>
      <Table.Td className="num">{value(alert.value)}</Table.Td>
      <Table.Td title={clock(alert.since, now)} className="since">
        {duration(since)}
        {!firing && rule.hold > 0 && <small className="dim">fires in {duration(Math.max(0, rule.hold - since))}</small>}
      </Table.Td>
      <Table.Td>
        <ExprLink expr={rule.expr} />
      </Table.Td>
    </Table.Tr>
  )
}

/** Opens the expression in the query box. */
export function ExprLink({ expr }: { expr: string }) {
  return (
    <a className="link" {...useLink({ tab: 'query', expr, range: '1h' })} title={expr}>
      graph
    </a>
  )
}
