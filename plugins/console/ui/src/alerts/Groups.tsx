import { Table } from '@mantine/core'
import { useState } from 'react'
import type { Rule, RuleGroup } from '../api/prometheus'
import type { Level } from '../api/status'
import { ago, duration } from '../format'
import { useNow } from '../live/clock'
import { Card } from '../parts/Card'
import { Expander } from '../parts/Expander'
import { State } from '../parts/State'
import { ExprLink } from './ExprLink'

/** The rule groups: when each was evaluated, how long it took, which rules are ill. */
export function Groups({ groups }: { groups: RuleGroup[] }) {
  const few = groups.reduce((n, g) => n + g.rules.length, 0) <= 40 // fit on a screen or two
  const open = groups.filter((g) => few || g.rules.some((r) => r.health === 'err')).map(keyOf)
  const [turned, setTurned] = useState<Record<string, boolean>>({})
  return (
    <Card title="Rule groups" testid="rule-groups">
      <div className="scroll">
        <Table className="wide">
          <Table.Thead>
            <Table.Tr>
              <Table.Th className="stretch">Group</Table.Th>
              <Table.Th>Health</Table.Th>
              <Table.Th className="num">Alerts</Table.Th>
              <Table.Th className="num">Recordings</Table.Th>
              <Table.Th className="num">Interval</Table.Th>
              <Table.Th className="num">Evaluated</Table.Th>
              <Table.Th className="num">Took</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {groups.map((g) => {
              const key = keyOf(g)
              const now = turned[key] ?? open.includes(key)
              return <GroupRows key={key} group={g} open={now} toggle={() => setTurned({ ...turned, [key]: !now })} />
            })}
          </Table.Tbody>
        </Table>
      </div>
    </Card>
  )
}

function keyOf(g: RuleGroup): string {
  return `${g.file} ${g.name}`
}

function GroupRows({ group, open, toggle }: { group: RuleGroup; open: boolean; toggle: () => void }) {
  const now = useNow()
  const alerts = group.rules.filter((r) => r.kind === 'alert').length
  const late = group.last > 0 && group.interval > 0 && now - group.last > 3000 * group.interval + 5000
  return (
    <>
      <Table.Tr>
        <Table.Td className="stretch">
          <Expander open={open} toggle={toggle}>
            {group.name} <small className="dim">{group.file}</small>
          </Expander>
        </Table.Td>
        <Table.Td><GroupHealth rules={group.rules} /></Table.Td>
        <Table.Td className="num">{alerts}</Table.Td>
        <Table.Td className="num">{group.rules.length - alerts}</Table.Td>
        <Table.Td className="num">{duration(group.interval)}</Table.Td>
        <Table.Td className={late ? 'num degraded' : 'num'}>{ago(group.last, now)}</Table.Td>
        <Table.Td className="num">{group.last ? duration(group.took) : '–'}</Table.Td>
      </Table.Tr>
      {open && (
        <Table.Tr className="detail">
          <Table.Td colSpan={7}>
            <Table className="inner rules">
              <Table.Tbody>
                {group.rules.map((r, i) => (
                  <RuleRow key={i} rule={r} />
                ))}
              </Table.Tbody>
            </Table>
          </Table.Td>
        </Table.Tr>
      )}
    </>
  )
}

function GroupHealth({ rules }: { rules: Rule[] }) {
  const ill = rules.filter((r) => r.health === 'err').length
  if (ill > 0) return <State level="failed">{ill} of {rules.length} fail</State>
  if (rules.some((r) => r.health !== 'ok')) return <State level="idle">not evaluated</State>
  return <State level="ok">OK</State>
}

const levels: Record<string, Level> = { firing: 'failed', pending: 'degraded', inactive: 'ok' }

function RuleRow({ rule }: { rule: Rule }) {
  const failed = rule.health === 'err'
  return (
    <Table.Tr>
      <Table.Td>
        {failed && <State level="failed">error</State>}
        {!failed && rule.kind === 'record' && <State level={rule.health === 'ok' ? 'ok' : 'idle'}>recording</State>}
        {!failed && rule.kind === 'alert' && <State level={rule.health === 'unknown' ? 'idle' : (levels[rule.state] ?? 'idle')}>{rule.state}</State>}
      </Table.Td>
      <Table.Td>
        {rule.name}
        {rule.hold > 0 && <small className="dim"> for {duration(rule.hold)}</small>}
      </Table.Td>
      <Table.Td className="stretch">
        <code className="expr">{rule.expr}</code>
        {rule.error && <div className="trouble-text">{rule.error}</div>}
      </Table.Td>
      <Table.Td><ExprLink expr={rule.expr} /></Table.Td>
    </Table.Tr>
  )
}
