import { Table } from '@mantine/core'
import { levelOf, total, type Component, type Level } from '../api/status'
import { ago, count, duration } from '../format'
import { useNow } from '../live/clock'
import { Card } from '../parts/Card'
import { State } from '../parts/State'

const severity: Record<Level, number> = { failed: 0, degraded: 1, idle: 2, ok: 3 }

/** Every configured block that runs, the ill ones first. */
export function Components({ components }: { components: Component[] }) {
  const now = useNow()
  const sorted = components.toSorted(
    (a, b) => severity[levelOf(a.state)] - severity[levelOf(b.state)] || a.address.localeCompare(b.address),
  )
  return (
    <Card title="Components" testid="components">
      <div className="scroll">
        <Table className="wide" data-testid="components-table">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Component</Table.Th>
              <Table.Th>State</Table.Th>
              <Table.Th className="num">Since</Table.Th>
              <Table.Th className="num">Samples</Table.Th>
              <Table.Th className="num">Series</Table.Th>
              <Table.Th className="num">Collections</Table.Th>
              <Table.Th className="num">Last took</Table.Th>
              <Table.Th className="num">Dropped</Table.Th>
              <Table.Th className="num">Errors</Table.Th>
              <Table.Th className="stretch">What it says</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {sorted.map((c) => (
              <Table.Tr key={c.address}>
                <Table.Td><code>{c.address}</code></Table.Td>
                <Table.Td><State level={levelOf(c.state)}>{c.state}</State></Table.Td>
                <Table.Td className="num">{c.since ? ago(c.since, now) : '–'}</Table.Td>
                <Table.Td className="num">{c.samples ? count(c.samples) : '–'}</Table.Td>
                <Table.Td className="num">{c.series ? count(c.series) : '–'}</Table.Td>
                <Table.Td className="num">{c.collects ? count(c.collects) : '–'}</Table.Td>
                <Table.Td className="num">{c.lastCollect ? duration(c.lastCollect) : '–'}</Table.Td>
                <Counts counts={c.dropped} />
                <Counts counts={c.errors} />
                <Table.Td className="stretch">
                  <div className="clamp" title={c.text || c.lastError}>
                    {c.text || (c.lastError && <span className="dim">last error: {c.lastError}</span>)}
                  </div>
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </div>
    </Card>
  )
}

/** The sum of counts by reason; the reasons appear over it. */
export function Counts({ counts }: { counts: Record<string, number> }) {
  const n = total(counts)
  const reasons = Object.entries(counts).map(([reason, k]) => `${reason}: ${count(k)}`).join(', ')
  return (
    <Table.Td className={n > 0 ? 'num degraded' : 'num dim'} title={reasons}>
      {count(n)}
    </Table.Td>
  )
}
