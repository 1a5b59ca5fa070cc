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
  targets = ["127.0.0.1:9470"] # the daemon's own /metrics: where http listens
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
    expr   = "node_filesystem_avail_bytes{fstype!~'tmpfs|ramfs'} / node_filesystem_size_bytes < 0.05 and node_filesystem_readonly == 0"
    for    = "10m"
    labels = { severity = "critical" }
    annotations = {
      summary = "{{ $labels.mountpoint }} on {{ $labels.instance }} has {{ $value | humanizePercentage }} of its space left"
    }
  }

  # A trend needs a past: the last term holds only where samples reach back five hours.
  alert "HostFilesystemFillsUp" {
    expr   = <<-PROMQL
      predict_linear(node_filesystem_avail_bytes{fstype!~'tmpfs|ramfs'}[6h], 24 * 3600) < 0
        and node_filesystem_avail_bytes / node_filesystem_size_bytes < 0.4
        and node_filesystem_readonly == 0
        and count_over_time(node_filesystem_avail_bytes[1h] offset 5h) > 0
    PROMQL
    for    = "1h"
    labels = { severity = "warning" }
    annotations = {
      summary = "{{ $labels.mountpoint }} on {{ $labels.instance }} will be full within a day if it goes on like this"
    }
  }

  alert "HostFilesystemOutOfInodes" {
    expr   = "node_filesystem_files_free{fstype!~'tmpfs|ramfs'} / node_filesystem_files < 0.05 and node_filesystem_readonly == 0"
    for    = "10m"
    labels = { severity = "critical" }
    annotations = {
      summary = "{{ $labels.mountpoint }} on {{ $labels.instance }} has {{ $value | humanizePercentage }} of its inodes left"
    }
  }

  alert "HostMemoryShort" {
    expr   = "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes < 0.05"
    for    = "10m"
    labels = { severity = "warning" }
    annotations = {
      summary = "{{ $labels.instance }} has {{ $value | humanizePercentage }} of its memory left"
    }
  }

  alert "HostStalledOnMemory" {
    expr   = "rate(node_pressure_memory_stalled_seconds_total[5m]) > 0.2"
    for    = "10m"
    labels = { severity = "warning" }
    annotations = {
      summary = "Everything on {{ $labels.instance }} waits for memory {{ $value | humanizePercentage }} of the time"
    }
  }

  alert "HostOutOfMemoryKill" {
    expr   = "increase(node_vmstat_oom_kill[10m]) > 0"
    labels = { severity = "warning" }
    annotations = {
      summary = "{{ $labels.instance }} ran out of memory and killed a process"
    }
  }

  alert "HostOverloaded" {
    expr   = "node_load15 / count without (cpu, mode) (node_cpu_seconds_total{mode='idle'}) > 2"
    for    = "30m"
    labels = { severity = "warning" }
    annotations = {
      summary = "The load of {{ $labels.instance }} is {{ $value | humanize }} for each of its CPUs"
    }
  }

  alert "HostClockOff" {
    expr   = "abs(node_timex_offset_seconds) > 0.05 and node_timex_sync_status == 0"
    for    = "10m"
    labels = { severity = "warning" }
    annotations = {
      summary = "The clock of {{ $labels.instance }} is not synchronised and {{ $value | humanizeDuration }} off"
    }
  }
}

rules "magpie" {
  alert "TargetDown" {
    expr   = "up == 0"
    for    = "5m"
    labels = { severity = "warning" }
    annotations = {
      summary = "{{ $labels.job }} at {{ $labels.instance }} cannot be collected"
    }
  }

  alert "MagpiePluginKeepsDying" {
    expr   = "increase(magpie_plugin_restarts_total[10m]) > 3"
    labels = { severity = "warning" }
    annotations = {
      summary = "Plugin {{ $labels.plugin }} was restarted {{ $value | humanize }} times in ten minutes"
    }
  }

  alert "MagpiePipelineStuck" {
    expr   = "magpie_pipeline_lag_seconds > 60"
    for    = "2m"
    labels = { severity = "critical" }
    annotations = {
      summary = "{{ $labels.sink }} has taken nothing for {{ $value | humanizeDuration }}; what comes for it is kept in the buffer"
    }
  }

  alert "MagpieSamplesLost" {
    expr   = "increase(magpie_pipeline_lost_samples_total[10m]) > 0"
    labels = { severity = "critical" }
    annotations = {
      summary = "The buffer gave up {{ $value | humanize }} samples that {{ $labels.sink }} had not taken"
    }
  }

  alert "MagpieRulesFail" {
    expr   = "increase(magpie_rule_evaluation_failures_total[10m]) > 0"
    for    = "5m"
    labels = { severity = "warning" }
    annotations = {
      summary = "Rules of {{ $labels.rule_group }} cannot be evaluated: what they watch is not watched"
    }
  }

  alert "MagpieConfigInvalid" {
    expr   = "magpie_config_last_reload_successful == 0"
    for    = "5m"
    labels = { severity = "warning" }
    annotations = {
      summary = "The configuration files are invalid: the last one that was applied runs"
    }
  }
}
