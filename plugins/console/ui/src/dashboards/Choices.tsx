import { NativeSelect, TextInput } from '@mantine/core'
import { useEffect, useRef, useState } from 'react'
import { Hint } from '../parts/State'
import { all } from './model'
import type { Choice } from './variables'

type Choose = (name: string, values: string[]) => void

/** The dashboard's variables. */
export function Choices({ choices, choose }: { choices: Choice[]; choose: Choose }) {
  const shown = choices.filter((c) => !c.variable.hidden)
  if (shown.length === 0) return null
  return (
    <div className="choices" data-testid="board-variables">
      {shown.map((c) => (
        <div className="choice" key={c.variable.name}>
          <span className="choice-name">{c.variable.label}</span>
          <One choice={c} choose={(values) => choose(c.variable.name, values)} />
          {c.error && (
            <Hint text={c.error}>
              <span className="state failed" tabIndex={0}>
                <i className="dot" />
                no choices
              </span>
            </Hint>
          )}
        </div>
      ))}
    </div>
  )
}

function One({ choice, choose }: { choice: Choice; choose: (values: string[]) => void }) {
  const { variable, options, chosen } = choice
  if (variable.kind === 'text') return <Typed label={variable.label} value={chosen[0] ?? ''} choose={(v) => choose([v])} />
  if (variable.multi) return <Several choice={choice} choose={choose} />
  const data = [...(variable.all ? [{ value: all, label: 'All' }] : []), ...options.map((o) => ({ value: o, label: o }))]
  return (
    <NativeSelect size="xs" aria-label={variable.label} value={chosen[0] ?? ''} data={data.length > 0 ? data : [{ value: '', label: 'none' }]}
      onChange={(e) => choose([e.currentTarget.value])} data-testid={`variable-${variable.name}`} />
  )
}

function Typed({ label, value, choose }: { label: string; value: string; choose: (value: string) => void }) {
  const [draft, setDraft] = useState(value)
  useEffect(() => setDraft(value), [value])
  return (
    <TextInput size="xs" aria-label={label} value={draft} onChange={(e) => setDraft(e.currentTarget.value)} onBlur={() => draft !== value && choose(draft)}
      onKeyDown={(e) => e.key === 'Enter' && choose(draft)} />
  )
}

/** Boxes to tick, in a list that opens. The last one that is unticked leaves all. */
function Several({ choice: { variable, options, chosen }, choose }: { choice: Choice; choose: (values: string[]) => void }) {
  const details = useRef<HTMLDetailsElement>(null)
  useEffect(() => {
    const outside = (e: PointerEvent) => {
      if (details.current && !details.current.contains(e.target as Node)) details.current.open = false
    }
    addEventListener('pointerdown', outside)
    return () => removeEventListener('pointerdown', outside)
  }, [])
  const whole = chosen.includes(all)
  const turn = (o: string) => {
    const before = whole ? [] : chosen
    const next = before.includes(o) ? before.filter((c) => c !== o) : [...before, o]
    choose(next.length > 0 ? next : variable.all ? [all] : options.slice(0, 1))
  }
  return (
    <details className="several" ref={details} data-testid={`variable-${variable.name}`}>
      <summary aria-label={variable.label}>{whole ? 'All' : chosen.length > 2 ? `${chosen[0]} and ${chosen.length - 1} more` : chosen.join(', ') || 'none'}</summary>
      <div className="several-list">
        {variable.all && (
          <label>
            <input type="checkbox" checked={whole} onChange={() => choose([all])} /> All
          </label>
        )}
        {options.map((o) => (
          <label key={o}>
            <input type="checkbox" checked={!whole && chosen.includes(o)} onChange={() => turn(o)} /> {o}
          </label>
        ))}
      </div>
    </details>
  )
}
