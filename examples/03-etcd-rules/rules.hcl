# The rules of etcd-mixin under its names, corrected where a plain etcd would leave them silent or make them cry wolf, and what no page
# of metrics says. Names that etcd 3.4 and 3.7 have both; where they differ, both. tests.hcl has a test of each.

rules "etcd_members" {
  alert "etcdMembersDown" {
    expr        = "up{job=~'.*etcd.*'} == 0"
    for         = "2m"
    labels      = { severity = "warning" }
    annotations = { summary = "Member {{ $labels.instance }} of etcd {{ $labels.cluster }} does not answer" }
    diagnose    = [diagnoser.etcd.main]
  }

  # Learners do not vote: they are left out, where etcd-mixin counts them.
  alert "etcdInsufficientMembers" {
    expr        = <<-PROMQL
      sum without (instance) (up{job=~'.*etcd.*'} unless on (job, instance) etcd_member_learner == 1)
        < (count without (instance) (up{job=~'.*etcd.*'} unless on (job, instance) etcd_member_learner == 1) + 1) / 2
    PROMQL
    for         = "1m"
    labels      = { severity = "critical" }
    annotations = { summary = "etcd {{ $labels.cluster }} has lost its quorum: {{ $value }} voting members answer, and it takes no writes" }
    diagnose    = [diagnoser.etcd.main]
  }

  # The second half of etcd-mixin's etcdMembersDown, as an alert of its own.
  alert "etcdPeerUnreachable" {
    expr        = <<-PROMQL
      sum without (To) (rate(etcd_network_peer_sent_failures_total[5m])) > 0.01
        unless ignoring (instance) max without (instance) (up{job=~'.*etcd.*'} == bool 0) == 1
    PROMQL
    for         = "10m"
    labels      = { severity = "warning" }
    annotations = { summary = "Member {{ $labels.instance }} of etcd {{ $labels.cluster }} cannot send to a peer, though all members answer" }
    diagnose    = [diagnoser.etcd.main]
  }

  alert "etcdMemberNeverStarted" {
    expr        = "etcd_member_started == 0"
    for         = "15m"
    labels      = { severity = "warning" }
    annotations = { summary = "A member of etcd {{ $labels.cluster }} was added and never started: peer URL {{ $labels.instance }}" }
    diagnose    = [diagnoser.etcd.main]
  }

  alert "etcdLearnerStuck" {
    expr        = "etcd_member_learner == 1"
    for         = "1h"
    labels      = { severity = "warning" }
    annotations = { summary = "{{ $labels.instance }} of etcd {{ $labels.cluster }} has been a learner for an hour: it does not vote" }
    diagnose    = [diagnoser.etcd.main]
  }

  alert "etcdEvenNumberOfVoters" {
    expr        = "count without (instance) (etcd_member_learner == 0) % 2 == 0"
    for         = "1h"
    labels      = { severity = "info" }
    annotations = { summary = "{{ $value }} of {{ $labels.cluster }}: an even number of members votes" }
  }

  alert "etcdVersionsDiffer" {
    expr        = "count without (version) (count without (instance, member_id, storage_version) (etcd_status_info)) > 1"
    for         = "6h"
    labels      = { severity = "info" }
    annotations = { summary = "etcd {{ $labels.cluster }} has run different versions for six hours: an upgrade that was not finished" }
  }

  alert "etcdStatusUnanswered" {
    expr        = "etcd_status_success == 0 and on (job, instance) up == 1"
    for         = "5m"
    labels      = { severity = "warning" }
    annotations = { summary = "{{ $labels.instance }} of etcd {{ $labels.cluster }} serves its metrics and does not answer over gRPC" }
    diagnose    = [diagnoser.etcd.main]
  }

  alert "etcdUnhealthy" {
    expr        = "etcd_health == 0 and on (job, instance) up{job=~'.*etcd.*'} == 1"
    for         = "2m"
    labels      = { severity = "warning" }
    annotations = { summary = "{{ $labels.instance }} of etcd {{ $labels.cluster }} answers, and says that it is not healthy" }
    diagnose    = [diagnoser.etcd.main]
  }
}

