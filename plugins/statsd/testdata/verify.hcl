# What magpie plugin verify opens: ports of the kernel's choice.
source "statsd" "verify" {
  listen = ["udp://127.0.0.1:0", "tcp://127.0.0.1:0"]
}
