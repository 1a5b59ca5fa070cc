# Where Telegraf's outputs.influxdb and outputs.influxdb_v2 can write to: urls = ["http://127.0.0.1:8086"].
source "influx" "telegraf" {
  http_listen    = "127.0.0.1:8086"
  udp_listen     = "127.0.0.1:8089"
  token          = secret("env:INFLUX_TOKEN")
  database_label = "db"
}
