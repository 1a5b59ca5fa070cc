import { Table } from '@mantine/core'
import type { FailedCheck, Level, Process, Verified } from '../api/status'
import { clock, count } from '../format'
import { processKey } from '../live/rates'
import { Card } from '../parts/Card'
import { Expander, useOpened } from '../parts/Expander'
import { State } from '../parts/State'

/** How the binaries of the processes kept the contract when they were verified, by the reports that lie beside them. */
export function Verification({ processes }: { processes: Process[] }) {
  const [open, toggle] = useOpened()
  const sorted = processes.toSorted((a, b) => a.plugin.localeCompare(b.plugin) || a.pid - b.pid)
  const without = processes.filter((p) => !p.verified).length
  return (
    <Card title="Verified" testid="verification">
      {without < processes.length && (
        <div className="scroll">
          <Table className="wide">
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Plugin</Table.Th>
                <Table.Th>This binary</Table.Th>
                <Table.Th className="num">Passed</Table.Th>
                <Table.Th className="num">Failed</Table.Th>
                <Table.Th className="num" title="Checks of what the plugin does not offer">Not applicable</Table.Th>
                <Table.Th className="stretch">When, and by what</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {sorted.map((p) => {
                const key = processKey(p)
                return <VerifiedRows key={key} process={p} open={open.has(key)} toggle={() => toggle(key)} />
              })}
            </Table.Tbody>
          </Table>
        </div>
      )}
      {without > 0 && (
        <p className="left">
          {without === processes.length && 'No plugin has a report. '}
          <code>magpie plugin verify PATH</code> tries whether a plugin keeps the contract, and writes its report beside the binary: from there it is shown here.
        </p>
      )}
    </Card>
  )
}

/** The verdict in a word. What a report says of another binary says nothing of this one. */
function verdict(v: Verified | undefined): [Level, string] {
  if (!v) return ['idle', 'not verified']
  if (v.problem) return ['degraded', 'report cannot be read']
  if (!v.current) return ['degraded', 'report of another binary']
  return v.failed > 0 ? ['failed', `${count(v.failed)} failed`] : ['ok', 'passed']
}

function VerifiedRows({ process: p, open, toggle }: { process: Process; open: boolean; toggle: () => void }) {
  const v = p.verified
  const [level, word] = verdict(v)
  const results = v && !v.problem
  const faint = results && !v.current ? 'num dim' : 'num'
  return (
    <>
      <Table.Tr data-verified={p.plugin}>
        <Table.Td>
          <Expander open={open} toggle={toggle} off={!results || v.checks.length === 0}>
            <span>
              <b>{p.plugin}</b> <small className="dim">{p.version}</small>
            </span>
          </Expander>
        </Table.Td>
        <Table.Td><State level={level}>{word}</State></Table.Td>
        <Table.Td className={faint}>{results ? count(v.ok) : '–'}</Table.Td>
        <Table.Td className={results && v.current && v.failed > 0 ? 'num failed' : faint}>{results ? count(v.failed) : '–'}</Table.Td>
        <Table.Td className={faint}>{results ? count(v.notApplicable) : '–'}</Table.Td>
        <Table.Td className="stretch">{v ? <Origin v={v} /> : <span className="dim">–</span>}</Table.Td>
      </Table.Tr>
      {open && results && v.checks.length > 0 && (
        <Table.Tr className="detail">
          <Table.Td colSpan={6} className="verified-checks">
            {v.checks.map((c, i) => (
              <Check key={i} c={c} />
            ))}
            {v.failed > v.checks.length && <p className="dim">and {count(v.failed - v.checks.length)} more, which stand in the report</p>}
          </Table.Td>
        </Table.Tr>
      )}
    </>
  )
}

function Origin({ v }: { v: Verified }) {
  if (v.problem) return <span className="trouble-text">{v.problem}</span>
  return (
    <>
      {clock(v.at)}
      {v.by ? ` by magpie ${v.by}` : ' by a test'}
      {v.kit && v.by && v.kit !== v.by && ` with the checks of ${v.kit}`}
      {!v.current && <span className="dim">: verify this one again</span>}
    </>
  )
}

/** A check that failed: what must hold, what was seen, and what to do. */
function Check({ c }: { c: FailedCheck }) {
  return (
    <section className="finding critical">
      <h3>
        <code>{c.check}</code> {c.about} <small className="dim">{c.of}</small>
      </h3>
      {c.text && <p className="finding-text">{c.text}</p>}
      {c.fix && <p className="finding-fix">{c.fix}</p>}
    </section>
  )
}
