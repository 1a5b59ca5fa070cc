rules "magpie" {
  record "place:magpie_source_samples:rate5m" {
    expr = "sum by (place) (rate(magpie_source_samples_total[5m]))"
  }

  alert "MagpieDown" {
    expr        = "up{job='magpie'} == 0"
    for         = "2m"
    labels      = { severity = "critical" }
    annotations = { summary = "The daemon at {{ $labels.instance }} does not answer" }
  }

  alert "MagpieComponentDown" {
    expr        = "magpie_component_up == 0"
    for         = "5m"
    labels      = { severity = "warning" }
    annotations = { summary = "{{ $labels.component }} on {{ $labels.instance }} does not work" }
  }

  alert "MagpiePipelineStuck" {
    expr        = "magpie_pipeline_lag_seconds > ${var.lag}"
    for         = "2m"
    labels      = { severity = "critical" }
    annotations = { summary = "{{ $labels.sink }} has taken nothing for {{ $value | humanizeDuration }}; what comes for it is kept in the buffer" }
  }

  alert "MagpieSamplesLost" {
    expr        = "increase(magpie_pipeline_lost_samples_total[10m]) > 0"
    labels      = { severity = "critical" }
    annotations = { summary = "The buffer gave up {{ $value | humanize }} samples that {{ $labels.sink }} had not taken" }
    notify      = var.urgent
  }

  alert "MagpieBufferLarge" {
    expr        = "magpie_buffer_bytes > 4 * 1024 * 1024 * 1024"
    for         = "10m"
    labels      = { severity = "warning" }
    annotations = { summary = "The buffer of {{ $labels.instance }} holds {{ $value | humanize1024 }}B" }
  }
}
