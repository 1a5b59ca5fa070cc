# An etcd cluster with all that is worth watching on it: five lines bring the pack in. ETCD_ENDPOINTS names another cluster than
# this machine's: URLs with commas between.
pack "etcd" {
  source   = "../packs/etcd"
  clusters = { main = { endpoints = split(",", env("ETCD_ENDPOINTS", "http://127.0.0.1:2379")) } }
  probe    = true
}
