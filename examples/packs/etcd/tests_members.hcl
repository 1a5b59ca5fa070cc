# Of each rule in rules_members.hcl: what must not make it fire, and what must.

test "etcdMembersDown" {
  series = <<-SERIES
    up{job='etcd', cluster='x', instance='a'} 1x10 0x30
    up{job='etcd', cluster='x', instance='b'} 1x40
    up{job='etcd', cluster='x', instance='c'} 1x40
    up{job='node', instance='a'} 0x40
  SERIES
  expect "10m" {
    firing  = []
    pending = []
  }
  expect "15m" {
    firing = ["etcdMembersDown"]
    alert "etcdMembersDown" {
      labels = { severity = "warning" }
    }
  }
}

test "etcdInsufficientMembers" {
  series = <<-SERIES
    up{job='etcd', cluster='x', instance='a'} 1x40
    up{job='etcd', cluster='x', instance='b'} 1x10 0x30
    up{job='etcd', cluster='x', instance='c'} 1x10 0x30
    up{job='etcd', cluster='learners', instance='d'} 1x40
    up{job='etcd', cluster='learners', instance='e'} 0x40
    up{job='etcd', cluster='learners', instance='f'} 0x40
    etcd_member_learner{job='etcd', cluster='learners', instance='e'} 1x40
    etcd_member_learner{job='etcd', cluster='learners', instance='f'} 1x40
  SERIES
  expect "15m" {
    firing = ["etcdInsufficientMembers", "etcdMembersDown"]
    alert "etcdInsufficientMembers" {
      labels = { severity = "critical" }
    }
  }
}

test "etcdPeerUnreachable" {
  series = <<-SERIES
    up{job='etcd', cluster='x', instance='a'} 1x60
    etcd_network_peer_sent_failures_total{job='etcd', cluster='x', instance='a', To='b'} 0x10 0+60x50
    up{job='etcd', cluster='y', instance='p'} 1x60
    up{job='etcd', cluster='y', instance='q'} 0x60
    etcd_network_peer_sent_failures_total{job='etcd', cluster='y', instance='p', To='q'} 0+60x60
  SERIES
  expect "30m" {
    firing = ["etcdInsufficientMembers", "etcdMembersDown", "etcdPeerUnreachable"]
    alert "etcdPeerUnreachable" {
      labels = { severity = "warning" }
    }
  }
}

test "etcdMemberNeverStarted" {
  series = <<-SERIES
    etcd_member_started{job='etcd', cluster='x', instance='a'} 1x10 0x40
  SERIES
  expect "10m" {
    firing  = []
    pending = []
  }
  expect "30m" {
    firing = ["etcdMemberNeverStarted"]
    alert "etcdMemberNeverStarted" {
      labels = { severity = "warning" }
    }
  }
}

test "etcdLearnerStuck" {
  interval = "5m"
  series   = <<-SERIES
    etcd_member_learner{job='etcd', cluster='x', instance='a'} 0x2 1x16
  SERIES
  expect "10m" {
    firing  = []
    pending = []
  }
  expect "80m" {
    firing = ["etcdLearnerStuck"]
    alert "etcdLearnerStuck" {
      labels = { severity = "warning" }
    }
  }
}

test "etcdPeerURLUnanswered" {
  series = <<-SERIES
    etcd_status_success{job='etcd', cluster='x', instance='a'}                            1x60
    etcd_status_success{job='etcd', cluster='x', instance='b'}                            1x60
    etcd_peer_url_answers{job='etcd', cluster='x', instance='a', peer_url='http://a:2380'} 1x60
    etcd_peer_url_answers{job='etcd', cluster='x', instance='b', peer_url='http://b:2380'} 1x20 0x40
    etcd_status_success{job='etcd', cluster='walled', instance='c'}                            1x60
    etcd_peer_url_answers{job='etcd', cluster='walled', instance='c', peer_url='http://c:2380'} 0x60
  SERIES
  expect "20m" {
    firing  = []
    pending = []
  }
  expect "40m" {
    firing = ["etcdPeerURLUnanswered"]
    alert "etcdPeerURLUnanswered" {
      labels = { severity = "warning", instance = "b" }
    }
  }
}

test "etcdEvenNumberOfVoters" {
  interval = "5m"
  series   = <<-SERIES
    etcd_member_learner{job='etcd', cluster='x', instance='a'} 0x18
    etcd_member_learner{job='etcd', cluster='x', instance='b'} 0x18
    etcd_member_learner{job='etcd', cluster='x', instance='c'} 0x2 1x16
  SERIES
  expect "10m" {
    firing  = []
    pending = []
  }
  expect "80m" {
    firing = ["etcdEvenNumberOfVoters", "etcdLearnerStuck"]
    alert "etcdEvenNumberOfVoters" {
      labels = { severity = "info" }
    }
  }
}

test "etcdVersionsDiffer" {
  interval = "10m"
  series   = <<-SERIES
    etcd_status_info{job='etcd', cluster='x', instance='a', version='3.6.0'} 1x42
    etcd_status_info{job='etcd', cluster='x', instance='b', version='3.6.0'} 1x1 _x41
    etcd_status_info{job='etcd', cluster='x', instance='b', version='3.7.3'} _x2 1x40
  SERIES
  expect "10m" {
    firing  = []
    pending = []
  }
  expect "400m" {
    firing = ["etcdVersionsDiffer"]
    alert "etcdVersionsDiffer" {
      labels = { severity = "info" }
    }
  }
}

test "etcdStatusUnanswered" {
  series = <<-SERIES
    etcd_status_success{job='etcd', cluster='x', instance='a'} 1x10 0x30
    up{job='etcd', cluster='x', instance='a'} 1x40
  SERIES
  expect "10m" {
    firing  = []
    pending = []
  }
  expect "20m" {
    firing = ["etcdStatusUnanswered"]
    alert "etcdStatusUnanswered" {
      labels = { severity = "warning" }
    }
  }
}

test "etcdUnhealthy" {
  series = <<-SERIES
    etcd_health{job='etcd', cluster='x', instance='a'} 1x10 0x30
    up{job='etcd', cluster='x', instance='a'} 1x40
  SERIES
  expect "10m" {
    firing  = []
    pending = []
  }
  expect "20m" {
    firing = ["etcdUnhealthy"]
    alert "etcdUnhealthy" {
      labels = { severity = "warning" }
    }
  }
}
