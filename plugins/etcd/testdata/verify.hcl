# What magpie plugin verify opens: an address that answers, and is no etcd.
source "etcd" "verify" {
  endpoints = [env("VERIFY_URL")]
  username  = "monitor"
  password  = secret("env:ETCD_PASSWORD")
}

diagnoser "etcd" "verify" {
  endpoints = [env("VERIFY_URL")]
}

coordinator "etcd" "verify" {
  endpoints = [env("VERIFY_URL")]
  username  = "magpie"
  password  = secret("env:ETCD_PASSWORD")
}
