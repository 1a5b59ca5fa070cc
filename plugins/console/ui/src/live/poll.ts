import { useCallback, useEffect, useRef, useState } from 'react'

export interface Polled<T> {
  data: T | undefined // of the last success
  error: Error | undefined // of the last try; undefined after a success
  at: number // ms since the epoch of the last success; 0: none yet
  refresh: () => void
}

/**
 * Loads again and again, every ms after the last answer (after an error at least every 5 s), while the page can be seen; at
 * once when it becomes visible again. What was loaded stays while a later try fails. A new key forgets it and starts over.
 * While it is off nothing is loaded; every = Infinity loads once.
 */
export function usePoll<T>(key: string, every: number, load: (signal: AbortSignal) => Promise<T>, on = true): Polled<T> {
  const [state, setState] = useState<{ key: string; data?: T; error?: Error; at: number }>({ key, at: 0 })
  const latest = useRef(load)
  const again = useRef(() => {})
  useEffect(() => {
    latest.current = load
  })

  useEffect(() => {
    if (!on) return
    const stop = new AbortController()
    let timer = 0
    let busy = false
    const run = async () => {
      clearTimeout(timer)
      if (busy || stop.signal.aborted || document.hidden) return
      busy = true
      let pause = every
      try {
        const data = await latest.current(stop.signal)
        if (!stop.signal.aborted) setState({ key, data, at: Date.now() })
      } catch (cause) {
        pause = Math.min(every, 5000)
        const error = cause instanceof Error ? cause : new Error(String(cause))
        if (!stop.signal.aborted) setState((s) => (s.key === key ? { ...s, error } : { key, error, at: 0 }))
      }
      busy = false
      if (pause < Infinity) timer = window.setTimeout(run, pause)
    }
    again.current = run
    document.addEventListener('visibilitychange', run)
    void run()
    return () => {
      stop.abort()
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', run)
    }
  }, [key, every, on])

  const refresh = useCallback(() => again.current(), [])
  const current = state.key === key ? state : { at: 0 }
  return { data: undefined, error: undefined, ...current, refresh }
}
