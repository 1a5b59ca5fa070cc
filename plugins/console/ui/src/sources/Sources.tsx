import { Skeleton, Table } from '@mantine/core'
import { fetchTargets } from '../api/prometheus'
import { levelOf, total, type Status } from '../api/status'
import { Sparkline } from '../chart/Sparkline'
import { ago, count, counted, duration, percent } from '../format'
import { useNow } from '../live/clock'
import { usePoll, type Polled } from '../live/poll'
import { mean, type Rates } from '../live/rates'
import { Card, Empty, Left, Trouble } from '../parts/Card'
import { Expander, useOpened } from '../parts/Expander'
import { LabelChips } from '../parts/Labels'
import { State } from '../parts/State'
import { fetchUpHistory, rowsOf, type SourceRow, type TargetRow } from './rows'

/** Every source with its targets: what is up, how long a collection takes, how much it brings, what went wrong. */
export function Sources({ status, rates }: { status: Polled<Status>; rates: Rates }) {
  return <SourcesCard status={status} rates={rates} />
}

const glanced = 8 // sources in a brief card: those in trouble are the first

/** The sources; a brief card names only what a glance takes in. */
export function SourcesCard({ status, rates, brief = false }: { status: Polled<Status>; rates: Rates; brief?: boolean }) {
  const targets = usePoll('targets', 5000, fetchTargets)
  const history = usePoll('up', 15_000, fetchUpHistory)
  if (!status.data) return <Skeleton height={240} radius={8} />
  const rows = rowsOf(status.data, targets.data ?? [], history.data)
  const up = rows.reduce((n, r) => n + r.up, 0)
  const down = rows.reduce((n, r) => n + r.down, 0)
  return (
    <Card title="Sources" {...(brief && { more: { tab: 'sources' } })} aside={rows.length > 0 && <span className="figure-note">{`${counted(rows.length, 'source')} · ${counted(up, 'target')} up · ${down} down`}</span>}>
      {targets.error && <Trouble what="The targets cannot be listed" error={targets.error} />}
      {history.error && <Trouble what="The store does not answer: no history of targets" error={history.error} />}
      {rows.length === 0 ? <NoSource /> : <SourceTable rows={brief ? rows.slice(0, glanced) : rows} rates={rates} brief={brief} />}
      {brief && <Left n={rows.length - glanced} what="source" />}
    </Card>
  )
}

function NoSource() {
  return (
    <Empty title="No source is configured">
      A source brings series into Magpie. Add one to the configuration, such as <code>source "host" "main" {'{}'}</code> for
      this machine, and reload with <code>magpie apply</code>.
    </Empty>
  )
}

function SourceTable({ rows, rates, brief }: { rows: SourceRow[]; rates: Rates; brief: boolean }) {
  const [open, toggle] = useOpened()
  return (
    <div className="scroll">
      <Table data-testid="sources-table" className={brief ? 'wide brief' : 'wide'}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Source</Table.Th>
            <Table.Th>State</Table.Th>
            <Table.Th>Targets</Table.Th>
            <Table.Th className="num">Samples/s</Table.Th>
            {!brief && <Table.Th className="num">Series</Table.Th>}
            <Table.Th className="num" title="How long the last collection took">Took</Table.Th>
            <Table.Th title="How long a collection takes">Last hour</Table.Th>
            {!brief && <Table.Th className="stretch">Trouble</Table.Th>}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map((row) => (
            <SourceRows key={row.component.address} row={row} rates={rates} brief={brief}
              open={open.has(row.component.address)} toggle={() => toggle(row.component.address)} />
          ))}
        </Table.Tbody>
      </Table>
    </div>
  )
}

const minute = 12 // readings of Status in a minute: samples come once an interval, all at once

interface RowProps {
  row: SourceRow
  rates: Rates
  brief: boolean
  open: boolean
  toggle: () => void
}

