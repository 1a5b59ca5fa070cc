import { useCallback, useEffect, useRef, useState } from 'react'
import { diagnose } from '../api/diagnoses'

/** A diagnosis that this page asked for. */
export interface Asked {
  began: number // ms
  progress: string[] // the newest last
  report: string // its id; "": it is not finished
  error: string
}

export interface Asking {
  asked: Record<string, Asked> // by the diagnoser's address
  ask: (address: string) => void
}

const kept = 8 // lines of progress

/** Diagnoses under way; they go on while another tab of the page is shown, and end with the page. */
export function useAsking(): Asking {
  const [asked, setAsked] = useState<Record<string, Asked>>({})
  const stop = useRef(new AbortController())
  useEffect(() => {
    const now = new AbortController()
    stop.current = now
    return () => now.abort()
  }, [])
  const ask = useCallback((address: string) => {
    const change = (by: (a: Asked) => Partial<Asked>) =>
      setAsked((all) => {
        const before = all[address] ?? { began: Date.now(), progress: [], report: '', error: '' }
        return { ...all, [address]: { ...before, ...by(before) } }
      })
    change(() => ({ began: Date.now(), progress: [], report: '', error: '' }))
    diagnose(address, (text) => change((a) => ({ progress: [...a.progress, text].slice(-kept) })), stop.current.signal).then(
      (report) => change(() => (report ? { report } : { error: 'the diagnoser gave no report' })),
      (cause: unknown) => change(() => ({ error: cause instanceof Error ? cause.message : String(cause) })),
    )
  }, [])
  return { asked, ask }
}
