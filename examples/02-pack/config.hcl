# Magpie watched by Magpie: all that it takes, sources, alerts with their tests and a dashboard, comes in a pack.

daemon {
  data_dir = "data"
  interval = "15s"
}

http {
  listen = "127.0.0.1:9470"
}

store "tsdb" "main" {
  retention = "15d"
}

service "console" "main" {}

notifier "log" "alerts" {}
notifier "log" "oncall" {}

route {
  notify   = [notifier.log.alerts]
  group_by = ["alertname", "instance"]
}

pack "magpie" {
  source = "./packs/magpie"

  # The variables of the pack.
  daemons = {
    here = ["127.0.0.1:9470"] # this daemon's own /metrics: where http listens
  }
  lag    = 30
  urgent = [notifier.log.oncall]

  # What is different here.
  disable = [alert.MagpieBufferLarge, test["a buffer that grows"]]
  override "alert" "MagpieComponentDown" {
    for    = "10m"
    labels = { severity = "critical" }
  }
}
