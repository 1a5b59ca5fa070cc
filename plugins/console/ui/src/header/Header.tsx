import { ActionIcon, Tabs, useMantineColorScheme } from '@mantine/core'
import { useContext } from 'react'
import type { RuleGroup } from '../api/prometheus'
import { levelOf, type Level, type Status } from '../api/status'
import { duration } from '../format'
import logo from '../magpie.svg'
import { useNow } from '../live/clock'
import { GoContext, useLink, type Place, type Tab } from '../live/place'
import type { Polled } from '../live/poll'
import { Hint, Pill } from '../parts/State'

const names: Record<Tab, string> = {
  overview: 'Overview',
  dashboards: 'Dashboards',
  sources: 'Sources',
  alerts: 'Alerts',
  diagnoses: 'Diagnoses',
  plugins: 'Plugins',
  query: 'Query',
}

interface Props {
  place: Place
  status: Polled<Status>
  rules: Polled<RuleGroup[]>
}

export function Header({ place, status, rules }: Props) {
  const go = useContext(GoContext)
  return (
    <header className="top">
      <a className="brand" {...useLink({ tab: 'overview' })}>
        <img src={logo} width={26} height={26} alt="" />
        Magpie
      </a>
      <Tabs value={place.tab} onChange={(tab) => go({ tab: tab as Tab })} className="top-tabs">
        <Tabs.List>
          {Object.entries(names).map(([tab, name]) => (
            <Tabs.Tab key={tab} value={tab} data-testid={`tab-${tab}`}>
              {name}
            </Tabs.Tab>
          ))}
        </Tabs.List>
      </Tabs>
      <div className="top-health" data-testid="health">
        {status.data && <Components status={status.data} />}
        {rules.data && <AlertCounts groups={rules.data} />}
      </div>
      <div className="top-about">{status.data && <About status={status.data} />}</div>
      <SchemeSwitch />
    </header>
  )
}

/** How many components are in each level, where there are any; a closed or opening one is neither well nor ill. */
function Components({ status }: { status: Status }) {
  const n: Record<Level, number> = { ok: 0, degraded: 0, failed: 0, idle: 0 }
  for (const c of status.components) n[levelOf(c.state)]++
  return (
    <a className="pills" {...useLink({ tab: 'plugins' })} aria-label="Components by health">
      <Pill level="ok" n={n.ok} what="OK" />
      {n.degraded > 0 && <Pill level="degraded" n={n.degraded} what="degraded" />}
      {n.failed > 0 && <Pill level="failed" n={n.failed} what="failed" />}
      {n.idle > 0 && <Pill level="idle" n={n.idle} what="not running" />}
    </a>
  )
}

function AlertCounts({ groups }: { groups: RuleGroup[] }) {
  const alerts = groups.flatMap((g) => g.rules.flatMap((r) => r.alerts))
  const firing = alerts.filter((a) => a.state === 'firing').length
  const pending = alerts.filter((a) => a.state === 'pending').length
  return (
    <a className="pills" {...useLink({ tab: 'alerts' })} aria-label="Alerts">
      {(firing > 0 || pending === 0) && <Pill level="failed" n={firing} what="firing" />}
      {pending > 0 && <Pill level="degraded" n={pending} what="pending" />}
    </a>
  )
}

function About({ status }: { status: Status }) {
  const now = useNow()
  return (
    <>
      <b>{status.hostname}</b>
      <span>
        {status.version && `v${status.version}`}
        {status.started > 0 && ` · up ${duration(Math.max(0, Math.round((now - status.started) / 1000)))}`}
      </span>
    </>
  )
}

const next = { auto: 'light', light: 'dark', dark: 'auto' } as const
const signs = { auto: '◐', light: '☀', dark: '☾' }
const meanings = { auto: 'as the system', light: 'light', dark: 'dark' }

function SchemeSwitch() {
  const { colorScheme, setColorScheme } = useMantineColorScheme()
  const text = `Colours: ${meanings[colorScheme]}`
  return (
    <Hint text={text}>
      <ActionIcon variant="subtle" color="gray" aria-label={text} onClick={() => setColorScheme(next[colorScheme])}>
        {signs[colorScheme]}
      </ActionIcon>
    </Hint>
  )
}
