# What magpie plugin verify opens: ports of the kernel's choice.
source "influx" "verify" {
  http_listen = "127.0.0.1:0"
  udp_listen  = "127.0.0.1:0"
  token       = secret("env:INFLUX_TOKEN")
}
