# What magpie plugin verify opens: no mail server. A listener that says nothing in its place.
notifier "mail" "verify" {
  server       = env("VERIFY_TCP")
  from         = "magpie@example.org"
  to           = ["oncall@example.org"]
  username     = "magpie"
  password     = secret("env:MAIL_PASSWORD")
  send_timeout = "1s"
}
