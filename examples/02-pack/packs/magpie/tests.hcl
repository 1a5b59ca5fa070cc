# What fires, and what must not. A test sees the rules of the pack, as they are where it is brought in.

test "a daemon that is gone" {
  series = <<-SERIES
    up{job='magpie', instance='a', place='here'} 1 0x10
    up{job='magpie', instance='b', place='here'} 1x11
    up{job='node', instance='c'} 0x11
  SERIES
  expect "2m" { pending = ["MagpieDown"] }
  expect "4m" {
    firing = ["MagpieDown"]
    alert "MagpieDown" {
      labels      = { instance = "a", severity = "critical" }
      annotations = { summary = "The daemon at a does not answer" }
    }
  }
}

test "a daemon that restarts" {
  series = <<-SERIES
    up{job='magpie', instance='a'} 1 0 1x10
  SERIES
  expect "1m" { pending = ["MagpieDown"] }
  expect "10m" {
    firing  = []
    pending = []
  }
}

test "a pipeline that is stuck, and one that is only slow" {
  series = <<-SERIES
    magpie_pipeline_lag_seconds{sink='sink.remote_write.central'} 0 100x10
    magpie_pipeline_lag_seconds{sink='store.tsdb.main'} 5x11
  SERIES
  expect "5m" {
    firing = ["MagpiePipelineStuck"]
    alert "MagpiePipelineStuck" { labels = { sink = "sink.remote_write.central" } }
  }
}

test "samples that are lost, once" {
  series = <<-SERIES
    magpie_pipeline_lost_samples_total{sink='store.tsdb.main'} 0x3 500x30
  SERIES
  expect "3m" { firing = [] }
  expect "5m" { firing = ["MagpieSamplesLost"] }
  expect "20m" { firing = [] }
}

test "a component that stays down" {
  series = <<-SERIES
    magpie_component_up{component='source.etcd.main'} 1 0x20
    magpie_component_up{component='source.host.this'} 1 0 0 1x18
  SERIES
  expect "3m" { pending = ["MagpieComponentDown"] }
  expect "15m" {
    firing = ["MagpieComponentDown"]
    alert "MagpieComponentDown" { labels = { component = "source.etcd.main" } }
  }
}

test "a buffer that grows" {
  series = <<-SERIES
    magpie_buffer_bytes{instance='a'} 1e9 5e9x20
    magpie_buffer_bytes{instance='b'} 1e9x21
  SERIES
  expect "15m" { firing = ["MagpieBufferLarge"] }
}
