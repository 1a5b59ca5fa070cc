import { useEffect, useState } from 'react'

/** The time in ms, again every second, for texts such as "5 s ago". */
export function useNow(): number {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => document.hidden || setNow(Date.now()), 1000)
    return () => clearInterval(timer)
  }, [])
  return now
}
