# What magpie plugin verify opens: ports of the kernel's choice, and a receiver that takes everything.
source "otlp" "verify" {
  grpc_listen  = "127.0.0.1:0"
  http_listen  = "127.0.0.1:0"
  bearer_token = secret("env:OTLP_TOKEN")
}

sink "otlp" "verify" {
  protocol     = "http"
  endpoint     = env("VERIFY_URL")
  bearer_token = secret("env:OTLP_TOKEN")
}
