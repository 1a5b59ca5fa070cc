# Each rule: what must not make it fire, and what must. `magpie test examples/03-etcd-rules` runs them.

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
  series = <<-SERIES
    etcd_member_learner{job='etcd', cluster='x', instance='a'} 0x10 1x80
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

test "etcdEvenNumberOfVoters" {
  series = <<-SERIES
    etcd_member_learner{job='etcd', cluster='x', instance='a'} 0x90
    etcd_member_learner{job='etcd', cluster='x', instance='b'} 0x90
    etcd_member_learner{job='etcd', cluster='x', instance='c'} 0x10 1x80
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
  series = <<-SERIES
    etcd_status_info{job='etcd', cluster='x', instance='a', version='3.6.0'} 1x420
    etcd_status_info{job='etcd', cluster='x', instance='b', version='3.6.0'} 1x10 _x410
    etcd_status_info{job='etcd', cluster='x', instance='b', version='3.7.3'} _x11 1x409
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

test "etcdHighNumberOfFailedGRPCRequestsWarning" {
  series = <<-SERIES
    grpc_server_handled_total{job='etcd', cluster='x', instance='a', grpc_method='Range', grpc_code='OK'} 0+6000x60
    grpc_server_handled_total{job='etcd', cluster='x', instance='a', grpc_method='Range', grpc_code='Unavailable'} 0+1x20 200+180x40
    grpc_server_handled_total{job='etcd', cluster='x', instance='a', grpc_method='Watch', grpc_code='Unavailable'} 0+600x60
  SERIES
  expect "20m" {
    firing  = []
    pending = []
  }
  expect "45m" {
    firing = ["etcdHighNumberOfFailedGRPCRequests"]
    alert "etcdHighNumberOfFailedGRPCRequests" {
      labels = { severity = "warning" }
    }
  }
}

test "etcdHighNumberOfFailedGRPCRequestsCritical" {
  series = <<-SERIES
    grpc_server_handled_total{job='etcd', cluster='x', instance='a', grpc_method='Put', grpc_code='OK'} 0+600x60
    grpc_server_handled_total{job='etcd', cluster='x', instance='a', grpc_method='Put', grpc_code='ResourceExhausted'} 0x20 300+300x40
  SERIES
  expect "20m" {
    firing  = []
    pending = []
  }
  expect "50m" {
    firing = ["etcdHighNumberOfFailedGRPCRequests"]
    alert "etcdHighNumberOfFailedGRPCRequests" {
      labels = { severity = "critical" }
    }
  }
}

test "etcdClientsBehindCompaction" {
  series = <<-SERIES
    grpc_server_handled_total{job='etcd', cluster='x', instance='a', grpc_method='Range', grpc_code='OK'} 0+60000x60
    grpc_server_handled_total{job='etcd', cluster='x', instance='a', grpc_method='Range', grpc_code='OutOfRange'} 0x20 10+10x40
  SERIES
  expect "20m" {
    firing  = []
    pending = []
  }
  expect "45m" {
    firing = ["etcdClientsBehindCompaction"]
    alert "etcdClientsBehindCompaction" {
      labels = { severity = "warning" }
    }
  }
}

test "etcdGRPCRequestsSlow" {
  series = <<-SERIES
    etcd_server_request_duration_seconds_bucket{job='etcd', cluster='x', instance='a', type='put', success='true', le='0.1'} 0+60x20 1200x40
    etcd_server_request_duration_seconds_bucket{job='etcd', cluster='x', instance='a', type='put', success='true', le='0.8'} 0+60x60
    etcd_server_request_duration_seconds_bucket{job='etcd', cluster='x', instance='a', type='put', success='true', le='+Inf'} 0+60x60
  SERIES
  expect "20m" {
    firing  = []
    pending = []
  }
  expect "50m" {
    firing = ["etcdGRPCRequestsSlow"]
    alert "etcdGRPCRequestsSlow" {
      labels = { severity = "warning" }
    }
  }
}

test "etcdProbeSlow" {
  series = <<-SERIES
    etcd_probe_duration_seconds_bucket{job='etcd', cluster='x', instance='a', operation='put', le='0.1'} 0+4x20 80x40
    etcd_probe_duration_seconds_bucket{job='etcd', cluster='x', instance='a', operation='put', le='1'} 0+4x60
    etcd_probe_duration_seconds_bucket{job='etcd', cluster='x', instance='a', operation='put', le='+Inf'} 0+4x60
  SERIES
  expect "20m" {
    firing  = []
    pending = []
  }
  expect "50m" {
    firing = ["etcdProbeSlow"]
    alert "etcdProbeSlow" {
      labels = { severity = "warning" }
    }
  }
}

test "etcdProbeFails" {
  series = <<-SERIES
    etcd_probe_success{job='etcd', cluster='x', instance='a', operation='put'} 1x10 0x30
  SERIES
  expect "10m" {
    firing  = []
    pending = []
  }
  expect "20m" {
    firing = ["etcdProbeFails"]
    alert "etcdProbeFails" {
      labels = { severity = "warning" }
    }
  }
}

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
  series = <<-SERIES
    etcd_mvcc_db_total_size_in_bytes{job='etcd', cluster='x', instance='a'} 0+10x300
    etcd_server_quota_backend_bytes{job='etcd', cluster='x', instance='a'} 5000x300
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

test "a cluster of 3.4 that is well" {
  series = <<-SERIES
    up{job='etcd', cluster='x', instance='a'} 1x60
    etcd_server_has_leader{job='etcd', cluster='x', instance='a'} 1x60
    etcd_health{job='etcd', cluster='x', instance='a'} 1x60
    etcd_status_success{job='etcd', cluster='x', instance='a'} 1x60
    etcd_member_started{job='etcd', cluster='x', instance='a'} 1x60
    etcd_member_learner{job='etcd', cluster='x', instance='a'} 0x60
    etcd_status_leader{job='etcd', cluster='x', instance='a', leader='1'} 1x60
    etcd_status_raft_term{job='etcd', cluster='x', instance='a'} 2x60
    etcd_status_raft_index{job='etcd', cluster='x', instance='a'} 100+50x60
    etcd_status_raft_applied_index{job='etcd', cluster='x', instance='a'} 100+50x60
    etcd_status_alarms{job='etcd', cluster='x', instance='a', alarm='NOSPACE'} 0x60
    etcd_hash_differs{job='etcd', cluster='x', instance='a'} 0x60
    etcd_server_leader_changes_seen_total{job='etcd', cluster='x', instance='a'} 1x60
    etcd_server_proposals_failed_total{job='etcd', cluster='x', instance='a'} 0x60
    etcd_mvcc_db_total_size_in_bytes{job='etcd', cluster='x', instance='a'} 200000000+1000x60
    etcd_mvcc_db_total_size_in_use_in_bytes{job='etcd', cluster='x', instance='a'} 190000000+1000x60
    etcd_server_quota_backend_bytes{job='etcd', cluster='x', instance='a'} 2147483648x60
    grpc_server_handled_total{job='etcd', cluster='x', instance='a', grpc_method='Range', grpc_type='unary', grpc_code='OK'} 0+600x60
    grpc_server_handled_total{job='etcd', cluster='x', instance='a', grpc_method='Watch', grpc_type='bidi_stream', grpc_code='Unavailable'} 0+60x60
    etcd_disk_wal_fsync_duration_seconds_bucket{job='etcd', cluster='x', instance='a', le='0.1'} 0+100x60
    etcd_disk_wal_fsync_duration_seconds_bucket{job='etcd', cluster='x', instance='a', le='0.8'} 0+100x60
    etcd_disk_wal_fsync_duration_seconds_bucket{job='etcd', cluster='x', instance='a', le='+Inf'} 0+100x60
    etcd_disk_backend_commit_duration_seconds_bucket{job='etcd', cluster='x', instance='a', le='0.1'} 0+100x60
    etcd_disk_backend_commit_duration_seconds_bucket{job='etcd', cluster='x', instance='a', le='0.8'} 0+100x60
    etcd_disk_backend_commit_duration_seconds_bucket{job='etcd', cluster='x', instance='a', le='+Inf'} 0+100x60
    etcd_network_peer_round_trip_time_seconds_bucket{job='etcd', cluster='x', instance='a', To='p', le='0.1'} 0+100x60
    etcd_network_peer_round_trip_time_seconds_bucket{job='etcd', cluster='x', instance='a', To='p', le='0.8'} 0+100x60
    etcd_network_peer_round_trip_time_seconds_bucket{job='etcd', cluster='x', instance='a', To='p', le='+Inf'} 0+100x60
    grpc_server_handling_seconds_bucket{job='etcd', cluster='x', instance='a', grpc_method='Range', grpc_type='unary', le='0.1'} 0+100x60
    grpc_server_handling_seconds_bucket{job='etcd', cluster='x', instance='a', grpc_method='Range', grpc_type='unary', le='0.8'} 0+100x60
    grpc_server_handling_seconds_bucket{job='etcd', cluster='x', instance='a', grpc_method='Range', grpc_type='unary', le='+Inf'} 0+100x60
    up{job='etcd', cluster='x', instance='b'} 1x60
    etcd_server_has_leader{job='etcd', cluster='x', instance='b'} 1x60
    etcd_health{job='etcd', cluster='x', instance='b'} 1x60
    etcd_status_success{job='etcd', cluster='x', instance='b'} 1x60
    etcd_member_started{job='etcd', cluster='x', instance='b'} 1x60
    etcd_member_learner{job='etcd', cluster='x', instance='b'} 0x60
    etcd_status_leader{job='etcd', cluster='x', instance='b', leader='1'} 1x60
    etcd_status_raft_term{job='etcd', cluster='x', instance='b'} 2x60
    etcd_status_raft_index{job='etcd', cluster='x', instance='b'} 100+50x60
    etcd_status_raft_applied_index{job='etcd', cluster='x', instance='b'} 100+50x60
    etcd_status_alarms{job='etcd', cluster='x', instance='b', alarm='NOSPACE'} 0x60
    etcd_hash_differs{job='etcd', cluster='x', instance='b'} 0x60
    etcd_server_leader_changes_seen_total{job='etcd', cluster='x', instance='b'} 1x60
    etcd_server_proposals_failed_total{job='etcd', cluster='x', instance='b'} 0x60
    etcd_mvcc_db_total_size_in_bytes{job='etcd', cluster='x', instance='b'} 200000000+1000x60
    etcd_mvcc_db_total_size_in_use_in_bytes{job='etcd', cluster='x', instance='b'} 190000000+1000x60
    etcd_server_quota_backend_bytes{job='etcd', cluster='x', instance='b'} 2147483648x60
    grpc_server_handled_total{job='etcd', cluster='x', instance='b', grpc_method='Range', grpc_type='unary', grpc_code='OK'} 0+600x60
    grpc_server_handled_total{job='etcd', cluster='x', instance='b', grpc_method='Watch', grpc_type='bidi_stream', grpc_code='Unavailable'} 0+60x60
    etcd_disk_wal_fsync_duration_seconds_bucket{job='etcd', cluster='x', instance='b', le='0.1'} 0+100x60
    etcd_disk_wal_fsync_duration_seconds_bucket{job='etcd', cluster='x', instance='b', le='0.8'} 0+100x60
    etcd_disk_wal_fsync_duration_seconds_bucket{job='etcd', cluster='x', instance='b', le='+Inf'} 0+100x60
    etcd_disk_backend_commit_duration_seconds_bucket{job='etcd', cluster='x', instance='b', le='0.1'} 0+100x60
    etcd_disk_backend_commit_duration_seconds_bucket{job='etcd', cluster='x', instance='b', le='0.8'} 0+100x60
    etcd_disk_backend_commit_duration_seconds_bucket{job='etcd', cluster='x', instance='b', le='+Inf'} 0+100x60
    etcd_network_peer_round_trip_time_seconds_bucket{job='etcd', cluster='x', instance='b', To='p', le='0.1'} 0+100x60
    etcd_network_peer_round_trip_time_seconds_bucket{job='etcd', cluster='x', instance='b', To='p', le='0.8'} 0+100x60
    etcd_network_peer_round_trip_time_seconds_bucket{job='etcd', cluster='x', instance='b', To='p', le='+Inf'} 0+100x60
    grpc_server_handling_seconds_bucket{job='etcd', cluster='x', instance='b', grpc_method='Range', grpc_type='unary', le='0.1'} 0+100x60
    grpc_server_handling_seconds_bucket{job='etcd', cluster='x', instance='b', grpc_method='Range', grpc_type='unary', le='0.8'} 0+100x60
    grpc_server_handling_seconds_bucket{job='etcd', cluster='x', instance='b', grpc_method='Range', grpc_type='unary', le='+Inf'} 0+100x60
    up{job='etcd', cluster='x', instance='c'} 1x60
    etcd_server_has_leader{job='etcd', cluster='x', instance='c'} 1x60
    etcd_health{job='etcd', cluster='x', instance='c'} 1x60
    etcd_status_success{job='etcd', cluster='x', instance='c'} 1x60
    etcd_member_started{job='etcd', cluster='x', instance='c'} 1x60
    etcd_member_learner{job='etcd', cluster='x', instance='c'} 0x60
    etcd_status_leader{job='etcd', cluster='x', instance='c', leader='1'} 1x60
    etcd_status_raft_term{job='etcd', cluster='x', instance='c'} 2x60
    etcd_status_raft_index{job='etcd', cluster='x', instance='c'} 100+50x60
    etcd_status_raft_applied_index{job='etcd', cluster='x', instance='c'} 100+50x60
    etcd_status_alarms{job='etcd', cluster='x', instance='c', alarm='NOSPACE'} 0x60
    etcd_hash_differs{job='etcd', cluster='x', instance='c'} 0x60
    etcd_server_leader_changes_seen_total{job='etcd', cluster='x', instance='c'} 1x60
    etcd_server_proposals_failed_total{job='etcd', cluster='x', instance='c'} 0x60
    etcd_mvcc_db_total_size_in_bytes{job='etcd', cluster='x', instance='c'} 200000000+1000x60
    etcd_mvcc_db_total_size_in_use_in_bytes{job='etcd', cluster='x', instance='c'} 190000000+1000x60
    etcd_server_quota_backend_bytes{job='etcd', cluster='x', instance='c'} 2147483648x60
    grpc_server_handled_total{job='etcd', cluster='x', instance='c', grpc_method='Range', grpc_type='unary', grpc_code='OK'} 0+600x60
    grpc_server_handled_total{job='etcd', cluster='x', instance='c', grpc_method='Watch', grpc_type='bidi_stream', grpc_code='Unavailable'} 0+60x60
    etcd_disk_wal_fsync_duration_seconds_bucket{job='etcd', cluster='x', instance='c', le='0.1'} 0+100x60
    etcd_disk_wal_fsync_duration_seconds_bucket{job='etcd', cluster='x', instance='c', le='0.8'} 0+100x60
    etcd_disk_wal_fsync_duration_seconds_bucket{job='etcd', cluster='x', instance='c', le='+Inf'} 0+100x60
    etcd_disk_backend_commit_duration_seconds_bucket{job='etcd', cluster='x', instance='c', le='0.1'} 0+100x60
    etcd_disk_backend_commit_duration_seconds_bucket{job='etcd', cluster='x', instance='c', le='0.8'} 0+100x60
    etcd_disk_backend_commit_duration_seconds_bucket{job='etcd', cluster='x', instance='c', le='+Inf'} 0+100x60
    etcd_network_peer_round_trip_time_seconds_bucket{job='etcd', cluster='x', instance='c', To='p', le='0.1'} 0+100x60
    etcd_network_peer_round_trip_time_seconds_bucket{job='etcd', cluster='x', instance='c', To='p', le='0.8'} 0+100x60
    etcd_network_peer_round_trip_time_seconds_bucket{job='etcd', cluster='x', instance='c', To='p', le='+Inf'} 0+100x60
    grpc_server_handling_seconds_bucket{job='etcd', cluster='x', instance='c', grpc_method='Range', grpc_type='unary', le='0.1'} 0+100x60
    grpc_server_handling_seconds_bucket{job='etcd', cluster='x', instance='c', grpc_method='Range', grpc_type='unary', le='0.8'} 0+100x60
    grpc_server_handling_seconds_bucket{job='etcd', cluster='x', instance='c', grpc_method='Range', grpc_type='unary', le='+Inf'} 0+100x60
  SERIES
  expect "30m" {
    firing  = []
    pending = []
  }
  expect "1h" {
    firing  = []
    pending = []
  }
}

test "a cluster of 3.7 that is well" {
  series = <<-SERIES
    up{job='etcd', cluster='x', instance='a'} 1x60
    etcd_server_has_leader{job='etcd', cluster='x', instance='a'} 1x60
    etcd_health{job='etcd', cluster='x', instance='a'} 1x60
    etcd_status_success{job='etcd', cluster='x', instance='a'} 1x60
    etcd_member_started{job='etcd', cluster='x', instance='a'} 1x60
    etcd_member_learner{job='etcd', cluster='x', instance='a'} 0x60
    etcd_status_leader{job='etcd', cluster='x', instance='a', leader='1'} 1x60
    etcd_status_raft_term{job='etcd', cluster='x', instance='a'} 2x60
    etcd_status_raft_index{job='etcd', cluster='x', instance='a'} 100+50x60
    etcd_status_raft_applied_index{job='etcd', cluster='x', instance='a'} 100+50x60
    etcd_status_alarms{job='etcd', cluster='x', instance='a', alarm='NOSPACE'} 0x60
    etcd_hash_differs{job='etcd', cluster='x', instance='a'} 0x60
    etcd_server_leader_changes_seen_total{job='etcd', cluster='x', instance='a'} 1x60
    etcd_server_proposals_failed_total{job='etcd', cluster='x', instance='a'} 0x60
    etcd_mvcc_db_total_size_in_bytes{job='etcd', cluster='x', instance='a'} 200000000+1000x60
    etcd_mvcc_db_total_size_in_use_in_bytes{job='etcd', cluster='x', instance='a'} 190000000+1000x60
    etcd_server_quota_backend_bytes{job='etcd', cluster='x', instance='a'} 2147483648x60
    grpc_server_handled_total{job='etcd', cluster='x', instance='a', grpc_method='Range', grpc_type='unary', grpc_code='OK'} 0+600x60
    grpc_server_handled_total{job='etcd', cluster='x', instance='a', grpc_method='Watch', grpc_type='bidi_stream', grpc_code='Unavailable'} 0+60x60
    etcd_disk_wal_fsync_duration_seconds_bucket{job='etcd', cluster='x', instance='a', le='0.1'} 0+100x60
    etcd_disk_wal_fsync_duration_seconds_bucket{job='etcd', cluster='x', instance='a', le='0.8'} 0+100x60
    etcd_disk_wal_fsync_duration_seconds_bucket{job='etcd', cluster='x', instance='a', le='+Inf'} 0+100x60
    etcd_disk_backend_commit_duration_seconds_bucket{job='etcd', cluster='x', instance='a', le='0.1'} 0+100x60
    etcd_disk_backend_commit_duration_seconds_bucket{job='etcd', cluster='x', instance='a', le='0.8'} 0+100x60
    etcd_disk_backend_commit_duration_seconds_bucket{job='etcd', cluster='x', instance='a', le='+Inf'} 0+100x60
    etcd_network_peer_round_trip_time_seconds_bucket{job='etcd', cluster='x', instance='a', To='p', le='0.1'} 0+100x60
    etcd_network_peer_round_trip_time_seconds_bucket{job='etcd', cluster='x', instance='a', To='p', le='0.8'} 0+100x60
    etcd_network_peer_round_trip_time_seconds_bucket{job='etcd', cluster='x', instance='a', To='p', le='+Inf'} 0+100x60
    etcd_server_request_duration_seconds_bucket{job='etcd', cluster='x', instance='a', type='put', success='true', le='0.1'} 0+100x60
    etcd_server_request_duration_seconds_bucket{job='etcd', cluster='x', instance='a', type='put', success='true', le='0.8'} 0+100x60
    etcd_server_request_duration_seconds_bucket{job='etcd', cluster='x', instance='a', type='put', success='true', le='+Inf'} 0+100x60
    up{job='etcd', cluster='x', instance='b'} 1x60
    etcd_server_has_leader{job='etcd', cluster='x', instance='b'} 1x60
    etcd_health{job='etcd', cluster='x', instance='b'} 1x60
    etcd_status_success{job='etcd', cluster='x', instance='b'} 1x60
    etcd_member_started{job='etcd', cluster='x', instance='b'} 1x60
    etcd_member_learner{job='etcd', cluster='x', instance='b'} 0x60
    etcd_status_leader{job='etcd', cluster='x', instance='b', leader='1'} 1x60
    etcd_status_raft_term{job='etcd', cluster='x', instance='b'} 2x60
    etcd_status_raft_index{job='etcd', cluster='x', instance='b'} 100+50x60
    etcd_status_raft_applied_index{job='etcd', cluster='x', instance='b'} 100+50x60
    etcd_status_alarms{job='etcd', cluster='x', instance='b', alarm='NOSPACE'} 0x60
    etcd_hash_differs{job='etcd', cluster='x', instance='b'} 0x60
    etcd_server_leader_changes_seen_total{job='etcd', cluster='x', instance='b'} 1x60
    etcd_server_proposals_failed_total{job='etcd', cluster='x', instance='b'} 0x60
    etcd_mvcc_db_total_size_in_bytes{job='etcd', cluster='x', instance='b'} 200000000+1000x60
    etcd_mvcc_db_total_size_in_use_in_bytes{job='etcd', cluster='x', instance='b'} 190000000+1000x60
    etcd_server_quota_backend_bytes{job='etcd', cluster='x', instance='b'} 2147483648x60
    grpc_server_handled_total{job='etcd', cluster='x', instance='b', grpc_method='Range', grpc_type='unary', grpc_code='OK'} 0+600x60
    grpc_server_handled_total{job='etcd', cluster='x', instance='b', grpc_method='Watch', grpc_type='bidi_stream', grpc_code='Unavailable'} 0+60x60
    etcd_disk_wal_fsync_duration_seconds_bucket{job='etcd', cluster='x', instance='b', le='0.1'} 0+100x60
    etcd_disk_wal_fsync_duration_seconds_bucket{job='etcd', cluster='x', instance='b', le='0.8'} 0+100x60
    etcd_disk_wal_fsync_duration_seconds_bucket{job='etcd', cluster='x', instance='b', le='+Inf'} 0+100x60
    etcd_disk_backend_commit_duration_seconds_bucket{job='etcd', cluster='x', instance='b', le='0.1'} 0+100x60
    etcd_disk_backend_commit_duration_seconds_bucket{job='etcd', cluster='x', instance='b', le='0.8'} 0+100x60
    etcd_disk_backend_commit_duration_seconds_bucket{job='etcd', cluster='x', instance='b', le='+Inf'} 0+100x60
    etcd_network_peer_round_trip_time_seconds_bucket{job='etcd', cluster='x', instance='b', To='p', le='0.1'} 0+100x60
    etcd_network_peer_round_trip_time_seconds_bucket{job='etcd', cluster='x', instance='b', To='p', le='0.8'} 0+100x60
    etcd_network_peer_round_trip_time_seconds_bucket{job='etcd', cluster='x', instance='b', To='p', le='+Inf'} 0+100x60
    etcd_server_request_duration_seconds_bucket{job='etcd', cluster='x', instance='b', type='put', success='true', le='0.1'} 0+100x60
    etcd_server_request_duration_seconds_bucket{job='etcd', cluster='x', instance='b', type='put', success='true', le='0.8'} 0+100x60
    etcd_server_request_duration_seconds_bucket{job='etcd', cluster='x', instance='b', type='put', success='true', le='+Inf'} 0+100x60
    up{job='etcd', cluster='x', instance='c'} 1x60
    etcd_server_has_leader{job='etcd', cluster='x', instance='c'} 1x60
    etcd_health{job='etcd', cluster='x', instance='c'} 1x60
    etcd_status_success{job='etcd', cluster='x', instance='c'} 1x60
    etcd_member_started{job='etcd', cluster='x', instance='c'} 1x60
    etcd_member_learner{job='etcd', cluster='x', instance='c'} 0x60
    etcd_status_leader{job='etcd', cluster='x', instance='c', leader='1'} 1x60
    etcd_status_raft_term{job='etcd', cluster='x', instance='c'} 2x60
    etcd_status_raft_index{job='etcd', cluster='x', instance='c'} 100+50x60
    etcd_status_raft_applied_index{job='etcd', cluster='x', instance='c'} 100+50x60
    etcd_status_alarms{job='etcd', cluster='x', instance='c', alarm='NOSPACE'} 0x60
    etcd_hash_differs{job='etcd', cluster='x', instance='c'} 0x60
    etcd_server_leader_changes_seen_total{job='etcd', cluster='x', instance='c'} 1x60
    etcd_server_proposals_failed_total{job='etcd', cluster='x', instance='c'} 0x60
    etcd_mvcc_db_total_size_in_bytes{job='etcd', cluster='x', instance='c'} 200000000+1000x60
    etcd_mvcc_db_total_size_in_use_in_bytes{job='etcd', cluster='x', instance='c'} 190000000+1000x60
    etcd_server_quota_backend_bytes{job='etcd', cluster='x', instance='c'} 2147483648x60
    grpc_server_handled_total{job='etcd', cluster='x', instance='c', grpc_method='Range', grpc_type='unary', grpc_code='OK'} 0+600x60
    grpc_server_handled_total{job='etcd', cluster='x', instance='c', grpc_method='Watch', grpc_type='bidi_stream', grpc_code='Unavailable'} 0+60x60
    etcd_disk_wal_fsync_duration_seconds_bucket{job='etcd', cluster='x', instance='c', le='0.1'} 0+100x60
    etcd_disk_wal_fsync_duration_seconds_bucket{job='etcd', cluster='x', instance='c', le='0.8'} 0+100x60
    etcd_disk_wal_fsync_duration_seconds_bucket{job='etcd', cluster='x', instance='c', le='+Inf'} 0+100x60
    etcd_disk_backend_commit_duration_seconds_bucket{job='etcd', cluster='x', instance='c', le='0.1'} 0+100x60
    etcd_disk_backend_commit_duration_seconds_bucket{job='etcd', cluster='x', instance='c', le='0.8'} 0+100x60
    etcd_disk_backend_commit_duration_seconds_bucket{job='etcd', cluster='x', instance='c', le='+Inf'} 0+100x60
    etcd_network_peer_round_trip_time_seconds_bucket{job='etcd', cluster='x', instance='c', To='p', le='0.1'} 0+100x60
    etcd_network_peer_round_trip_time_seconds_bucket{job='etcd', cluster='x', instance='c', To='p', le='0.8'} 0+100x60
    etcd_network_peer_round_trip_time_seconds_bucket{job='etcd', cluster='x', instance='c', To='p', le='+Inf'} 0+100x60
    etcd_server_request_duration_seconds_bucket{job='etcd', cluster='x', instance='c', type='put', success='true', le='0.1'} 0+100x60
    etcd_server_request_duration_seconds_bucket{job='etcd', cluster='x', instance='c', type='put', success='true', le='0.8'} 0+100x60
    etcd_server_request_duration_seconds_bucket{job='etcd', cluster='x', instance='c', type='put', success='true', le='+Inf'} 0+100x60
  SERIES
  expect "30m" {
    firing  = []
    pending = []
  }
  expect "1h" {
    firing  = []
    pending = []
  }
}

test "slow requests of 3.4" {
  series = <<-SERIES
    grpc_server_handling_seconds_bucket{job='etcd', cluster='x', instance='a', grpc_method='Txn', grpc_type='unary', le='0.1'} 0+60x20 1200x40
    grpc_server_handling_seconds_bucket{job='etcd', cluster='x', instance='a', grpc_method='Txn', grpc_type='unary', le='0.8'} 0+60x60
    grpc_server_handling_seconds_bucket{job='etcd', cluster='x', instance='a', grpc_method='Txn', grpc_type='unary', le='+Inf'} 0+60x60
    grpc_server_handling_seconds_bucket{job='etcd', cluster='x', instance='a', grpc_method='Defragment', grpc_type='unary', le='0.1'} 0x60
    grpc_server_handling_seconds_bucket{job='etcd', cluster='x', instance='a', grpc_method='Defragment', grpc_type='unary', le='+Inf'} 0+1x60
  SERIES
  expect "20m" {
    firing  = []
    pending = []
  }
  expect "50m" {
    firing = ["etcdGRPCRequestsSlow"]
    alert "etcdGRPCRequestsSlow" {
      labels = { grpc_method = "Txn" }
    }
  }
}
