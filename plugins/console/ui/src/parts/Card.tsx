import type { ReactNode } from 'react'
import { counted } from '../format'
import { useLink, type Place } from '../live/place'

interface Props {
  title: ReactNode
  aside?: ReactNode // at the right of the title
  more?: Partial<Place> // where the title leads: all that a brief card leaves out
  className?: string
  testid?: string
  children: ReactNode
}

export function Card({ title, aside, more, className = '', testid, children }: Props) {
  return (
    <section className={`card ${className}`} data-testid={testid}>
      <header>
        <h2>{more ? <More place={more}>{title}</More> : title}</h2>
        {aside && <div className="card-aside">{aside}</div>}
      </header>
      {children}
    </section>
  )
}

function More({ place, children }: { place: Partial<Place>; children: ReactNode }) {
  return (
    <a className="more" {...useLink(place)}>
      {children}
      <span aria-hidden> ›</span>
    </a>
  )
}

/** What a brief card leaves out. */
export function Left({ n, what }: { n: number; what: string }) {
  return n > 0 ? <p className="left">and {counted(n, 'more ' + what)}</p> : null
}

/** What stands where there is nothing to show: why, and what to do. */
export function Empty({ title, children }: { title: ReactNode; children?: ReactNode }) {
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
