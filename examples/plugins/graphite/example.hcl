# What Graphite's dashboards show goes there too.
sink "graphite" "legacy" {
  address = "graphite.example:2003"
  prefix  = "magpie."
}

pipeline "to_graphite" {
  from = [source.host.this]
  to   = [sink.graphite.legacy]
}

source "host" "this" {}
