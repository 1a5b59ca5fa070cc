import { UnstyledButton } from '@mantine/core'
import type { ReactNode } from 'react'

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
