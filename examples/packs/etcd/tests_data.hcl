# Of each rule in rules_data.hcl: what must not make it fire, and what must.

test "etcdAlarm" {
  series = <<-SERIES
    etcd_status_alarms{job='etcd', cluster='x', instance='a', alarm='NOSPACE'} 0x10 1x30
    etcd_status_alarms{job='etcd', cluster='x', instance='a', alarm='CORRUPT'} 0x40
  SERIES
  expect "10m" {
    firing  = []
    pending = []
  }
  expect "15m" {
    firing = ["etcdAlarm"]
    alert "etcdAlarm" {
      labels = { severity = "critical" }
    }
  }
}

test "etcdDataDiffer" {
  series = <<-SERIES
    etcd_hash_differs{job='etcd', cluster='x', instance='a'} 0x40
    etcd_hash_differs{job='etcd', cluster='x', instance='b'} 0x10 1x30
  SERIES
  expect "10m" {
    firing  = []
    pending = []
  }
  expect "15m" {
    firing = ["etcdDataDiffer"]
    alert "etcdDataDiffer" {
      labels = { severity = "critical" }
    }
  }
}

test "etcdDatabaseQuotaLowSpace" {
  series = <<-SERIES
    etcd_mvcc_db_total_size_in_bytes{job='etcd', cluster='x', instance='a'} 900x10 960x40
    etcd_server_quota_backend_bytes{job='etcd', cluster='x', instance='a'} 1000x50
  SERIES
  expect "10m" {
    firing  = []
    pending = []
  }
  expect "30m" {
    firing = ["etcdDatabaseQuotaLowSpace"]
    alert "etcdDatabaseQuotaLowSpace" {
      labels = { severity = "critical" }
    }
  }
}

test "etcdExcessiveDatabaseGrowth" {
  interval = "10m"
  series   = <<-SERIES
    etcd_mvcc_db_total_size_in_bytes{job='etcd', cluster='x', instance='a'} 0+100x30
    etcd_server_quota_backend_bytes{job='etcd', cluster='x', instance='a'} 5000x30
  SERIES
  expect "170m" {
    firing  = []
    pending = []
  }
  expect "290m" {
    firing = ["etcdExcessiveDatabaseGrowth"]
    alert "etcdExcessiveDatabaseGrowth" {
      labels = { severity = "warning" }
    }
  }
}

test "etcdDatabaseHighFragmentationRatio" {
  series = <<-SERIES
    etcd_mvcc_db_total_size_in_use_in_bytes{job='etcd', cluster='x', instance='a'} 200000000x50
    etcd_mvcc_db_total_size_in_bytes{job='etcd', cluster='x', instance='a'} 300000000x10 900000000x40
  SERIES
  expect "10m" {
    firing  = []
    pending = []
  }
  expect "30m" {
    firing = ["etcdDatabaseHighFragmentationRatio"]
    alert "etcdDatabaseHighFragmentationRatio" {
      labels = { severity = "warning" }
    }
  }
}

test "etcdCertificateExpiresWarning" {
  series = <<-SERIES
    etcd_certificate_expiry_timestamp_seconds{job='etcd', cluster='x', instance='a', url='peer'} 1210800x60
  SERIES
  expect "5m" {
    firing  = []
    pending = []
  }
  expect "50m" {
    firing = ["etcdCertificateExpires"]
    alert "etcdCertificateExpires" {
      labels = { severity = "warning" }
    }
  }
}

test "etcdCertificateExpiresCritical" {
  series = <<-SERIES
    etcd_certificate_expiry_timestamp_seconds{job='etcd', cluster='x', instance='a', url='client'} 2000000x10 100000x50
  SERIES
  expect "10m" {
    firing  = []
    pending = []
  }
  expect "50m" {
    firing = ["etcdCertificateExpires"]
    alert "etcdCertificateExpires" {
      labels = { severity = "critical" }
    }
  }
}

test "etcdQuotaFullSoon" {
  interval = "15m"
  series   = <<-SERIES
    etcd_server_quota_backend_bytes{job='etcd', cluster='x', instance='fills'} 2147483648x60
    etcd_mvcc_db_total_size_in_use_in_bytes{job='etcd', cluster='x', instance='fills'} 1000000000+5000000x60
    etcd_server_quota_backend_bytes{job='etcd', cluster='x', instance='plenty'} 8589934592x60
    etcd_mvcc_db_total_size_in_use_in_bytes{job='etcd', cluster='x', instance='plenty'} 1000000000+5000000x60
    etcd_server_quota_backend_bytes{job='etcd', cluster='x', instance='compacted'} 2147483648x60
    etcd_mvcc_db_total_size_in_use_in_bytes{job='etcd', cluster='x', instance='compacted'} 1000000000+5000000x4 1000000000+5000000x4 1000000000+5000000x4 1000000000+5000000x4 1000000000+5000000x4 1000000000+5000000x4 1000000000+5000000x4 1000000000+5000000x4 1000000000+5000000x4 1000000000+5000000x4 1000000000+5000000x4 1000000000+5000000x4
  SERIES
  expect "5h" {
    firing  = []
    pending = []
  }
  expect "10h" {
    firing = ["etcdQuotaFullSoon"]
    alert "etcdQuotaFullSoon" {
      labels      = { instance = "fills", severity = "warning" }
      annotations = { summary = "What fills stores fills its quota in 1d 23h 22m 27s if it grows as it did today" }
    }
  }
}
