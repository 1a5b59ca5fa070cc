locals {
  clusters = {
    shop   = ["http://127.0.0.1:2379", "http://127.0.0.1:22379", "http://127.0.0.1:32379"]
    search = ["http://127.0.0.1:42379"]
  }
}

pack "etcd" {
  source   = "../packs/etcd"
  clusters = { for name, urls in local.clusters : name => { endpoints = urls } }

  override "alert" "etcdMembersDown" { for = "5s" }
}

moved {
  from = source.etcd.main
  to   = pack.etcd.source.etcd.main
}

daemon { interval = "1s" }

store "tsdb" "main" {}

notifier "log" "oncall" {}

route {
  notify     = [notifier.log.oncall]
  group_by   = ["cluster"]
  group_wait = "1s"
}
