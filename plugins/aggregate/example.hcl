# Requests by job and by handler, once a minute, from however many instances.
processor "aggregate" "traffic" {
  window   = "1m"
  lateness = "15s"

  output "job:http_requests:rate1m" {
    select   = "__name__ = 'http_requests_total'"
    function = "rate"
    by       = ["job"]
  }

  output "job:http_request_size:p95" {
    select   = "__name__ = 'http_request_size_bytes', code !~ '5..'"
    function = "quantile"
    quantile = 0.95
    by       = ["job", "handler"]
  }
}

# What it makes goes to a sink far away; the series themselves stay here, by the pipelines that there are without it.
# pipeline "central" {
#   from    = [source.prometheus.web]
#   through = [processor.aggregate.traffic]
#   to      = [sink.remote_write.central]
# }
