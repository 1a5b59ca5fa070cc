import { Skeleton, Table } from '@mantine/core'
import { levelOf, type Component, type Process, type Status } from '../api/status'
import { Sparkline } from '../chart/Sparkline'
import { bytes, duration, percent } from '../format'
import { useNow } from '../live/clock'
import type { Polled } from '../live/poll'
import { mean, processKey, type Rates } from '../live/rates'
import { Card, Empty } from '../parts/Card'
import { Hint, State } from '../parts/State'
import { Components } from './Components'
import { Pipelines } from './Pipelines'
import { Verification } from './Verification'

/** The processes of the daemon's plugins, what they serve, and where the samples go. */
export function Plugins({ status, rates }: { status: Polled<Status>; rates: Rates }) {
  if (!status.data) return <Skeleton height={240} radius={8} />
  const { processes, components, pipelines, buffer } = status.data
  return (
    <>
      <ProcessesCard status={status} rates={rates} />
      {processes.length > 0 && <Verification processes={processes} />}
      {components.length > 0 && <Components components={components} />}
      {pipelines.length > 0 && <Pipelines pipelines={pipelines} buffer={buffer} />}
    </>
  )
}

/** The processes; a brief card leaves out what a glance does not take in. */
export function ProcessesCard({ status, rates, brief = false }: { status: Polled<Status>; rates: Rates; brief?: boolean }) {
  if (!status.data) return <Skeleton height={240} radius={8} />
  const { processes, components } = status.data
  return (
    <Card title="Plugin processes" {...(brief && { more: { tab: 'plugins' } })} aside={<Totals processes={processes} rates={rates} />}>
      {processes.length === 0 ? (
        <Empty title="No plugin runs">A plugin is started as soon as the configuration has a block of one of its types.</Empty>
      ) : (
        <ProcessTable processes={processes} components={components} rates={rates} brief={brief} />
      )}
    </Card>
  )
}

/** Shared pages counted once, where the kernel tells; else each process' whole resident set. */
export function memoryOf(p: Process): number {
  return p.pss || p.rss
}

/** The share of a core that a process used of late: of its whole life, before there are two readings. */
function cpuOf(p: Process, rates: Rates, now: number): number | undefined {
  return p.state === 'running' ? mean(rates.cpu, processKey(p), 1, p.started && (now - p.started) / 1000) : undefined
}

function Totals({ processes, rates }: { processes: Process[]; rates: Rates }) {
  const now = useNow()
  const memory = processes.reduce((sum, p) => sum + memoryOf(p), 0)
  const known = processes.map((p) => cpuOf(p, rates, now)).filter((v) => v !== undefined)
  const cpu = known.length > 0 && `${percent(known.reduce((sum, v) => sum + v, 0))} of a core · `
  return <span className="figure-note">{cpu}{bytes(memory)} in all</span>
}

interface TableProps {
  processes: Process[]
  components: Component[]
  rates: Rates
  brief: boolean
}

function ProcessTable({ processes, components, rates, brief }: TableProps) {
  const sorted = processes.toSorted((a, b) => a.plugin.localeCompare(b.plugin) || a.pid - b.pid)
  return (
    <div className="scroll">
      <Table data-testid="plugins-table" className={brief ? 'wide brief' : 'wide'}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Plugin</Table.Th>
            <Table.Th>State</Table.Th>
            {!brief && <Table.Th className="num">PID</Table.Th>}
            {!brief && <Table.Th className="num">Up for</Table.Th>}
            <Table.Th className="num">CPU</Table.Th>
            <Table.Th aria-label="CPU since this page is open" />
            <Table.Th className="num">Memory</Table.Th>
            <Table.Th className="num">Restarts</Table.Th>
            {!brief && <Table.Th>Components</Table.Th>}
            {!brief && <Table.Th className="stretch">Last death</Table.Th>}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {sorted.map((p) => (
            <ProcessRow key={processKey(p)} process={p} components={components} rates={rates} brief={brief} />
          ))}
        </Table.Tbody>
      </Table>
    </div>
  )
}

function ProcessRow({ process: p, components, rates, brief }: Omit<TableProps, 'processes'> & { process: Process }) {
  const now = useNow()
  const alive = p.state === 'running'
  const cpu = cpuOf(p, rates, now)
  return (
    <Table.Tr data-plugin={p.plugin}>
      <Table.Td>
        <b>{p.plugin}</b> <small className="dim">{p.version}</small>
      </Table.Td>
      <Table.Td><State level={levelOf(p.state)}>{p.state}</State></Table.Td>
      {!brief && <Table.Td className="num">{p.pid || '–'}</Table.Td>}
      {!brief && <Table.Td className="num">{alive && p.started ? duration(Math.max(0, Math.round((now - p.started) / 1000))) : '–'}</Table.Td>}
      <Table.Td className="num">{cpu === undefined ? '–' : percent(cpu)}</Table.Td>
      <Table.Td>
        <Sparkline values={(alive && rates.cpu.get(processKey(p))?.rates) || []} width={72} label={`CPU of ${p.plugin} since this page is open`} />
      </Table.Td>
      <Table.Td className="num"><Memory process={p} /></Table.Td>
      <Table.Td className={p.restarts > 0 ? 'num degraded' : 'num'}>{p.restarts}</Table.Td>
      {!brief && <Table.Td><ComponentDots addresses={p.components} components={components} /></Table.Td>}
      {!brief && <Table.Td className="stretch trouble-text">{p.lastDeath || <span className="dim">–</span>}</Table.Td>}
    </Table.Tr>
  )
}

function Memory({ process: p }: { process: Process }) {
  if (!p.rss) return <>–</>
  return (
    <Hint text={p.pss ? `PSS ${bytes(p.pss)}: pages shared with others counted in part. RSS ${bytes(p.rss)}.` : `RSS ${bytes(p.rss)}`}>
      <span>
        {bytes(memoryOf(p))} <small className="dim">{p.pss ? `RSS ${bytes(p.rss)}` : 'RSS'}</small>
      </span>
    </Hint>
  )
}

const named = 3 // beyond this many, dots and a count

function ComponentDots({ addresses, components }: { addresses: string[]; components: Component[] }) {
  const all = addresses.map((a) => ({ address: a, state: components.find((c) => c.address === a)?.state ?? '' }))
  const ill = all.filter((c) => levelOf(c.state) === 'failed' || levelOf(c.state) === 'degraded')
  const first = [...ill, ...all.filter((c) => !ill.includes(c))].slice(0, named)
  return (
    <span className="stacked-lines">
      {first.map((c) => (
        <State key={c.address} level={levelOf(c.state)} detail={c.state}>
          <code>{c.address}</code>
        </State>
      ))}
      {all.length > named && <small className="dim">and {all.length - named} more</small>}
    </span>
  )
}
