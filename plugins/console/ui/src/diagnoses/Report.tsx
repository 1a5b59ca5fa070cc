import { Button, Skeleton, Table } from '@mantine/core'
import { useEffect, useRef, useState } from 'react'
import { fetchReport, type Check, type Diagnosis, type Finding } from '../api/diagnoses'
import { clock, counted, duration } from '../format'
import { usePoll } from '../live/poll'
import { Trouble } from '../parts/Card'
import { LabelChips } from '../parts/Labels'
import { State } from '../parts/State'

/** A diagnosis: what was found, what shows it and what to do, and what was looked at. */
export function Report({ id }: { id: string }) {
  const { data, error } = usePoll(`report ${id}`, Infinity, (signal) => fetchReport(id, signal)) // it does not change
  if (error) return <Trouble what="The report cannot be shown" error={error} />
  if (!data) return <Skeleton height={160} radius={8} />
  return <Opened d={data} id={id} />
}

function Opened({ d, id }: { d: Diagnosis; id: string }) {
  const at = `/reports/${encodeURIComponent(id)}`
  return (
    <div className="report" data-testid="report">
      <p className="report-about">
        {d.address}, at {clock(d.started)}
        {d.ended > d.started && ` in ${duration((d.ended - d.started) / 1000)}`}
        {d.alert ? <>, for the alert <LabelChips labels={d.alert} /></> : ', for a person'}
        <span className="grow" />
        <a className="link" href={at} target="_blank" rel="noreferrer">page</a>
        <a className="link" href={`${at}.md`} target="_blank" rel="noreferrer">Markdown</a>
        <a className="link" href={`${at}.json`} target="_blank" rel="noreferrer">JSON</a>
      </p>
      {d.problem && <div className="empty trouble" role="alert"><strong>The diagnosis is not complete</strong><div>{d.problem}</div></div>}
      {d.findings.length === 0 && <State level={d.problem ? 'idle' : 'ok'}>Nothing was found.</State>}
      {d.findings.map((f, i) => (
        <Found key={i} f={f} />
      ))}
      {d.checks.length > 0 && <Checks checks={d.checks} />}
      {d.cut > 0 && <p className="dim">{counted(d.cut, 'more thing')} went beyond the bounds of a report, and {d.cut === 1 ? 'is' : 'are'} left out.</p>}
    </div>
  )
}

function Found({ f }: { f: Finding }) {
  return (
    <section className={`finding ${f.severity}`}>
      <h3>
        <span className={`severity ${f.severity}`}>{f.severity}</span> {f.title}
      </h3>
      {f.text && <p className="finding-text">{f.text}</p>}
      {f.evidence.length > 0 && (
        <div className="scroll">
          <Table className="inner">
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Time</Table.Th>
                <Table.Th>Where</Table.Th>
                <Table.Th>What</Table.Th>
                <Table.Th>Value</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {f.evidence.map((e, i) => (
                <Table.Tr key={i}>
                  <Table.Td>{clock(e.time)}</Table.Td>
                  <Table.Td>{e.where}</Table.Td>
                  <Table.Td className="stretch">{e.what}</Table.Td>
                  <Table.Td>{e.value}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </div>
      )}
      {f.next.length > 0 && (
        <ol className="next">
          {f.next.map((n, i) => (
            <li key={i}>
              {n.text} {n.changes && <b className="changes">changes something</b>}
              {n.command && <Command text={n.command} />}
            </li>
          ))}
        </ol>
      )}
    </section>
  )
}

/** A command to be copied into a shell. Where the browser gives no clipboard (plain HTTP from afar) it is selected. */
function Command({ text }: { text: string }) {
  const code = useRef<HTMLElement>(null)
  const [said, setSaid] = useState('')
  useEffect(() => {
    if (!said) return
    const timer = setTimeout(() => setSaid(''), 2000)
    return () => clearTimeout(timer)
  }, [said])
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text)
      setSaid('copied')
    } catch {
      getSelection()?.selectAllChildren(code.current!)
      setSaid('selected')
    }
  }
  return (
    <div className="command">
      <code ref={code}>{text}</code>
      <Button size="compact-xs" variant="default" onClick={copy}>
        {said || 'copy'}
      </Button>
    </div>
  )
}

function Checks({ checks }: { checks: Check[] }) {
  const unknown = checks.filter((c) => c.trouble).length
  return (
    <section className="checks">
      <h3>
        What was looked at <small className="dim">{unknown > 0 && `of ${unknown} of ${checks.length} nothing is known`}</small>
      </h3>
      <div className="scroll">
        <Table className="inner">
          <Table.Tbody>
            {checks.map((c, i) => (
              <Table.Tr key={i}>
                <Table.Td>{c.name}</Table.Td>
                <Table.Td className="stretch">{c.trouble ? <span className="trouble-text">not known: {c.trouble}</span> : c.outcome}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </div>
    </section>
  )
}