rules "etcd_leader" {
  alert "etcdNoLeader" {
    expr        = "etcd_server_has_leader == 0"
    for         = "1m"
    labels      = { severity = "critical" }
    annotations = { summary = "Member {{ $labels.instance }} of etcd {{ $labels.cluster }} knows no leader" }
    diagnose    = [diagnoser.etcd.main]
  }

  alert "etcdLeadersDisagree" {
    expr        = "count without (leader) (count without (instance) (etcd_status_leader)) > 1"
    for         = "1m"
    labels      = { severity = "critical" }
    annotations = { summary = "The members of etcd {{ $labels.cluster }} follow {{ $value }} different leaders" }
    diagnose    = [diagnoser.etcd.main]
  }

  alert "etcdTermsDiffer" {
    expr        = "max without (instance) (etcd_status_raft_term) - min without (instance) (etcd_status_raft_term) > 0"
    for         = "2m"
    labels      = { severity = "warning" }
    annotations = { summary = "The members of etcd {{ $labels.cluster }} are in different terms, {{ $value }} apart: one missed an election" }
    diagnose    = [diagnoser.etcd.main]
  }

  alert "etcdHighNumberOfLeaderChanges" {
    expr        = "increase(max without (instance) (etcd_server_leader_changes_seen_total)[15m:1m]) >= 4"
    for         = "5m"
    labels      = { severity = "warning" }
    annotations = { summary = "The leader of etcd {{ $labels.cluster }} changed {{ $value | humanize }} times in 15 minutes: look at disks, load and network" }
    diagnose    = [diagnoser.etcd.main]
  }
}

rules "etcd_requests" {
  # Of few requests one failure is a large share: a failure every ten seconds is the least that counts. Watches end with Unavailable
  # whenever a client goes away. OutOfRange is how clients behind a compaction fail; etcd-mixin leaves it out.
  alert "etcdHighNumberOfFailedGRPCRequestsWarning" {
    name        = "etcdHighNumberOfFailedGRPCRequests"
    expr        = <<-PROMQL
      sum without (grpc_type, grpc_code) (rate(grpc_server_handled_total{job=~'.*etcd.*', grpc_method!='Watch', grpc_code=~'Unknown|FailedPrecondition|ResourceExhausted|Internal|Unavailable|DataLoss|DeadlineExceeded|OutOfRange'}[5m]))
        / sum without (grpc_type, grpc_code) (rate(grpc_server_handled_total{job=~'.*etcd.*', grpc_method!='Watch'}[5m])) > 0.01
        and sum without (grpc_type, grpc_code) (rate(grpc_server_handled_total{job=~'.*etcd.*', grpc_method!='Watch', grpc_code=~'Unknown|FailedPrecondition|ResourceExhausted|Internal|Unavailable|DataLoss|DeadlineExceeded|OutOfRange'}[5m])) > 0.1
    PROMQL
    for         = "10m"
    labels      = { severity = "warning" }
    annotations = { summary = "{{ $value | humanizePercentage }} of the {{ $labels.grpc_method }} requests to {{ $labels.instance }} fail" }
    diagnose    = [diagnoser.etcd.main]
  }

  alert "etcdHighNumberOfFailedGRPCRequestsCritical" {
    name        = "etcdHighNumberOfFailedGRPCRequests"
    expr        = <<-PROMQL
      sum without (grpc_type, grpc_code) (rate(grpc_server_handled_total{job=~'.*etcd.*', grpc_method!='Watch', grpc_code=~'Unknown|FailedPrecondition|ResourceExhausted|Internal|Unavailable|DataLoss|DeadlineExceeded|OutOfRange'}[5m]))
        / sum without (grpc_type, grpc_code) (rate(grpc_server_handled_total{job=~'.*etcd.*', grpc_method!='Watch'}[5m])) > 0.05
        and sum without (grpc_type, grpc_code) (rate(grpc_server_handled_total{job=~'.*etcd.*', grpc_method!='Watch', grpc_code=~'Unknown|FailedPrecondition|ResourceExhausted|Internal|Unavailable|DataLoss|DeadlineExceeded|OutOfRange'}[5m])) > 0.5
    PROMQL
    for         = "5m"
    labels      = { severity = "critical" }
    annotations = { summary = "{{ $value | humanizePercentage }} of the {{ $labels.grpc_method }} requests to {{ $labels.instance }} fail" }
    diagnose    = [diagnoser.etcd.main]
  }

  alert "etcdClientsBehindCompaction" {
    expr        = "sum without (grpc_type, grpc_code) (rate(grpc_server_handled_total{job=~'.*etcd.*', grpc_code='OutOfRange'}[5m])) > 0.05"
    for         = "5m"
    labels      = { severity = "warning" }
    annotations = { summary = "Clients of {{ $labels.instance }} ask for revisions that are compacted ({{ $labels.grpc_method }})" }
    diagnose    = [diagnoser.etcd.main]
  }

  # The first half needs `--metrics extensive` (3.4 has no other); the second is there in 3.7 without being asked for.
  alert "etcdGRPCRequestsSlow" {
    expr        = <<-PROMQL
      histogram_quantile(0.99, sum without (grpc_type) (rate(grpc_server_handling_seconds_bucket{job=~'.*etcd.*', grpc_type='unary', grpc_method!~'Defragment|Snapshot|HashKV'}[5m]))) > 0.15
        or histogram_quantile(0.99, sum without (success) (rate(etcd_server_request_duration_seconds_bucket{job=~'.*etcd.*'}[5m]))) > 0.15
    PROMQL
    for         = "10m"
    labels      = { severity = "warning" }
    annotations = { summary = "The slowest percent of {{ $labels.grpc_method }}{{ $labels.type }} requests to {{ $labels.instance }} takes {{ $value | humanizeDuration }} and more" }
    diagnose    = [diagnoser.etcd.main]
  }

  alert "etcdProbeSlow" {
    expr        = "histogram_quantile(0.99, sum without (instance) (rate(etcd_probe_duration_seconds_bucket[10m]))) > 0.5"
    for         = "10m"
    labels      = { severity = "warning" }
    annotations = { summary = "As a client sees it, {{ $labels.operation }} at etcd {{ $labels.cluster }} takes {{ $value | humanizeDuration }} and more" }
    diagnose    = [diagnoser.etcd.main]
  }

  alert "etcdProbeFails" {
    expr        = "etcd_probe_success == 0"
    for         = "3m"
    labels      = { severity = "warning" }
    annotations = { summary = "As a client sees it, {{ $labels.operation }} at {{ $labels.instance }} fails" }
    diagnose    = [diagnoser.etcd.main]
  }
}

