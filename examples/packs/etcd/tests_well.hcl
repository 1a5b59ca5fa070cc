# Clusters that are well.

test "a cluster of 3.4 that is well" {
  series = <<-SERIES
    up{job='etcd', cluster='x', instance='a'} 1x60
    etcd_server_has_leader{job='etcd', cluster='x', instance='a'} 1x60
    etcd_health{job='etcd', cluster='x', instance='a'} 1x60
    etcd_status_success{job='etcd', cluster='x', instance='a'} 1x60
    etcd_peer_url_answers{job='etcd', cluster='x', instance='a', peer_url='http://a:2380'} 1x60
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
    etcd_peer_url_answers{job='etcd', cluster='x', instance='b', peer_url='http://b:2380'} 1x60
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
    etcd_peer_url_answers{job='etcd', cluster='x', instance='c', peer_url='http://c:2380'} 1x60
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
    etcd_peer_url_answers{job='etcd', cluster='x', instance='a', peer_url='http://a:2380'} 1x60
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
    etcd_peer_url_answers{job='etcd', cluster='x', instance='b', peer_url='http://b:2380'} 1x60
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
    etcd_peer_url_answers{job='etcd', cluster='x', instance='c', peer_url='http://c:2380'} 1x60
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
