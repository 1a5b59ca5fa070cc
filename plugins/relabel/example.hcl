# Keep the store small and the labels tidy. A pipeline uses it: through = [processor.relabel.tidy]
processor "relabel" "tidy" {
  drop = ["etcd_debugging_.*", "go_memstats_.*"]

  # Write the host, without its port, into a label of its own.
  rule {
    source_labels = ["instance"]
    regex         = "(.*):[0-9]+"
    target_label  = "host"
  }

  # Take a label away.
  rule {
    action = "labeldrop"
    regex  = "pod_template_hash"
  }
}
