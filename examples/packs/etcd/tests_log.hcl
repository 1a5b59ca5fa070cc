# Of each rule in rules_log.hcl: what must not make it fire, and what must.

test "etcdLogDataDamaged" {
  series = <<-SERIES
    etcd_log_pattern_total{job='etcd', cluster='x', instance='a', pattern='crc mismatch'} 0x10 1x30
    etcd_log_pattern_total{job='etcd', cluster='x', instance='a', pattern='lost leader'} 0+1x40
  SERIES
  expect "10m" {
    firing  = []
    pending = []
  }
  expect "12m" {
    firing = ["etcdLogDataDamaged"]
    alert "etcdLogDataDamaged" {
      labels      = { pattern = "crc mismatch", severity = "critical" }
      annotations = { summary = "a of etcd x says in its log: crc mismatch" }
    }
  }
  expect "30m" { firing = [] }
}

test "etcdLogComplains" {
  series = <<-SERIES
    etcd_log_pattern_total{job='etcd', cluster='x', instance='a', pattern='slow fdatasync'} 0+1x20 20+6x40
    etcd_log_pattern_total{job='etcd', cluster='x', instance='b', pattern='lost leader'} 0+1x60
  SERIES
  expect "20m" {
    firing  = []
    pending = []
  }
  expect "45m" {
    firing = ["etcdLogComplains"]
    alert "etcdLogComplains" {
      labels = { instance = "a", pattern = "slow fdatasync", severity = "warning" }
    }
  }
}
