# Space, data that differ, and certificates.

rules "etcd_data" {
  store  = var.store
  labels = var.alert_labels

  # NOSPACE: no more writes until it is compacted, defragmented and disarmed. CORRUPT: members disagree.
  alert "etcdAlarm" {
    expr   = "max without (instance) (etcd_status_alarms) > 0"
    labels = { severity = "critical" }
    annotations = {
      summary     = "etcd {{ $labels.cluster }} has raised its alarm {{ $labels.alarm }}"
      description = "NOSPACE: the quota is reached, and writes are refused until there is space and the alarm is disarmed. CORRUPT: etcd's own check found that members differ."
      action      = "NOSPACE: compact, defragment the followers, then the leader, disarm. CORRUPT: replace the member that differs, then disarm."
    }
    diagnose = [diagnoser.etcd.main]
  }

  alert "etcdDataDiffer" {
    expr   = "etcd_hash_differs == 1"
    labels = { severity = "critical" }
    annotations = {
      summary     = "The data of {{ $labels.instance }} differ from those of the other members of etcd {{ $labels.cluster }}"
      description = "At one revision, compacted to the same, the member's data have another hash than the others', twice. What a client reads depends on whom it asks."
      action      = "Take the member out and add it anew with an empty directory. Take a snapshot of a good member first."
    }
    diagnose = [diagnoser.etcd.main]
  }

  alert "etcdDatabaseQuotaLowSpace" {
    expr   = "last_over_time(etcd_mvcc_db_total_size_in_bytes[5m]) / last_over_time(etcd_server_quota_backend_bytes[5m]) > ${var.thresholds.quota_share}"
    for    = "10m"
    labels = { severity = "critical" }
    annotations = {
      summary     = "The database of {{ $labels.instance }} is at {{ $value | humanizePercentage }} of its quota: at 100 % it takes no more writes. Compact and defragment it"
      description = "The database is nearly at its quota. There the cluster takes no more writes."
      action      = "Compact and defragment now, while it is still easy; then see what grows, or raise the quota on every member."
    }
    diagnose = [diagnoser.etcd.main]
  }

  # A trend needs a past: the last term holds only where samples reach back three hours.
  alert "etcdExcessiveDatabaseGrowth" {
    expr   = <<-PROMQL
      predict_linear(etcd_mvcc_db_total_size_in_bytes[4h], ${var.quota_hours} * 3600) > etcd_server_quota_backend_bytes
        and count_over_time(etcd_mvcc_db_total_size_in_bytes[1h] offset 3h) > 0
    PROMQL
    for    = "10m"
    labels = { severity = "warning" }
    annotations = {
      summary     = "The database of {{ $labels.instance }} reaches its quota within ${var.quota_hours} hours if it goes on like this"
      description = "The database file reaches its quota within hours if it goes on growing as in the last four."
      action      = "Find what writes (keys by prefix are in the diagnosis), and whether compaction is on."
    }
    diagnose = [diagnoser.etcd.main]
  }

  # In a day of what is in use, which falls with each compaction, at least six hours: less is no trend of days.
  record "etcd:quota_full:seconds" {
    expr = <<-PROMQL
      (etcd_server_quota_backend_bytes - etcd_mvcc_db_total_size_in_use_in_bytes)
        / (deriv(etcd_mvcc_db_total_size_in_use_in_bytes[1d]) > 0)
        and count_over_time(etcd_mvcc_db_total_size_in_use_in_bytes[1h] offset 6h) > 0
    PROMQL
  }

  alert "etcdQuotaFullSoon" {
    expr   = "etcd:quota_full:seconds < ${var.quota_days} * 86400"
    for    = "1h"
    labels = { severity = "warning" }
    annotations = {
      summary     = "What {{ $labels.instance }} stores fills its quota in {{ $value | humanizeDuration }} if it grows as it did today"
      description = "What is stored, without free pages, grows such that it fills the quota within days: no compaction and no defragmentation helps against that."
      action      = "Find the prefix that grows and who should delete there, or raise --quota-backend-bytes on every member in time."
    }
    diagnose = [diagnoser.etcd.main]
  }

  alert "etcdDatabaseHighFragmentationRatio" {
    expr   = "etcd_mvcc_db_total_size_in_use_in_bytes / etcd_mvcc_db_total_size_in_bytes < ${var.thresholds.in_use_share} and etcd_mvcc_db_total_size_in_use_in_bytes > 100 * 1024 * 1024"
    for    = "10m"
    labels = { severity = "warning" }
    annotations = {
      summary     = "{{ $value | humanizePercentage }} of the database file of {{ $labels.instance }} is in use: a defragmentation frees the rest"
      description = "More than the given share of the database file is free pages. Later writes use them; until then they count against the quota."
      action      = "Defragment when it is quiet: followers first, the leader last, one at a time. The member answers nobody meanwhile."
    }
    diagnose = [diagnoser.etcd.main]
  }
}

rules "etcd_certificates" {
  store  = var.store
  labels = var.alert_labels

  alert "etcdCertificateExpiresWarning" {
    name   = "etcdCertificateExpires"
    expr   = "etcd_certificate_expiry_timestamp_seconds - time() < ${var.thresholds.certificate_days_warning} * 86400"
    for    = "10m"
    labels = { severity = "warning" }
    annotations = {
      summary     = "The certificate of the {{ $labels.url }} URL of {{ $labels.instance }} expires in {{ $value | humanizeDuration }}"
      description = "A certificate that the member shows to clients or peers expires within weeks."
      action      = "Renew it. etcd reads the new files at the next handshake, without a restart."
    }
    diagnose = [diagnoser.etcd.main]
  }

  alert "etcdCertificateExpiresCritical" {
    name   = "etcdCertificateExpires"
    expr   = "etcd_certificate_expiry_timestamp_seconds - time() < ${var.thresholds.certificate_days_critical} * 86400"
    for    = "10m"
    labels = { severity = "critical" }
    annotations = {
      summary     = "The certificate of the {{ $labels.url }} URL of {{ $labels.instance }} expires in {{ $value | humanizeDuration }}"
      description = "A certificate that the member shows expires within days: then nobody connects any more, and what is connected stays only until it breaks."
      action      = "Renew it today."
    }
    diagnose = [diagnoser.etcd.main]
  }
}
