/** A series' name and labels in PromQL's notation, coloured; it breaks between labels. */
export function SeriesName({ labels }: { labels: Record<string, string> }) {
  const { __name__: name, ...rest } = labels
  const pairs = Object.entries(rest)
  if (!name && pairs.length === 0) return <code className="series">{'{}'}</code>
  return (
    <code className="series">
      {name && <span className="series-name">{name}</span>}
      {pairs.length > 0 && '{'}
      {pairs.map(([k, v], i) => (
        <span key={k}>
          <span className="series-label">{k}</span>=<span className="series-value">{JSON.stringify(v)}</span>
          {i < pairs.length - 1 && ', '}
          <wbr />
        </span>
      ))}
      {pairs.length > 0 && '}'}
    </code>
  )
}

/** Labels as small chips, without those named. */
export function LabelChips({ labels, without = [] }: { labels: Record<string, string>; without?: string[] }) {
  const pairs = Object.entries(labels).filter(([k]) => !without.includes(k))
  return (
    <span className="chips">
      {pairs.map(([k, v]) => (
        <span className="chip" key={k}>
          <span>{k}</span> {v}
        </span>
      ))}
    </span>
  )
}
