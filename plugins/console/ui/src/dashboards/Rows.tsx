import { Table } from '@mantine/core'
import { usePalette } from '../chart/palette'
import { colorAt } from './colors'
import type { Data, Found } from './data'
import { written } from './Figures'
import type { Columns, Panel } from './model'

/** A table: a row for each set of labels, a column for each label and each query. */
export function Rows({ panel, data }: { panel: Panel; data: Data }) {
  const { scheme } = usePalette()
  const { labels, refs, rows } = tableOf(data.series, panel.columns)
  return (
    <div className="scroll board-table">
      <Table stickyHeader>
        <Table.Thead>
          <Table.Tr>
            {labels.map((l) => (
              <Table.Th key={l}>{headOf(l, panel.columns)}</Table.Th>
            ))}
            {refs.map((r) => (
              <Table.Th className="num" key={r}>{headOf(columnOf(r, refs), panel.columns)}</Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map((row, i) => (
            <Table.Tr key={i}>
              {labels.map((l) => (
                <Table.Td key={l}>{row.labels[l] ?? ''}</Table.Td>
              ))}
              {refs.map((r) => {
                const found = row.values.get(r)
                const s = found && fieldOf(panel, found, columnOf(r, refs))
                return (
                  <Table.Td className="num" key={r} style={s && { color: s.field.color || s.field.steps.length > 1 ? colorAt(s.last, s.field, scheme) : undefined }}>
                    {s ? written(s.last, s) : ''}
                  </Table.Td>
                )
              })}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </div>
  )
}

interface Row {
  labels: Record<string, string>
  values: Map<string, Found> // by query
}

/** What the queries say of the same labels stands in one row. */
export function tableOf(series: Found[], columns: Columns): { labels: string[]; refs: string[]; rows: Row[] } {
  const rows = new Map<string, Row>()
  const refs = [...new Set(series.map((s) => s.target.ref))]
  const merged = refs.length > 1
  for (const s of series) {
    const labels = Object.fromEntries(Object.entries(s.labels).filter(([k]) => !(merged && k === '__name__')).toSorted())
    const key = JSON.stringify(labels)
    const row = rows.get(key) ?? { labels, values: new Map<string, Found>() }
    row.values.set(s.target.ref, s)
    rows.set(key, row)
  }
  const names = new Set([...rows.values()].flatMap((r) => Object.keys(r.labels)))
  return {
    labels: [...names].filter((l) => !columns.without.includes(l)).slice(0, 30),
    refs: refs.filter((r) => !columns.without.includes(columnOf(r, refs))),
    rows: [...rows.values()],
  }
}

/** Grafana's name of a query's column. */
function columnOf(ref: string, refs: string[]): string {
  return refs.length > 1 ? `Value #${ref}` : 'Value'
}

function headOf(name: string, columns: Columns): string {
  return Object.hasOwn(columns.named, name) ? columns.named[name]! : name === '__name__' ? 'name' : name
}

/** Overrides of a table name columns, as they are called in the end or were before. */
function fieldOf(panel: Panel, found: Found, column: string): Found {
  const head = headOf(column, panel.columns)
  let field = found.field
  for (const o of panel.overrides) if (o.by === 'name' && (o.of === column || o.of === head)) field = { ...field, ...o.field }
  return { ...found, field }
}
