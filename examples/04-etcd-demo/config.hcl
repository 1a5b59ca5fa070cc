# What watches the demo's cluster. ETCD_ENDPOINTS has its URLs with commas between, ETCD_DATA_DIR the data directory of its last member.
locals {
  endpoints = split(",", env("ETCD_ENDPOINTS", "http://127.0.0.1:2379"))
}

source "etcd" "main" {
  endpoints     = local.endpoints
  timeout       = "900ms"
  hash_interval = "5s"
  labels        = { cluster = "demo" }
}

diagnoser "etcd" "main" {
  endpoints = local.endpoints
  watch_for = "1500ms"
  data_dir  = env("ETCD_DATA_DIR", "")
}

store "tsdb" "main" {}

service "console" "main" {}
