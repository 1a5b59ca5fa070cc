# Everything that is collected goes to a central Prometheus, too (started with --web.enable-remote-write-receiver).
sink "remote_write" "centre" {
  url = "http://prometheus.example:9090/api/v1/write"
}

# A tenant of a Mimir cluster behind TLS and a password.
sink "remote_write" "mimir" {
  url         = "https://mimir.example/api/v1/push"
  headers     = { "X-Scope-OrgID" = "platform" }
  max_samples = 5000
  shards      = 8

  basic_auth {
    username = "magpie"
    password = secret("env:MIMIR_PASSWORD")
  }
  tls {
    ca_file = "/etc/magpie/ca.pem"
  }
}

# What other Prometheus servers send: to this daemon's /api/v1/write, and to a port of its own.
source "remote_write" "in" {
  listen = "0.0.0.0:9201"

  basic_auth {
    username = "prometheus"
    password = secret("env:REMOTE_WRITE_PASSWORD")
  }
  tls {
    cert_file = "/etc/magpie/server.pem"
    key_file  = "/etc/magpie/server.key"
  }
}

# A Prometheus elsewhere as the place where metrics are kept and queried.
store "prometheus" "central" {
  url = "http://prometheus.example:9090"
}
