# Disks, peers, and members that do not keep up.

rules "etcd_speed" {
  store  = var.store
  labels = var.alert_labels

  alert "etcdMemberCommunicationSlow" {
    expr   = "histogram_quantile(0.99, rate(etcd_network_peer_round_trip_time_seconds_bucket[5m])) > ${var.thresholds.peer_seconds}"
    for    = "10m"
    labels = { severity = "warning" }
    annotations = {
      summary     = "{{ $labels.instance }} reaches its peer {{ $labels.To }} in {{ $value | humanizeDuration }}"
      description = "A round trip between two members takes long. Each write waits for one, and elections begin at the election timeout."
      action      = "Look at the network between the two, and raise --heartbeat-interval and --election-timeout if they are far apart on purpose."
    }
    diagnose = [diagnoser.etcd.main]
  }

  alert "etcdHighNumberOfFailedProposals" {
    expr   = "rate(etcd_server_proposals_failed_total[15m]) > ${var.thresholds.failed_proposals}"
    for    = "15m"
    labels = { severity = "warning" }
    annotations = {
      summary     = "{{ $value | humanize }} proposals a second fail on {{ $labels.instance }}"
      description = "Proposals fail in numbers: there is no leader for a while, or the quorum is not reached."
      action      = "See the leader alerts; without them, look for a member that is too slow to follow."
    }
    diagnose = [diagnoser.etcd.main]
  }

  alert "etcdHighFsyncDurationsWarning" {
    name   = "etcdHighFsyncDurations"
    expr   = "histogram_quantile(0.99, rate(etcd_disk_wal_fsync_duration_seconds_bucket[5m])) > ${var.thresholds.fsync_seconds_warning}"
    for    = "10m"
    labels = { severity = "warning" }
    annotations = {
      summary     = "The disk of {{ $labels.instance }} takes {{ $value | humanizeDuration }} to write the log: leaders are lost over less"
      description = "The log on disk is written slowly. A leader that waits for its disk misses its heartbeats."
      action      = "Find what shares the disk; give the log a disk of its own, or a faster one."
    }
    diagnose = [diagnoser.etcd.main]
  }

  alert "etcdHighFsyncDurationsCritical" {
    name   = "etcdHighFsyncDurations"
    expr   = "histogram_quantile(0.99, rate(etcd_disk_wal_fsync_duration_seconds_bucket[5m])) > ${var.thresholds.fsync_seconds_critical}"
    for    = "10m"
    labels = { severity = "critical" }
    annotations = {
      summary     = "The disk of {{ $labels.instance }} takes {{ $value | humanizeDuration }} to write the log: leaders are lost over less"
      description = "The log on disk is written so slowly that the leader is about to be lost."
      action      = "Move the leader to another member, then look at the disk."
    }
    diagnose = [diagnoser.etcd.main]
  }

  alert "etcdHighCommitDurations" {
    expr   = "histogram_quantile(0.99, rate(etcd_disk_backend_commit_duration_seconds_bucket[5m])) > ${var.thresholds.commit_seconds}"
    for    = "10m"
    labels = { severity = "warning" }
    annotations = {
      summary     = "The disk of {{ $labels.instance }} takes {{ $value | humanizeDuration }} to write the database"
      description = "The database is written slowly: the disk, or transactions that are very large."
      action      = "As for fsync times; if those are well, look for large transactions and a large database."
    }
    diagnose = [diagnoser.etcd.main]
  }

  alert "etcdAppliedLag" {
    expr   = "etcd_status_raft_index - etcd_status_raft_applied_index > ${var.thresholds.applied_lag}"
    for    = "2m"
    labels = { severity = "warning" }
    annotations = {
      summary     = "{{ $labels.instance }} is {{ $value }} entries behind its own log: at 5,000 it refuses requests"
      description = "The member has agreed to entries that it has not applied. At 5,000 it refuses requests with too many requests."
      action      = "Look for a defragmentation, a large range or a slow disk at this member."
    }
    diagnose = [diagnoser.etcd.main]
  }

  alert "etcdFollowerBehind" {
    expr   = "etcd_status_raft_index - ignoring (instance) group_left () max without (instance) (etcd_status_raft_index) < -${var.thresholds.follower_lag}"
    for    = "5m"
    labels = { severity = "warning" }
    annotations = {
      summary     = "{{ $labels.instance }} is far behind the leader of etcd {{ $labels.cluster }}: {{ $value }} entries"
      description = "A follower is thousands of entries behind the leader: it is slow, or cut off. Further behind it needs a whole snapshot."
      action      = "Look at its disk and at the way from the leader to it."
    }
    diagnose = [diagnoser.etcd.main]
  }
}
