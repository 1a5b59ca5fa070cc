# etcd watched: every member's metrics, status, health and data, the rules of etcd-mixin corrected and what they cannot see, a diagnosis
# attached to each alert, a dashboard. README.md says what each part gives and costs.

# One for each cluster: pack.etcd.source.etcd.main["prod"].
source "etcd" "main" {
  for_each = var.clusters
  interval = var.interval
  timeout  = var.timeout
  labels   = merge(var.labels, each.value.labels, { cluster = each.key })

  endpoints         = each.value.endpoints
  discover_members  = each.value.discover_members
  username          = each.value.username
  password          = each.value.password
  metrics_endpoints = each.value.metrics_endpoints
  hash_interval     = local.hash_interval[each.key]
  hash_up_to        = each.value.hash_up_to

  dynamic "tls" {
    for_each = each.value.tls == null ? [] : [each.value.tls]
    content {
      ca_file              = tls.value.ca_file
      cert_file            = tls.value.cert_file
      key_file             = tls.value.key_file
      server_name          = tls.value.server_name
      insecure_skip_verify = tls.value.insecure_skip_verify
    }
  }

  dynamic "log" {
    for_each = each.value.log == null ? [] : [each.value.log]
    content {
      path   = log.value.path
      member = log.value.member
    }
  }

  dynamic "probe" {
    for_each = coalesce(each.value.probe, var.probe) ? [1] : []
    content { prefix = var.probe_prefix }
  }
}

# Asked by the alerts of its cluster, and by `magpie diagnose 'pack.etcd.diagnoser.etcd.main["prod"]'`.
diagnoser "etcd" "main" {
  for_each = var.clusters
  match    = "cluster = '${each.key}'"

  endpoints         = each.value.endpoints
  discover_members  = each.value.discover_members
  username          = each.value.username
  password          = each.value.password
  metrics_endpoints = each.value.metrics_endpoints
  hash_up_to        = each.value.hash_up_to
  data_dir          = each.value.data_dir

  dynamic "log" {
    for_each = each.value.log == null ? [] : [each.value.log]
    content {
      path   = log.value.path
      member = log.value.member
    }
  }

  dynamic "tls" {
    for_each = each.value.tls == null ? [] : [each.value.tls]
    content {
      ca_file              = tls.value.ca_file
      cert_file            = tls.value.cert_file
      key_file             = tls.value.key_file
      server_name          = tls.value.server_name
      insecure_skip_verify = tls.value.insecure_skip_verify
    }
  }
}

locals {
  # HashKV needs the role root, which a user that only watches should not have.
  hash_interval = { for name, c in var.clusters : name => coalesce(c.hash_interval, c.username == null ? "6h" : "0s") }
}

dashboard "etcd" { file = "dashboards/etcd.json" }
