import { Skeleton, Table } from '@mantine/core'
import { useMemo } from 'react'
import { fetchDashboard, fetchDashboards, type Named } from '../api/dashboards'
import { counted } from '../format'
import { useLink, type Place } from '../live/place'
import { usePoll } from '../live/poll'
import { Card, Empty, Trouble } from '../parts/Card'
import { Board } from './Board'
import { readDashboard } from './model'

/** The dashboards of the configuration, or the one that the address names. */
export default function Dashboards({ place }: { place: Place }) {
  return place.board ? <One key={place.board} place={place} /> : <List />
}

function List() {
  const { data, error } = usePoll('dashboards', 15_000, fetchDashboards)
  if (error && !data) return <Trouble what="The dashboards cannot be listed" error={error} />
  if (!data) return <Skeleton height={180} radius={8} />
  return (
    <Card title="Dashboards" aside={data.length > 0 && <span className="figure-note">{counted(data.length, 'dashboard')}</span>} testid="dashboards">
      {data.length === 0 ? <None /> : (
        <div className="scroll">
          <Table highlightOnHover>
            <Table.Tbody>
              {data.map((d) => (
                <Row key={d.name} {...d} />
              ))}
            </Table.Tbody>
          </Table>
        </div>
      )}
    </Card>
  )
}

function Row({ name, title }: Named) {
  return (
    <Table.Tr>
      <Table.Td className="stretch">
        <a className="link" {...useLink({ tab: 'dashboards', board: name })}>
          {title}
        </a>{' '}
        <small className="dim">{name}</small>
      </Table.Td>
    </Table.Tr>
  )
}

function None() {
  return (
    <Empty title="No dashboard is configured">
      A dashboard is a file of JSON as Grafana exports it: <code>dashboard "etcd" {'{ file = "etcd.json" }'}</code>. Packs bring
      their own.
    </Empty>
  )
}

function One({ place }: { place: Place }) {
  // Its file may be another after a reload: it is looked for now and then.
  const { data, error } = usePoll(`dashboard ${place.board}`, 60_000, (signal) => fetchDashboard(place.board, signal))
  const text = useMemo(() => JSON.stringify(data), [data])
  const board = useMemo(() => (text === undefined ? undefined : readDashboard(JSON.parse(text))), [text])
  if (error && !board) return <Trouble what={`The dashboard ${place.board} cannot be shown`} error={error} />
  if (!board) return <Skeleton height={320} radius={8} />
  return <Board board={board} place={place} />
}
