import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, completionStatus } from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap, insertNewlineAndIndent } from '@codemirror/commands'
import { bracketMatching, HighlightStyle, syntaxHighlighting } from '@codemirror/language'
import { lintKeymap } from '@codemirror/lint'
import { Prec } from '@codemirror/state'
import { EditorView, keymap, placeholder } from '@codemirror/view'
import { tags } from '@lezer/highlight'
import { PromQLExtension } from '@prometheus-io/codemirror-promql'
import { useEffect, useRef } from 'react'

interface Props {
  expr: string
  focus: boolean // an empty editor takes the keyboard
  onChange: (expr: string) => void
  onRun: () => void
}

/** A PromQL editor: completion from the store, mistakes underlined, Enter runs, Shift-Enter breaks the line. */
export function Editor({ expr, focus, onChange, onRun }: Props) {
  const host = useRef<HTMLDivElement>(null)
  const view = useRef<EditorView>(null)
  const calls = useRef({ onChange, onRun })
  useEffect(() => {
    calls.current = { onChange, onRun }
  })

  useEffect(() => {
    const promql = new PromQLExtension().setComplete({ remote: { url: '', httpMethod: 'GET' } })
    const editor = new EditorView({
      doc: expr,
      parent: host.current!,
      extensions: [
        Prec.highest(keymap.of([{ key: 'Enter', run: (v) => completionStatus(v.state) !== 'active' && run() }])),
        keymap.of([{ key: 'Shift-Enter', run: insertNewlineAndIndent }]),
        keymap.of([...closeBracketsKeymap, ...completionKeymap, ...historyKeymap, ...lintKeymap, ...defaultKeymap]),
        history(),
        closeBrackets(),
        bracketMatching(),
        autocompletion({ icons: false }),
        promql.asExtension(),
        syntaxHighlighting(colours),
        look,
        EditorView.lineWrapping,
        placeholder('A PromQL expression, such as rate(node_network_receive_bytes_total[1m])'),
        EditorView.contentAttributes.of({ 'data-testid': 'query-input', 'aria-label': 'PromQL expression', spellcheck: 'false' }),
        EditorView.updateListener.of((u) => u.docChanged && calls.current.onChange(u.state.doc.toString())),
      ],
    })
    const run = () => {
      calls.current.onRun()
      return true
    }
    view.current = editor
    if (focus && !expr) editor.focus()
    return () => {
      editor.destroy()
      promql.destroy()
    }
  }, [])

  // An expression that came from elsewhere: a link, an example, the browser's Back.
  useEffect(() => {
    const v = view.current!
    if (v.state.doc.toString() !== expr) v.dispatch({ changes: { from: 0, to: v.state.doc.length, insert: expr } })
  }, [expr])

  return <div ref={host} className="editor" />
}

const colours = HighlightStyle.define([
  { tag: tags.keyword, class: 'tok-keyword' },
  { tag: [tags.function(tags.variableName), tags.standard(tags.variableName)], class: 'tok-function' },
  { tag: tags.labelName, class: 'tok-label' },
  { tag: tags.string, class: 'tok-string' },
  { tag: [tags.number, tags.unit], class: 'tok-number' },
  { tag: [tags.operator, tags.modifier, tags.operatorKeyword], class: 'tok-operator' },
  { tag: tags.comment, class: 'tok-comment' },
  { tag: tags.invalid, class: 'tok-invalid' },
])

const look = EditorView.theme({
  '&': { fontSize: '14px' },
  '&.cm-focused': { outline: 'none' },
  '.cm-content': { fontFamily: 'var(--mantine-font-family-monospace)', padding: '8px 0', caretColor: 'var(--text)' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '.cm-placeholder': { color: 'var(--faint)' },
  '&.cm-focused .cm-matchingBracket': { backgroundColor: 'var(--hover)', outline: '1px solid var(--line)' },
  '.cm-tooltip': { background: 'var(--raised)', border: '1px solid var(--line)', borderRadius: '6px', color: 'var(--text)' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul': { fontFamily: 'var(--mantine-font-family-monospace)', fontSize: '12.5px', maxHeight: '18em' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li': { padding: '2px 10px' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { background: 'var(--accent)', color: '#fff' },
  '.cm-completionDetail': { marginLeft: '1.5em', color: 'var(--faint)', fontStyle: 'normal' },
  '.cm-tooltip-autocomplete ul li[aria-selected] .cm-completionDetail': { color: '#fff' },
  '.cm-completionMatchedText': { textDecoration: 'none', fontWeight: '700' },
  '.cm-completionInfo': { padding: '6px 10px', maxWidth: '360px', fontFamily: 'var(--mantine-font-family)', fontSize: '12.5px' },
  '.cm-diagnostic-error': { borderLeft: '4px solid var(--failed)' },
})
