# Everything as JSON lines; a new file each day or from 256 MiB on, of which 14 are kept.
sink "file" "archive" {
  path     = "/var/lib/magpie-archive/metrics.jsonl"
  max_size = "256MiB"
  max_age  = "1d"
  keep     = 14
}

# Files that promtool tsdb create-blocks-from openmetrics takes.
sink "file" "text" {
  path     = "/var/lib/magpie-archive/metrics.om"
  format   = "openmetrics"
  compress = false
}
