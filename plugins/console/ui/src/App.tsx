import { Skeleton } from '@mantine/core'
import { lazy, Suspense, useEffect, useRef, useState } from 'react'
import { APIError } from './api/http'
import { fetchRules } from './api/prometheus'
import { fetchStatus } from './api/status'
import { Alerts } from './alerts/Alerts'
import { useAsking } from './diagnoses/asking'
import { Header } from './header/Header'
import { Banners } from './header/Banners'
import { GoContext, useAddress } from './live/place'
import { usePoll } from './live/poll'
import { advance, none } from './live/rates'
import { Overview } from './overview/Overview'
import { Plugins } from './plugins/Plugins'
import { Sources } from './sources/Sources'

const Query = lazy(() => import('./query/Query')) // brings the editor: as large as all the rest
const Dashboards = lazy(() => import('./dashboards/Dashboards'))
const Diagnoses = lazy(() => import('./diagnoses/Diagnoses'))

/** The page: what the header counts is polled here, what a tab shows in the tab. */
export function App() {
  const [place, go] = useAddress()
  const status = usePoll('status', 5000, fetchStatus)
  const rules = usePoll('rules', 5000, fetchRules)
  const [rates, setRates] = useState(none)
  const seen = useRef(0)
  const asking = useAsking()

  useEffect(() => {
    if (!status.data || seen.current === status.at) return
    seen.current = status.at
    const { data, at } = status
    setRates((before) => advance(before, data, at))
  }, [status])

  useEffect(() => {
    document.title = status.data?.hostname ? `${status.data.hostname} · Magpie` : 'Magpie'
  }, [status.data?.hostname])

  const lost = !status.data && status.error instanceof APIError && status.error.unreachable
  const hostname = status.data?.hostname ?? (status.error ? '' : undefined)
  return (
    <GoContext value={go}>
      <Header place={place} status={status} rules={rules} />
      <main>
        <Banners status={status} />
        {!lost && (
          <Suspense fallback={<Skeleton height={120} radius={8} />}>
            {place.tab === 'overview' && <Overview place={place} hostname={hostname} status={status} rules={rules} rates={rates} />}
            {place.tab === 'dashboards' && <Dashboards place={place} />}
            {place.tab === 'sources' && <Sources status={status} rates={rates} />}
            {place.tab === 'alerts' && <Alerts rules={rules} />}
            {place.tab === 'diagnoses' && <Diagnoses place={place} status={status} asking={asking} />}
            {place.tab === 'plugins' && <Plugins status={status} rates={rates} />}
            {place.tab === 'query' && <Query place={place} />}
          </Suspense>
        )}
      </main>
      <footer>
        Magpie {status.data?.version} · <a href="./licenses.md">licenses of what this page is made with</a>
      </footer>
    </GoContext>
  )
}
