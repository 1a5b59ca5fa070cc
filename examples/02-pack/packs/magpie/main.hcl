# A source for each place: pack.magpie.source.prometheus.daemons["here"].
source "prometheus" "daemons" {
  for_each = var.daemons
  job      = "magpie"
  labels   = { place = each.key }
  targets  = each.value
}

dashboard "magpie" { file = "dashboards/magpie.json" }