function SourceRows({ row, rates, brief, open, toggle }: RowProps) {
  const c = row.component
  const now = useNow()
  const rate = mean(rates.samples, c.address, minute, c.since && (now - c.since) / 1000)
  return (
    <>
      <Table.Tr data-source={c.address}>
        <Table.Td>
          {brief ? (
            <code>{c.address.split('.').flatMap((word, i) => (i ? ['.', <wbr key={i} />, word] : [word]))}</code>
          ) : (
            <Expander open={open} toggle={toggle} off={row.targets.length === 0}>
              <code>{c.address}</code>
            </Expander>
          )}
        </Table.Td>
        <Table.Td>
          <State level={levelOf(c.state)} detail={c.text}>{c.state}</State>
        </Table.Td>
        <Table.Td><TargetCounts row={row} /></Table.Td>
        <Table.Td className="num">{rate === undefined ? '–' : count(rate)}</Table.Td>
        {!brief && <Table.Td className="num">{count(c.series)}</Table.Td>}
        <Table.Td className="num">{row.took > 0 ? duration(row.took) : '–'}</Table.Td>
        <Table.Td><Sparkline values={row.durations} width={brief ? 96 : 132} label={`Time that ${c.address} took to collect over the last hour`} /></Table.Td>
        {!brief && <Table.Td className="stretch"><SourceTrouble row={row} /></Table.Td>}
      </Table.Tr>
      {open && (
        <Table.Tr className="detail">
          <Table.Td colSpan={8}><Targets targets={row.targets} /></Table.Td>
        </Table.Tr>
      )}
    </>
  )
}

function TargetCounts({ row }: { row: SourceRow }) {
  if (row.targets.length === 0) return <span className="dim">none yet</span>
  const level = row.down === 0 ? 'ok' : row.up > 0 ? 'degraded' : 'failed'
  return (
    <span className="target-counts">
      <b className={row.down > 0 ? level : ''}>{row.up}</b> of {row.targets.length} up
    </span>
  )
}

/** The last error, and counts of what was lost. */
function SourceTrouble({ row }: { row: SourceRow }) {
  const { errors, dropped, skipped, text, state } = row.component
  const counts = [
    ...Object.entries(errors).filter(([, n]) => n > 0).map(([blame, n]) => `${counted(n, 'error')} of the ${blame}`),
    total(dropped) > 0 && `${counted(total(dropped), 'sample')} dropped`,
    skipped > 0 && `${counted(skipped, 'collection')} skipped`,
  ].filter(Boolean)
  const words = row.errors || (state === 'running' ? '' : text)
  if (!words && counts.length === 0) return <span className="dim">–</span>
  return (
    <div className="trouble-text">
      {words && <div className="clamp" title={words}>{words}</div>}
      {counts.length > 0 && <small>{counts.join(' · ')}</small>}
    </div>
  )
}

function Targets({ targets }: { targets: TargetRow[] }) {
  const now = useNow()
  return (
    <Table className="inner">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Target</Table.Th>
          <Table.Th>State</Table.Th>
          <Table.Th className="num">Up, last hour</Table.Th>
          <Table.Th className="num">Collected</Table.Th>
          <Table.Th className="num">Took</Table.Th>
          <Table.Th>Labels</Table.Th>
          <Table.Th className="stretch">Error</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {targets.map((t, i) => (
          <Table.Tr key={i}>
            <Table.Td><code>{t.labels.instance || t.url}</code></Table.Td>
            <Table.Td>
              <State level={t.health === 'up' ? 'ok' : t.health === 'down' ? 'failed' : 'idle'}>{t.health}</State>
            </Table.Td>
            <Table.Td className="num">{t.share === undefined ? '–' : percent(t.share)}</Table.Td>
            <Table.Td className="num">{ago(t.last, now)}</Table.Td>
            <Table.Td className="num">{t.last ? duration(t.took) : '–'}</Table.Td>
            <Table.Td><LabelChips labels={t.labels} without={['instance']} /></Table.Td>
            <Table.Td className="stretch trouble-text">{t.error}</Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  )
}
