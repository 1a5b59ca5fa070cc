# Of each rule in rules_requests.hcl: what must not make it fire, and what must.

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
