# Of each rule in rules_speed.hcl: what must not make it fire, and what must.

test "etcdMemberCommunicationSlow" {
  series = <<-SERIES
    etcd_network_peer_round_trip_time_seconds_bucket{job='etcd', cluster='x', instance='a', To='b', le='0.1'} 0+10x20 200x40
    etcd_network_peer_round_trip_time_seconds_bucket{job='etcd', cluster='x', instance='a', To='b', le='0.4'} 0+10x60
    etcd_network_peer_round_trip_time_seconds_bucket{job='etcd', cluster='x', instance='a', To='b', le='+Inf'} 0+10x60
  SERIES
  expect "20m" {
    firing  = []
    pending = []
  }
  expect "50m" {
    firing = ["etcdMemberCommunicationSlow"]
    alert "etcdMemberCommunicationSlow" {
      labels = { severity = "warning" }
    }
  }
}

test "etcdHighNumberOfFailedProposals" {
  series = <<-SERIES
    etcd_server_proposals_failed_total{job='etcd', cluster='x', instance='a'} 0+1x20 20+600x60
  SERIES
  expect "20m" {
    firing  = []
    pending = []
  }
  expect "70m" {
    firing = ["etcdHighNumberOfFailedProposals"]
    alert "etcdHighNumberOfFailedProposals" {
      labels = { severity = "warning" }
    }
  }
}

test "etcdHighFsyncDurationsWarning" {
  series = <<-SERIES
    etcd_disk_wal_fsync_duration_seconds_bucket{job='etcd', cluster='x', instance='a', le='0.1'} 0+100x20 2000x40
    etcd_disk_wal_fsync_duration_seconds_bucket{job='etcd', cluster='x', instance='a', le='0.8'} 0+100x60
    etcd_disk_wal_fsync_duration_seconds_bucket{job='etcd', cluster='x', instance='a', le='+Inf'} 0+100x60
  SERIES
  expect "20m" {
    firing  = []
    pending = []
  }
  expect "50m" {
    firing = ["etcdHighFsyncDurations"]
    alert "etcdHighFsyncDurations" {
      labels = { severity = "warning" }
    }
  }
}

test "etcdHighFsyncDurationsCritical" {
  series = <<-SERIES
    etcd_disk_wal_fsync_duration_seconds_bucket{job='etcd', cluster='x', instance='a', le='0.1'} 0+100x20 2000x40
    etcd_disk_wal_fsync_duration_seconds_bucket{job='etcd', cluster='x', instance='a', le='4'} 0+100x60
    etcd_disk_wal_fsync_duration_seconds_bucket{job='etcd', cluster='x', instance='a', le='+Inf'} 0+100x60
  SERIES
  expect "20m" {
    firing  = []
    pending = []
  }
  expect "50m" {
    firing = ["etcdHighFsyncDurations"]
    alert "etcdHighFsyncDurations" {
      labels = { severity = "critical" }
    }
  }
}

test "etcdHighCommitDurations" {
  series = <<-SERIES
    etcd_disk_backend_commit_duration_seconds_bucket{job='etcd', cluster='x', instance='a', le='0.1'} 0+100x20 2000x40
    etcd_disk_backend_commit_duration_seconds_bucket{job='etcd', cluster='x', instance='a', le='0.8'} 0+100x60
    etcd_disk_backend_commit_duration_seconds_bucket{job='etcd', cluster='x', instance='a', le='+Inf'} 0+100x60
  SERIES
  expect "20m" {
    firing  = []
    pending = []
  }
  expect "50m" {
    firing = ["etcdHighCommitDurations"]
    alert "etcdHighCommitDurations" {
      labels = { severity = "warning" }
    }
  }
}

test "etcdAppliedLag" {
  series = <<-SERIES
    etcd_status_raft_index{job='etcd', cluster='x', instance='a'} 10000x40
    etcd_status_raft_applied_index{job='etcd', cluster='x', instance='a'} 9990x10 8000x30
  SERIES
  expect "10m" {
    firing  = []
    pending = []
  }
  expect "20m" {
    firing = ["etcdAppliedLag"]
    alert "etcdAppliedLag" {
      labels = { severity = "warning" }
    }
  }
}

test "etcdFollowerBehind" {
  series = <<-SERIES
    etcd_status_raft_index{job='etcd', cluster='x', instance='a'} 10000+1000x40
    etcd_status_raft_index{job='etcd', cluster='x', instance='b'} 10000+1000x10 20000x30
  SERIES
  expect "10m" {
    firing  = []
    pending = []
  }
  expect "30m" {
    firing = ["etcdFollowerBehind"]
    alert "etcdFollowerBehind" {
      labels = { severity = "warning" }
    }
  }
}