rules "etcd_speed" {
  alert "etcdMemberCommunicationSlow" {
    expr        = "histogram_quantile(0.99, rate(etcd_network_peer_round_trip_time_seconds_bucket[5m])) > 0.15"
    for         = "10m"
    labels      = { severity = "warning" }
    annotations = { summary = "{{ $labels.instance }} reaches its peer {{ $labels.To }} in {{ $value | humanizeDuration }}" }
    diagnose    = [diagnoser.etcd.main]
  }

  alert "etcdHighNumberOfFailedProposals" {
    expr        = "rate(etcd_server_proposals_failed_total[15m]) > 5"
    for         = "15m"
    labels      = { severity = "warning" }
    annotations = { summary = "{{ $value | humanize }} proposals a second fail on {{ $labels.instance }}" }
    diagnose    = [diagnoser.etcd.main]
  }

  alert "etcdHighFsyncDurationsWarning" {
    name        = "etcdHighFsyncDurations"
    expr        = "histogram_quantile(0.99, rate(etcd_disk_wal_fsync_duration_seconds_bucket[5m])) > 0.5"
    for         = "10m"
    labels      = { severity = "warning" }
    annotations = { summary = "The disk of {{ $labels.instance }} takes {{ $value | humanizeDuration }} to write the log: leaders are lost over less" }
    diagnose    = [diagnoser.etcd.main]
  }

  alert "etcdHighFsyncDurationsCritical" {
    name        = "etcdHighFsyncDurations"
    expr        = "histogram_quantile(0.99, rate(etcd_disk_wal_fsync_duration_seconds_bucket[5m])) > 1"
    for         = "10m"
    labels      = { severity = "critical" }
    annotations = { summary = "The disk of {{ $labels.instance }} takes {{ $value | humanizeDuration }} to write the log: leaders are lost over less" }
    diagnose    = [diagnoser.etcd.main]
  }

  alert "etcdHighCommitDurations" {
    expr        = "histogram_quantile(0.99, rate(etcd_disk_backend_commit_duration_seconds_bucket[5m])) > 0.25"
    for         = "10m"
    labels      = { severity = "warning" }
    annotations = { summary = "The disk of {{ $labels.instance }} takes {{ $value | humanizeDuration }} to write the database" }
    diagnose    = [diagnoser.etcd.main]
  }

  alert "etcdAppliedLag" {
    expr        = "etcd_status_raft_index - etcd_status_raft_applied_index > 1000"
    for         = "2m"
    labels      = { severity = "warning" }
    annotations = { summary = "{{ $labels.instance }} is {{ $value }} entries behind its own log: at 5,000 it refuses requests" }
    diagnose    = [diagnoser.etcd.main]
  }

  alert "etcdFollowerBehind" {
    expr        = "etcd_status_raft_index - ignoring (instance) group_left () max without (instance) (etcd_status_raft_index) < -5000"
    for         = "5m"
    labels      = { severity = "warning" }
    annotations = { summary = "{{ $labels.instance }} is far behind the leader of etcd {{ $labels.cluster }}: {{ $value }} entries" }
    diagnose    = [diagnoser.etcd.main]
  }
}

