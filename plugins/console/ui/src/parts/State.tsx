import { Tooltip } from '@mantine/core'
import type { ReactNode } from 'react'
import type { Level } from '../api/status'

/** A coloured dot with the state in words, so that colour is never all there is. */
export function State({ level, children, detail }: { level: Level; children: ReactNode; detail?: string | undefined }) {
  const state = (
    <span className={`state ${level}`}>
      <i className="dot" />
      {children}
    </span>
  )
  return detail ? <Hint text={detail}>{state}</Hint> : state
}

/** Text that appears over what it explains. */
export function Hint({ text, children }: { text: string; children: React.ReactElement }) {
  return (
    <Tooltip label={text} multiline maw={520} withArrow openDelay={150} events={{ hover: true, focus: true, touch: true }}>
      {children}
    </Tooltip>
  )
}

/** A count that stands out when it is not zero. */
export function Pill({ level, n, what }: { level: Level; n: number; what: string }) {
  return (
    <span className={`pill ${n > 0 ? level : 'none'}`}>
      <b>{n}</b> {what}
    </span>
  )
}
