# What magpie plugin verify opens.
sink "file" "verify" {
  path = "${env("VERIFY_DIR")}/metrics.jsonl"
}

source "file" "verify" {
  paths = ["${env("VERIFY_DIR")}/*.log"]
}
