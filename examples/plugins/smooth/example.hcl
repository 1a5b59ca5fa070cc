# Latencies that are not usual any more. A pipeline uses it: through = [processor.smooth.latencies]
processor "smooth" "latencies" {
  match     = ".*_latency_seconds"
  half_life = "10m"
}
