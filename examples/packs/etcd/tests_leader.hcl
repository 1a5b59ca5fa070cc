# Of each rule in rules_leader.hcl: what must not make it fire, and what must.

test "etcdNoLeader" {
  series = <<-SERIES
    etcd_server_has_leader{job='etcd', cluster='x', instance='a'} 1x10 0x30
    etcd_server_has_leader{job='etcd', cluster='x', instance='b'} 1x40
  SERIES
  expect "10m" {
    firing  = []
    pending = []
  }
  expect "15m" {
    firing = ["etcdNoLeader"]
    alert "etcdNoLeader" {
      labels = { severity = "critical" }
    }
  }
}

test "etcdLeadersDisagree" {
  series = <<-SERIES
    etcd_status_leader{job='etcd', cluster='x', instance='a', leader='1'} 1x40
    etcd_status_leader{job='etcd', cluster='x', instance='b', leader='1'} 1x10 _x30
    etcd_status_leader{job='etcd', cluster='x', instance='b', leader='2'} _x11 1x29
  SERIES
  expect "10m" {
    firing  = []
    pending = []
  }
  expect "16m" {
    firing = ["etcdLeadersDisagree"]
    alert "etcdLeadersDisagree" {
      labels = { severity = "critical" }
    }
  }
}

test "etcdTermsDiffer" {
  series = <<-SERIES
    etcd_status_raft_term{job='etcd', cluster='x', instance='a'} 4x10 5x30
    etcd_status_raft_term{job='etcd', cluster='x', instance='b'} 4x40
  SERIES
  expect "10m" {
    firing  = []
    pending = []
  }
  expect "20m" {
    firing = ["etcdTermsDiffer"]
    alert "etcdTermsDiffer" {
      labels = { severity = "warning" }
    }
  }
}

test "etcdHighNumberOfLeaderChanges" {
  series = <<-SERIES
    etcd_server_leader_changes_seen_total{job='etcd', cluster='x', instance='a'} 1x30 2+1x30
  SERIES
  expect "30m" {
    firing  = []
    pending = []
  }
  expect "50m" {
    firing = ["etcdHighNumberOfLeaderChanges"]
    alert "etcdHighNumberOfLeaderChanges" {
      labels = { severity = "warning" }
    }
  }
}
