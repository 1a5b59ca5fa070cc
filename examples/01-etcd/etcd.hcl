# An etcd cluster, found from any of its members. ETCD_ENDPOINTS names others than this machine's: URLs with commas between.
source "etcd" "main" {
  endpoints = split(",", env("ETCD_ENDPOINTS", "http://127.0.0.1:2379"))
  labels    = { cluster = "main" }
}

# The alerts of etcd-mixin, under its names, corrected where a plain etcd would leave them silent or make them cry wolf.
rules "etcd" {
  alert "etcdMembersDown" {
    expr        = "up{job='etcd'} == 0"
    for         = "1m"
    labels      = { severity = "warning" }
    annotations = { summary = "Member {{ $labels.instance }} of etcd {{ $labels.cluster }} does not answer" }
  }

  alert "etcdInsufficientMembers" {
    expr        = "sum without (instance) (up{job='etcd'}) < (count without (instance) (up{job='etcd'}) + 1) / 2"
    for         = "1m"
    labels      = { severity = "critical" }
    annotations = { summary = "etcd {{ $labels.cluster }} has lost its quorum: {{ $value }} members answer, and it takes no writes" }
  }

  alert "etcdNoLeader" {
    expr        = "etcd_server_has_leader == 0"
    for         = "1m"
    labels      = { severity = "critical" }
    annotations = { summary = "Member {{ $labels.instance }} of etcd {{ $labels.cluster }} knows no leader" }
  }

  # NOSPACE: no more writes until it is compacted, defragmented and disarmed. CORRUPT: members disagree.
  alert "etcdAlarm" {
    expr        = "max without (instance) (etcd_status_alarms) > 0"
    labels      = { severity = "critical" }
    annotations = { summary = "etcd {{ $labels.cluster }} has raised its alarm {{ $labels.alarm }}" }
  }

  alert "etcdUnhealthy" {
    expr        = "etcd_health == 0 and up{job='etcd'} == 1"
    for         = "1m"
    labels      = { severity = "warning" }
    annotations = { summary = "Member {{ $labels.instance }} of etcd {{ $labels.cluster }} answers, and says that it is not healthy" }
  }

  alert "etcdHighNumberOfLeaderChanges" {
    expr        = "increase(max without (instance) (etcd_server_leader_changes_seen_total)[15m:1m]) >= 4"
    for         = "5m"
    labels      = { severity = "warning" }
    annotations = { summary = "The leader of etcd {{ $labels.cluster }} changed {{ $value | humanize }} times in 15 minutes: look at disks, load and network" }
  }

  # Of few requests one failure is a large share: a failure every ten seconds is the least that counts. Watches end with
  # Unavailable whenever a client goes away.
  alert "etcdHighNumberOfFailedGRPCRequests" {
    expr        = <<-PROMQL
      sum without (grpc_type, grpc_code) (rate(grpc_server_handled_total{job='etcd', grpc_method!='Watch',
          grpc_code=~'Unknown|FailedPrecondition|ResourceExhausted|Internal|Unavailable|DataLoss|DeadlineExceeded|OutOfRange'}[5m]))
        / sum without (grpc_type, grpc_code) (rate(grpc_server_handled_total{job='etcd', grpc_method!='Watch'}[5m])) > 0.05
        and sum without (grpc_type, grpc_code) (rate(grpc_server_handled_total{job='etcd', grpc_method!='Watch',
          grpc_code=~'Unknown|FailedPrecondition|ResourceExhausted|Internal|Unavailable|DataLoss|DeadlineExceeded|OutOfRange'}[5m])) > 0.1
    PROMQL
    for         = "5m"
    labels      = { severity = "warning" }
    annotations = { summary = "{{ $value | humanizePercentage }} of the {{ $labels.grpc_method }} requests to {{ $labels.instance }} fail" }
  }

  # The first half needs `--metrics extensive`; the second is there in etcd 3.7 without being asked for.
  alert "etcdGRPCRequestsSlow" {
    expr        = <<-PROMQL
      histogram_quantile(0.99, sum without (grpc_type) (rate(grpc_server_handling_seconds_bucket{job='etcd', grpc_type='unary', grpc_method!~'Defragment|Snapshot'}[5m]))) > 0.15
        or histogram_quantile(0.99, sum without (success) (rate(etcd_server_request_duration_seconds_bucket[5m]))) > 0.15
    PROMQL
    for         = "10m"
    labels      = { severity = "warning" }
    annotations = { summary = "The slowest percent of {{ $labels.grpc_method }}{{ $labels.type }} requests to {{ $labels.instance }} takes {{ $value | humanizeDuration }} and more" }
  }

  alert "etcdMemberCommunicationSlow" {
    expr        = "histogram_quantile(0.99, rate(etcd_network_peer_round_trip_time_seconds_bucket[5m])) > 0.15"
    for         = "10m"
    labels      = { severity = "warning" }
    annotations = { summary = "{{ $labels.instance }} reaches its peer {{ $labels.To }} in {{ $value | humanizeDuration }}" }
  }

  alert "etcdHighNumberOfFailedProposals" {
    expr        = "rate(etcd_server_proposals_failed_total[15m]) > 5"
    for         = "15m"
    labels      = { severity = "warning" }
    annotations = { summary = "{{ $value | humanize }} proposals a second fail on {{ $labels.instance }}" }
  }

  alert "etcdHighFsyncDurations" {
    expr        = "histogram_quantile(0.99, rate(etcd_disk_wal_fsync_duration_seconds_bucket[5m])) > 0.5"
    for         = "10m"
    labels      = { severity = "warning" }
    annotations = { summary = "The disk of {{ $labels.instance }} takes {{ $value | humanizeDuration }} to write the log: leaders are lost over less" }
  }

  alert "etcdHighCommitDurations" {
    expr        = "histogram_quantile(0.99, rate(etcd_disk_backend_commit_duration_seconds_bucket[5m])) > 0.25"
    for         = "10m"
    labels      = { severity = "warning" }
    annotations = { summary = "The disk of {{ $labels.instance }} takes {{ $value | humanizeDuration }} to write the database" }
  }

  alert "etcdDatabaseQuotaLowSpace" {
    expr        = "etcd_mvcc_db_total_size_in_bytes / etcd_server_quota_backend_bytes > 0.95"
    for         = "10m"
    labels      = { severity = "critical" }
    annotations = { summary = "The database of {{ $labels.instance }} is at {{ $value | humanizePercentage }} of its quota: at 100 % it takes no more writes. Compact and defragment it" }
  }

  # A trend needs a past: the last term holds only where samples reach back three hours.
  alert "etcdExcessiveDatabaseGrowth" {
    expr        = <<-PROMQL
      predict_linear(etcd_mvcc_db_total_size_in_bytes[4h], 4 * 3600) > etcd_server_quota_backend_bytes
        and count_over_time(etcd_mvcc_db_total_size_in_bytes[1h] offset 3h) > 0
    PROMQL
    for         = "10m"
    labels      = { severity = "warning" }
    annotations = { summary = "The database of {{ $labels.instance }} reaches its quota within four hours if it goes on like this" }
  }

  alert "etcdDatabaseHighFragmentationRatio" {
    expr        = "etcd_mvcc_db_total_size_in_use_in_bytes / etcd_mvcc_db_total_size_in_bytes < 0.5 and etcd_mvcc_db_total_size_in_use_in_bytes > 100 * 1024 * 1024"
    for         = "10m"
    labels      = { severity = "warning" }
    annotations = { summary = "{{ $value | humanizePercentage }} of the database file of {{ $labels.instance }} is in use: a defragmentation frees the rest" }
  }
}
