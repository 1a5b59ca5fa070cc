# This machine and Magpie itself, kept in a local store, with a handful of alerts worth having.
# `magpie check` checks this file, `magpie plan` says what a change would do, SIGHUP applies it.

daemon {
  data_dir = "data"
  interval = "15s"
}

http {
  listen = "127.0.0.1:9470"
}

source "host" "this" {}

source "prometheus" "magpie" {
  targets = ["127.0.0.1:9470"]
}

store "tsdb" "main" {
  retention = "15d"
}

service "console" "main" {}

notifier "log" "alerts" {}

route {
  notify   = [notifier.log.alerts]
  group_by = ["alertname", "instance"]
}

rules "host" {
  alert "HostFilesystemAlmostFull" {
    expr        = "node_filesystem_avail_bytes{fstype!=''} / node_filesystem_size_bytes < 0.05 and node_filesystem_readonly == 0"
    for         = "10m"
    labels      = { severity = "critical" }
    annotations = {
      summary = "{{ $labels.mountpoint }} on {{ $labels.instance }} has {{ $value | humanizePercentage }} left"
    }
  }

  alert "HostFilesystemFillsUp" {
    expr        = "predict_linear(node_filesystem_avail_bytes{fstype!=''}[6h], 24 * 3600) < 0 and node_filesystem_avail_bytes / node_filesystem_size_bytes < 0.4 and node_filesystem_readonly == 0"
    for         = "1h"
    labels      = { severity = "warning" }
    annotations = {
      summary = "{{ $labels.mountpoint }} on {{ $labels.instance }} will be full within a day if it goes on like this"
    }
  }

  alert "HostMemoryShort" {
    expr        = "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes < 0.05"
    for         = "10m"
    labels      = { severity = "warning" }
    annotations = {
      summary = "{{ $labels.instance }} has {{ $value | humanizePercentage }} of its memory left"
    }
  }

  alert "HostStalledOnMemory" {
    expr        = "rate(node_pressure_memory_stalled_seconds_total[5m]) > 0.2"
    for         = "10m"
    labels      = { severity = "warning" }
    annotations = {
      summary = "Everything on {{ $labels.instance }} waits for memory {{ $value | humanizePercentage }} of the time"
    }
  }

  alert "HostOverloaded" {
    expr        = "node_load15 > 2 * count by (instance, job) (node_cpu_seconds_total{mode='idle'})"
    for         = "30m"
    labels      = { severity = "warning" }
    annotations = {
      summary = "The load of {{ $labels.instance }} is {{ $value | humanize }}, more than twice its CPUs"
    }
  }

  alert "HostClockOff" {
    expr        = "abs(node_timex_offset_seconds) > 0.05 and node_timex_sync_status == 0"
    for         = "10m"
    labels      = { severity = "warning" }
    annotations = {
      summary = "The clock of {{ $labels.instance }} is not synchronised and {{ $value | humanizeDuration }} off"
    }
  }
}

rules "magpie" {
  alert "TargetDown" {
    expr        = "up == 0"
    for         = "5m"
    labels      = { severity = "warning" }
    annotations = {
      summary = "{{ $labels.job }} at {{ $labels.instance }} cannot be collected"
    }
  }

  alert "MagpiePluginKeepsDying" {
    expr        = "increase(magpie_plugin_restarts_total[10m]) > 3"
    labels      = { severity = "warning" }
    annotations = {
      summary = "Plugin {{ $labels.plugin }} was restarted {{ $value | humanize }} times in ten minutes"
    }
  }

  alert "MagpiePipelineStuck" {
    expr        = "magpie_pipeline_lag_seconds > 60"
    for         = "2m"
    labels      = { severity = "critical" }
    annotations = {
      summary = "{{ $labels.sink }} has taken nothing for {{ $value | humanizeDuration }}; what comes for it is kept in the buffer"
    }
  }

  alert "MagpieConfigInvalid" {
    expr        = "magpie_config_last_reload_successful == 0"
    for         = "5m"
    labels      = { severity = "warning" }
    annotations = {
      summary = "The configuration files are invalid: the last one that was applied runs"
    }
  }
}
