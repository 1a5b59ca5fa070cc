import { UnstyledButton } from '@mantine/core'
import { useState, type ReactNode } from 'react'

/** Which lines of a table are open, by their keys, and what opens or closes one. */
export function useOpened(): [ReadonlySet<string>, (key: string) => void] {
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set())
  const toggle = (key: string) =>
    setOpen((was) => {
      const next = new Set(was)
      if (!next.delete(key)) next.add(key)
      return next
    })
  return [open, toggle]
}

interface Props {
  open: boolean
  toggle: () => void
  off?: boolean // there is nothing to open
  children: ReactNode
}

/** Opens and closes what stands below a line. */
export function Expander({ open, toggle, off = false, children }: Props) {
  return (
    <UnstyledButton className="expander" onClick={toggle} aria-expanded={open} disabled={off}>
      <svg width="10" height="10" viewBox="0 0 10 10" className={open ? 'open' : ''} aria-hidden>
        {!off && <path d="M3 1.500 7 5 3 8.500" />}
      </svg>
      {children}
    </UnstyledButton>
  )
}
