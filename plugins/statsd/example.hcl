# What applications on this machine send to StatsD.
source "statsd" "main" {
  interval = "10s"
  listen   = ["udp://127.0.0.1:8125", "tcp://127.0.0.1:8125"]

  # web.checkout.requests becomes http_requests{service="checkout"}
  mapping "web.*.requests" {
    name   = "http_requests_total"
    labels = { service = "$1" }
  }

  mapping "web.*.time" {
    name    = "http_request_duration_seconds"
    labels  = { service = "$1" }
    timers  = "histogram"
    buckets = [0.01, 0.05, 0.1, 0.5, 1, 5]
  }

  mapping "debug.*" {
    action = "drop"
  }
}
