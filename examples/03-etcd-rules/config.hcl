# An etcd cluster with everything that is worth watching on it, and a diagnoser that alerts ask. ETCD_ENDPOINTS names others than
# this machine's: URLs with commas between.
locals {
  endpoints = split(",", env("ETCD_ENDPOINTS", "http://127.0.0.1:2379"))
}

source "etcd" "main" {
  endpoints     = local.endpoints
  hash_interval = "6h"
  labels        = { cluster = "main" }

  probe {}
}

diagnoser "etcd" "main" {
  endpoints = local.endpoints
}

store "tsdb" "main" {}

notifier "log" "alerts" {}

route {
  notify   = [notifier.log.alerts]
  group_by = ["alertname", "cluster"]
}
