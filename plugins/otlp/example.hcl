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