rules "etcd_data" {
  # NOSPACE: no more writes until it is compacted, defragmented and disarmed. CORRUPT: members disagree.
  alert "etcdAlarm" {
    expr        = "max without (instance) (etcd_status_alarms) > 0"
    labels      = { severity = "critical" }
    annotations = { summary = "etcd {{ $labels.cluster }} has raised its alarm {{ $labels.alarm }}" }
    diagnose    = [diagnoser.etcd.main]
  }

  alert "etcdDataDiffer" {
    expr        = "etcd_hash_differs == 1"
    labels      = { severity = "critical" }
    annotations = { summary = "The data of {{ $labels.instance }} differ from those of the other members of etcd {{ $labels.cluster }}" }
    diagnose    = [diagnoser.etcd.main]
  }

  alert "etcdDatabaseQuotaLowSpace" {
    expr        = "last_over_time(etcd_mvcc_db_total_size_in_bytes[5m]) / last_over_time(etcd_server_quota_backend_bytes[5m]) > 0.95"
    for         = "10m"
    labels      = { severity = "critical" }
    annotations = { summary = "The database of {{ $labels.instance }} is at {{ $value | humanizePercentage }} of its quota: at 100 % it takes no more writes. Compact and defragment it" }
    diagnose    = [diagnoser.etcd.main]
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
    diagnose    = [diagnoser.etcd.main]
  }

  alert "etcdDatabaseHighFragmentationRatio" {
    expr        = "etcd_mvcc_db_total_size_in_use_in_bytes / etcd_mvcc_db_total_size_in_bytes < 0.5 and etcd_mvcc_db_total_size_in_use_in_bytes > 100 * 1024 * 1024"
    for         = "10m"
    labels      = { severity = "warning" }
    annotations = { summary = "{{ $value | humanizePercentage }} of the database file of {{ $labels.instance }} is in use: a defragmentation frees the rest" }
    diagnose    = [diagnoser.etcd.main]
  }
}

rules "etcd_certificates" {
  alert "etcdCertificateExpiresWarning" {
    name        = "etcdCertificateExpires"
    expr        = "etcd_certificate_expiry_timestamp_seconds - time() < 14 * 86400"
    for         = "10m"
    labels      = { severity = "warning" }
    annotations = { summary = "The certificate of the {{ $labels.url }} URL of {{ $labels.instance }} expires in {{ $value | humanizeDuration }}" }
    diagnose    = [diagnoser.etcd.main]
  }

  alert "etcdCertificateExpiresCritical" {
    name        = "etcdCertificateExpires"
    expr        = "etcd_certificate_expiry_timestamp_seconds - time() < 2 * 86400"
    for         = "10m"
    labels      = { severity = "critical" }
    annotations = { summary = "The certificate of the {{ $labels.url }} URL of {{ $labels.instance }} expires in {{ $value | humanizeDuration }}" }
    diagnose    = [diagnoser.etcd.main]
  }
}
