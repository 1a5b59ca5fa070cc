# What magpie plugin verify opens: VERIFY_TCP takes whatever it is sent.
sink "graphite" "verify" {
  address = env("VERIFY_TCP")
}
