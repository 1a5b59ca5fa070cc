# Every node of a rack, two of them named here and the others listed in files that a script writes.
source "prometheus" "node" {
  interval = "15s"
  targets  = ["10.0.0.1:9100", "https://10.0.0.2/node/metrics"]
  target "10.0.0.3:9100" { labels = { rack = "b" } }
  discover = [discovery.file.hosts]

  # Targets: Prometheus' relabel_configs, in order. Here the label host becomes the address without its port.
  relabel {
    source_labels = ["__address__"]
    regex         = "(.*):[0-9]+"
    target_label  = "host"
    replacement   = "$1"
  }

  # Series: Prometheus' metric_relabel_configs.
  metric_relabel {
    source_labels = ["__name__"]
    regex         = "go_gc_.*"
    action        = "drop"
  }

  scrape_native_histograms = true # asks for protobuf: worth it for targets that have them

  sample_limit    = 10000 # a page with more fails
  body_size_limit = "16MiB"

  tls { ca_file = "/etc/magpie/node-ca.pem" }
  basic_auth {
    username = "magpie"
    password = secret("file:/run/secrets/node")
  }
}

# JSON or YAML as Prometheus' file_sd has it: [{"targets": ["10.0.0.9:9100"], "labels": {"rack": "c"}}]
discovery "file" "hosts" {
  files = ["/etc/magpie/targets/*.json", "/etc/magpie/targets/*.yml"]
}
