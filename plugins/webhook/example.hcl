# Notifications to anything that takes Alertmanager's webhook.
notifier "webhook" "oncall" {
  url     = "https://hooks.example/magpie"
  token   = secret("env:HOOK_TOKEN")
  headers = { "X-Team" = "platform" }
}

route {
  notify = [notifier.webhook.oncall]
}
