# Alerts by mail.
notifier "mail" "oncall" {
  server   = "mail.example.org:587"
  from     = "Magpie <magpie@example.org>"
  to       = ["oncall@example.org"]
  username = "magpie"
  password = secret("env:MAIL_PASSWORD")
}

route {
  notify = [notifier.mail.oncall]
}
