import { Skeleton } from '@mantine/core'
import { lazy, Suspense } from 'react'
import { AlertsCard } from '../alerts/Alerts'
import type { RuleGroup } from '../api/prometheus'
import type { Status } from '../api/status'
import type { Place } from '../live/place'
import type { Polled } from '../live/poll'
import type { Rates } from '../live/rates'
import { Machine } from '../machine/Machine'
import { ProcessesCard } from '../plugins/Plugins'
import { SourcesCard } from '../sources/Sources'

const Query = lazy(() => import('../query/Query')) // brings the editor: as large as all the rest

interface Props {
  place: Place
  hostname: string | undefined
  status: Polled<Status>
  rules: Polled<RuleGroup[]>
  rates: Rates
}

/** Everything at a glance: this machine, what is wrong, each source, each process, and a box to ask for the rest. */
export function Overview({ place, hostname, status, rules, rates }: Props) {
  return (
    <>
      <Machine place={place} hostname={hostname}>
        <AlertsCard rules={rules} brief />
      </Machine>
      <div className="columns">
        <SourcesCard status={status} rates={rates} brief />
        <ProcessesCard status={status} rates={rates} brief />
      </div>
      <Suspense fallback={<Skeleton height={170} radius={8} />}>
        <Query place={place} brief />
      </Suspense>
    </>
  )
}
