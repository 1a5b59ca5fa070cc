import { Table } from '@mantine/core'
import type { Buffer, Pipeline } from '../api/status'
import { bytes, count, counted, duration } from '../format'
import { Card } from '../parts/Card'
import { State } from '../parts/State'
import { Counts } from './Components'

/** Where the samples go, and how far behind each sink is; beside it what waits in the buffer. */
export function Pipelines({ pipelines, buffer }: { pipelines: Pipeline[]; buffer: Buffer }) {
  const about = `buffer: ${bytes(buffer.bytes)} in ${counted(buffer.segments, 'segment')}, ${counted(buffer.records, 'record')}`
  return (
    <Card title="Pipelines" aside={<span className="figure-note">{about}</span>} testid="pipelines">
      <div className="scroll">
        <Table className="wide">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Pipeline</Table.Th>
              <Table.Th>Sink</Table.Th>
              <Table.Th>State</Table.Th>
              <Table.Th className="num">Delivered</Table.Th>
              <Table.Th className="num">Stored</Table.Th>
              <Table.Th className="num">Dropped</Table.Th>
              <Table.Th className="num">Behind</Table.Th>
              <Table.Th className="num">Waiting</Table.Th>
              <Table.Th className="stretch">Trouble</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {pipelines.map((p) => (
              <Table.Tr key={`${p.name} ${p.sink}`}>
                <Table.Td>{p.name}</Table.Td>
                <Table.Td><code>{p.sink}</code></Table.Td>
                <Table.Td><State level={p.trouble ? 'failed' : 'ok'}>{p.trouble ? 'in trouble' : 'flowing'}</State></Table.Td>
                <Table.Td className="num">{count(p.delivered)}</Table.Td>
                <Table.Td className="num">{count(p.stored)}</Table.Td>
                <Counts counts={p.dropped} />
                <Table.Td className="num">{duration(p.lag)}</Table.Td>
                <Table.Td className="num">{counted(p.lagRecords, 'record')}</Table.Td>
                <Table.Td className="stretch trouble-text">{p.trouble}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </div>
    </Card>
  )
}
