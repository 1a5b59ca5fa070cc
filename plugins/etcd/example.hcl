# An etcd cluster: one endpoint finds all members, several find them while one is down.
source "etcd" "main" {
  endpoints = ["http://10.0.0.1:2379", "http://10.0.0.2:2379", "http://10.0.0.3:2379"]
}

# The same with all that is opt-in: data compared every six hours, and a probe that acts as a client.
source "etcd" "watched" {
  endpoints     = ["http://10.0.0.1:2379"]
  hash_interval = "6h"

  log { # of the member on this machine
    path   = "/var/log/etcd/etcd.log"
    member = "etcd-1"
  }

  probe {
    prefix = "magpie/probe/"
  }
}

# The same behind TLS with client certificates and etcd's own users.
source "etcd" "secure" {
  endpoints = ["https://etcd-1.example:2379", "https://etcd-2.example:2379"]
  username  = "monitor" # needs no role
  password  = secret("file:/run/secrets/etcd-monitor")
  labels    = { cluster = "secure" }

  tls {
    ca_file   = "/etc/magpie/etcd/ca.pem"
    cert_file = "/etc/magpie/etcd/client.pem"
    key_file  = "/etc/magpie/etcd/client-key.pem"
  }

  # Only where members run with --listen-client-http-urls or --listen-metrics-urls: by the member's name.
  metrics_endpoints = {
    "etcd-1" = "http://etcd-1.example:2381"
    "etcd-2" = "http://etcd-2.example:2381"
  }
}

# What is wrong with it: magpie diagnose etcd.main. An alert asks with diagnose = [diagnoser.etcd.main].
diagnoser "etcd" "main" {
  endpoints = ["http://10.0.0.1:2379", "http://10.0.0.2:2379", "http://10.0.0.3:2379"]
}

# Leases and members for daemons that reach the same cluster. This version opens it and shows how it is; each daemon still works alone.
coordinator "etcd" "ha" {
  endpoints = ["http://10.0.0.1:2379", "http://10.0.0.2:2379", "http://10.0.0.3:2379"]
  prefix    = "magpie/"
}
