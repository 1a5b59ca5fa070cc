import { Alert, Button } from '@mantine/core'
import { APIError } from '../api/http'
import type { Config, Status } from '../api/status'
import { clock } from '../format'
import type { Polled } from '../live/poll'

/** What concerns the whole page: the daemon does not answer, or runs another configuration than the one in its files. */
export function Banners({ status }: { status: Polled<Status> }) {
  return (
    <>
      {status.error && <Silence status={status} error={status.error} />}
      {status.data && <ConfigBanner config={status.data.config} />}
    </>
  )
}

function Silence({ status, error }: { status: Polled<Status>; error: Error }) {
  const gone = error instanceof APIError && error.unreachable
  const since = status.at ? `What you see is from ${clock(status.at)}. ` : ''
  return (
    <Alert color="red" variant="light" className="banner" role="alert" data-testid="banner-unreachable"
      title={gone ? 'The daemon cannot be reached' : 'The daemon does not say how it is'}>
      <span>
        {since}The last try ended with: <b>{error.message}</b>. The page tries again every 5 seconds.
      </span>
      <Button size="compact-sm" variant="default" onClick={status.refresh}>
        Try now
      </Button>
    </Alert>
  )
}

function ConfigBanner({ config }: { config: Config }) {
  const old = config.state === 'last_applied'
  if (!old && !config.problem) return null
  return (
    <Alert color="yellow" variant="light" className="banner" data-testid="banner-config"
      title={old ? 'The new configuration is invalid: the last applied one runs' : 'The configuration has a problem'}>
      <span>
        {old && config.applied > 0 && `Running what was applied at ${clock(config.applied)}. `}
        {config.files.length > 0 && `Files: ${config.files.join(', ')}. `}
        Check it with <code>magpie check</code>.
      </span>
      {config.problem && <pre>{config.problem}</pre>}
    </Alert>
  )
}
