# OTLP from the applications of this machine, over gRPC and HTTP.
source "otlp" "local" {}

# The same for other machines, with names as OpenTelemetry has them.
source "otlp" "edge" {
  grpc_listen = "0.0.0.0:14317"
  http_listen = "" # off

  tls {
    cert_file = "/etc/magpie/otlp.pem"
    key_file  = "/etc/magpie/otlp.key"
  }
  bearer_token = secret("env:OTLP_TOKEN")

  translation                 = "utf8"
  promote_resource_attributes = ["deployment.environment.name"]
  limit_series                = 500000
}

# Everything that is collected, to a Collector.
sink "otlp" "collector" {
  endpoint     = "https://collector.example:4317"
  bearer_token = secret("env:OTLP_TOKEN")
}

# Or to a Prometheus 3 that was started with --web.enable-otlp-receiver.
sink "otlp" "prometheus" {
  protocol = "http"
  endpoint = "http://10.0.0.5:9090/api/v1/otlp/v1/metrics"
}

pipeline "out" {
  from = [source]
  to   = [sink.otlp.collector, sink.otlp.prometheus]
}
