# What the log of a member says and no page: where a cluster has log = { path, member }.

rules "etcd_log" {
  store  = var.store
  labels = var.alert_labels

  alert "etcdLogDataDamaged" {
    expr   = "increase(etcd_log_pattern_total{pattern=~'crc mismatch|failed to list data directory'}[10m]) > 0"
    labels = { severity = "critical" }
    annotations = {
      summary     = "{{ $labels.instance }} of etcd {{ $labels.cluster }} says in its log: {{ $labels.pattern }}"
      description = "The member cannot read its own data: a file is damaged (crc mismatch), or permissions, owner or mount of the directory are wrong. It does not start, or stops."
      action      = "The diagnosis has the lines and looks at the directory. Damaged files are not repaired: replace the member from the others."
    }
    diagnose = [diagnoser.etcd.main]
  }

  alert "etcdLogComplains" {
    expr   = "increase(etcd_log_pattern_total{pattern=~'slow fdatasync|lost leader|apply request took too long'}[15m]) > ${var.thresholds.log_lines}"
    for    = "5m"
    labels = { severity = "warning" }
    annotations = {
      summary     = "{{ $labels.instance }} of etcd {{ $labels.cluster }} said {{ $value | humanize }} times in 15 minutes: {{ $labels.pattern }}"
      description = "The member itself finds its disk slow, its requests slow, or loses its leader, again and again."
      action      = "The diagnosis has the lines. Look at the disk first, then at large requests, then at the network between members."
    }
    diagnose = [diagnoser.etcd.main]
  }
}
