import { useLink } from '../live/place'

/** Opens the expression in the query box. */
export function ExprLink({ expr }: { expr: string }) {
  return (
    <a className="link" {...useLink({ tab: 'query', expr, range: '1h' })} title={expr}>
      graph
    </a>
  )
}
