import type { ReactNode } from 'react'

interface Props {
  title: ReactNode
  aside?: ReactNode // at the right of the title
  className?: string
  testid?: string
  children: ReactNode
}

export function Card({ title, aside, className = '', testid, children }: Props) {
  return (
    <section className={`card ${className}`} data-testid={testid}>
      <header>
        <h2>{title}</h2>
        {aside && <div className="card-aside">{aside}</div>}
      </header>
      {children}
    </section>
  )
}

/** What stands where there is nothing to show: why, and what to do. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <strong>{title}</strong>
      {children && <div>{children}</div>}
    </div>
  )
}

/** An error where its data would stand. */
export function Trouble({ what, error }: { what: string; error: Error }) {
  return (
    <div className="empty trouble" role="alert">
      <strong>{what}</strong>
      <div>{error.message}</div>
    </div>
  )
}
