import { NativeSelect, SegmentedControl, Skeleton } from '@mantine/core'
import { useContext, useMemo, type ReactNode } from 'react'
import { fetchTargets } from '../api/prometheus'
import { usePalette } from '../chart/palette'
import { ago, bytes, counted, duration } from '../format'
import { useNow } from '../live/clock'
import { GoContext, type Place } from '../live/place'
import { usePoll } from '../live/poll'
import { Trouble } from '../parts/Card'
import { Filesystems } from './Filesystems'
import { PanelCard } from './PanelCard'
import { panelsOf } from './panels'
import { fetchFacts, fetchFilesystems, fetchHistory, fetchMachines, intervalOf, type Facts, type Machine as Which } from './queries'

const ranges: Record<string, number> = { '15m': 900, '1h': 3600, '6h': 21_600, '1d': 86_400 }
const every = 5000 // ms between two looks at the machine

interface Props {
  place: Place
  hostname: string | undefined
  children: ReactNode // a card that stands beside the machine's own, and also without them
}

/** The machine that the daemon runs on, or another one whose node_* series are in the store. Without a hostname it waits. */
export function Machine({ place, hostname, children }: Props) {
  const machines = usePoll('machines', every, fetchMachines)
  const wanted = place.machine || hostname
  const which = machines.data?.find((m) => m.instance === wanted) ?? machines.data?.[0]
  if (which && (place.machine || hostname !== undefined))
    return (
      <Known which={which} all={machines.data ?? []} place={place}>
        {children}
      </Known>
    )
  if (machines.data?.length === 0 && hostname !== undefined)
    return (
      <>
        {children}
        <NoMachine />
      </>
    )
  return (
    <>
      {machines.error && !machines.data ? <Trouble what="The store does not answer" error={machines.error} /> : <Skeletons />}
      {children}
    </>
  )
}

/** A daemon need not watch its own machine: a line says how it would. */
function NoMachine() {
  return (
    <p className="left">
      There are no charts of this machine: a block <code>source "host" "main" {'{}'}</code> brings its <code>node_*</code> series, and a store keeps them.
    </p>
  )
}

function Skeletons() {
  return (
    <div className="panels waiting">
      {Array.from({ length: 6 }, (_, i) => (
        <Skeleton key={i} height={230} radius={8} />
      ))}
    </div>
  )
}

function Known({ which, all, place, children }: { which: Which; all: Which[]; place: Place; children: ReactNode }) {
  const go = useContext(GoContext)
  const palette = usePalette()
  const range = place.range in ranges ? place.range : '15m'
  const id = `${which.job} ${which.instance}`
  const facts = usePoll(`facts ${id}`, 60_000, (signal) => fetchFacts(which, signal))
  const targets = usePoll('intervals', 60_000, fetchTargets)
  const filesystems = usePoll(`filesystems ${id}`, every * 3, (signal) => fetchFilesystems(which, signal))
  const history = usePoll(`history ${id} ${range}`, every, (signal) =>
    fetchHistory(which, intervalOf(targets.data ?? [], which), ranges[range]!, signal),
  )
  const cores = facts.data?.cores ?? 0
  const panels = useMemo(() => history.data && panelsOf(history.data, palette.line, cores), [history.data, palette, cores])
  return (
    <>
      <div className="toolbar">
        <FactsLine which={which} facts={facts.data} />
        <span className="grow" />
        {history.data && <Fresh at={history.at} error={history.error} />}
        {all.length > 1 && (
          <NativeSelect size="xs" aria-label="Machine" value={which.instance} data={[...new Set(all.map((m) => m.instance))]}
            onChange={(e) => go({ ...place, machine: e.currentTarget.value })} />
        )}
        <SegmentedControl size="xs" value={range} data={Object.keys(ranges)} aria-label="Range" data-testid="machine-range"
          onChange={(next) => go({ ...place, range: next === '15m' ? '' : next })} />
      </div>
      {history.error && !history.data && <Trouble what="The store does not answer" error={history.error} />}
      {!panels && !history.error && <Skeletons />}
      {!panels && children}
      {panels && history.data && (
        <div className={history.error ? 'panels stale' : 'panels'}>
          {panels.map((p) => (
            <PanelCard key={p.id} panel={p} times={history.data!.times} />
          ))}
          <Filesystems history={history.data} filesystems={filesystems.data ?? []} />
          {children}
        </div>
      )}
    </>
  )
}

function FactsLine({ which, facts }: { which: Which; facts: Facts | undefined }) {
  const now = useNow() / 1000
  const parts = facts && [
    facts.system,
    facts.kernel,
    facts.cores > 0 && counted(facts.cores, 'core'),
    facts.memory > 0 && bytes(facts.memory),
    facts.booted > 0 && `up ${duration(Math.round(now - facts.booted))}`,
  ]
  return (
    <div className="facts">
      <h1>{which.instance || facts?.nodename || 'This machine'}</h1>
      <span>{parts?.filter(Boolean).join(' · ')}</span>
    </div>
  )
}

function Fresh({ at, error }: { at: number; error: Error | undefined }) {
  const now = useNow()
  if (error) return <span className="fresh failed">{error.message}; shown is what came {ago(at, now)}</span>
  return <span className="fresh">{now - at < 3 * every ? 'live' : ago(at, now)}</span>
}
