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

# What a program logs as JSON, each line a record with its level and attributes.
source "file" "etcd" {
  paths  = ["/var/log/etcd/*.log"]
  format = "json"
}

# Records of several lines begin with a date.
source "file" "app" {
  paths  = ["/var/log/app/*.log"]
  from   = "beginning"
  starts = "^[0-9]{4}-"
}
