# What magpie plugin verify opens: a receiver that takes everything, and ports of the kernel's choice.
sink "remote_write" "verify" {
  url = env("VERIFY_URL")
  basic_auth {
    username = "magpie"
    password = secret("env:PASSWORD")
  }
}

source "remote_write" "verify" {
  listen = "127.0.0.1:0"
  basic_auth {
    username = "prometheus"
    password = secret("env:PASSWORD")
  }
}

store "prometheus" "verify" {
  url = env("VERIFY_URL")
}
