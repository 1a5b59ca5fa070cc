# What magpie plugin verify opens: a page without a series, behind a password.
source "prometheus" "verify" {
  targets = [env("VERIFY_ADDR")]
  labels  = { rack = "a" }
  basic_auth {
    username = "magpie"
    password = secret("env:PASSWORD")
  }
}

discovery "file" "verify" {
  files = ["${env("VERIFY_DIR")}/*.json"]
}
