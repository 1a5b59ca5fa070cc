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
