# What watches the demo's cluster: the pack etcd, a store and the page. The demo says in its environment where the cluster is; its data
# directory is that of the last member, which the diagnosis looks into.
daemon { interval = "1s" }

pack "etcd" {
  source  = "../packs/etcd"
  timeout = "900ms"
  clusters = { demo = {
    endpoints     = split(",", env("ETCD_ENDPOINTS", "http://127.0.0.1:2379"))
    hash_interval = "5s"
    data_dir      = env("ETCD_DATA_DIR", "")
    tls           = env("ETCD_CA_FILE", "") == "" ? null : { ca_file = env("ETCD_CA_FILE", ""), cert_file = env("ETCD_CERT_FILE", ""), key_file = env("ETCD_KEY_FILE", "") }
  } }

  override "diagnoser" "etcd" "main" { watch_for = "1500ms" }
}

store "tsdb" "main" {}

service "console" "main" {}

notifier "log" "alerts" {}

route {
  notify   = [notifier.log.alerts]
  group_by = ["alertname", "cluster"]
}
