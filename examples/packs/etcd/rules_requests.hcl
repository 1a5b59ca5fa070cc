# What clients see.

rules "etcd_requests" {
  store  = var.store
  labels = var.alert_labels

  # Of few requests one failure is a large share: a failure every ten seconds is the least that counts. Watches end with Unavailable
  # whenever a client goes away. OutOfRange is how clients behind a compaction fail; etcd-mixin leaves it out. Unknown is, beside errors
  # without a code, what 3.4 and 3.5 count where a client gave up, and 3.6 where it gave up a write; since then that is Canceled.
  alert "etcdHighNumberOfFailedGRPCRequestsWarning" {
    name   = "etcdHighNumberOfFailedGRPCRequests"
    expr   = <<-PROMQL
      sum without (grpc_type, grpc_code) (rate(grpc_server_handled_total{job=~'.*etcd.*', grpc_method!='Watch', grpc_code=~'Unknown|FailedPrecondition|ResourceExhausted|Internal|Unavailable|DataLoss|DeadlineExceeded|OutOfRange'}[5m]))
        / sum without (grpc_type, grpc_code) (rate(grpc_server_handled_total{job=~'.*etcd.*', grpc_method!='Watch'}[5m])) > ${var.thresholds.failed_requests_warning}
        and sum without (grpc_type, grpc_code) (rate(grpc_server_handled_total{job=~'.*etcd.*', grpc_method!='Watch', grpc_code=~'Unknown|FailedPrecondition|ResourceExhausted|Internal|Unavailable|DataLoss|DeadlineExceeded|OutOfRange'}[5m])) > 0.1
    PROMQL
    for    = "10m"
    labels = { severity = "warning" }
    annotations = {
      summary     = "{{ $value | humanizePercentage }} of the {{ $labels.grpc_method }} requests to {{ $labels.instance }} fail"
      description = "More than the given share of a kind of request fails with a code that is not the client's mistake. Watches are left out: they end with errors whenever a client goes away."
      action      = "See the code: Unavailable means no leader or too busy, ResourceExhausted no space or too large, DataLoss and Internal damaged data, Unknown up to 3.6 also that clients gave up."
    }
    diagnose = [diagnoser.etcd.main]
  }

  alert "etcdHighNumberOfFailedGRPCRequestsCritical" {
    name   = "etcdHighNumberOfFailedGRPCRequests"
    expr   = <<-PROMQL
      sum without (grpc_type, grpc_code) (rate(grpc_server_handled_total{job=~'.*etcd.*', grpc_method!='Watch', grpc_code=~'Unknown|FailedPrecondition|ResourceExhausted|Internal|Unavailable|DataLoss|DeadlineExceeded|OutOfRange'}[5m]))
        / sum without (grpc_type, grpc_code) (rate(grpc_server_handled_total{job=~'.*etcd.*', grpc_method!='Watch'}[5m])) > ${var.thresholds.failed_requests_critical}
        and sum without (grpc_type, grpc_code) (rate(grpc_server_handled_total{job=~'.*etcd.*', grpc_method!='Watch', grpc_code=~'Unknown|FailedPrecondition|ResourceExhausted|Internal|Unavailable|DataLoss|DeadlineExceeded|OutOfRange'}[5m])) > 0.5
    PROMQL
    for    = "5m"
    labels = { severity = "critical" }
    annotations = {
      summary     = "{{ $value | humanizePercentage }} of the {{ $labels.grpc_method }} requests to {{ $labels.instance }} fail"
      description = "The same at a share at which clients do not get on."
      action      = "As for the warning, at once."
    }
    diagnose = [diagnoser.etcd.main]
  }

  alert "etcdClientsBehindCompaction" {
    expr   = "sum without (grpc_type, grpc_code) (rate(grpc_server_handled_total{job=~'.*etcd.*', grpc_code='OutOfRange'}[5m])) > 0.05"
    for    = "5m"
    labels = { severity = "warning" }
    annotations = {
      summary     = "Clients of {{ $labels.instance }} ask for revisions that are compacted ({{ $labels.grpc_method }})"
      description = "Clients ask for revisions that are compacted. They must list anew; those that do not are stuck."
      action      = "Find the client by its address in the log of the member. If it is only slow, keep more history: --auto-compaction-retention."
    }
    diagnose = [diagnoser.etcd.main]
  }

  # The first half needs `--metrics extensive` (3.4 to 3.6 have no other); the second is there in 3.7 without being asked for.
  alert "etcdGRPCRequestsSlow" {
    expr   = <<-PROMQL
      histogram_quantile(0.99, sum without (grpc_type) (rate(grpc_server_handling_seconds_bucket{job=~'.*etcd.*', grpc_type='unary', grpc_method!~'Defragment|Snapshot|HashKV'}[5m]))) > ${var.thresholds.request_seconds}
        or histogram_quantile(0.99, sum without (success) (rate(etcd_server_request_duration_seconds_bucket{job=~'.*etcd.*'}[5m]))) > ${var.thresholds.request_seconds}
    PROMQL
    for    = "10m"
    labels = { severity = "warning" }
    annotations = {
      summary     = "The slowest percent of {{ $labels.grpc_method }}{{ $labels.type }} requests to {{ $labels.instance }} takes {{ $value | humanizeDuration }} and more"
      description = "The slowest percent of a kind of request is slow for minutes: the disk, large ranges, or a machine without time."
      action      = "Compare with fsync and commit times: if they are well, look for clients that read large ranges."
    }
    diagnose = [diagnoser.etcd.main]
  }

  alert "etcdProbeSlow" {
    expr   = "histogram_quantile(0.99, sum without (instance) (rate(etcd_probe_duration_seconds_bucket[10m]))) > ${var.thresholds.probe_seconds}"
    for    = "10m"
    labels = { severity = "warning" }
    annotations = {
      summary     = "As a client sees it, {{ $labels.operation }} at etcd {{ $labels.cluster }} takes {{ $value | humanizeDuration }} and more"
      description = "What the probe does as a client is slow: everybody waits that long."
      action      = "See which operation it is: put and delete wait for the quorum's disks, a serializable read for the member alone."
    }
    diagnose = [diagnoser.etcd.main]
  }

  alert "etcdProbeFails" {
    expr   = "etcd_probe_success == 0"
    for    = "3m"
    labels = { severity = "warning" }
    annotations = {
      summary     = "As a client sees it, {{ $labels.operation }} at {{ $labels.instance }} fails"
      description = "What the probe does as a client fails for minutes at this member: so does what others do there."
      action      = "The source's status has the error; the diagnosis has the cause."
    }
    diagnose = [diagnoser.etcd.main]
  }
}
