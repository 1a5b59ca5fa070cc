# Every notification as lines in the daemon's log.
notifier "log" "main" {}

# The same, all at one level, and with few alerts.
notifier "log" "quiet" {
  level      = "debug"
  max_alerts = 5
}

route {
  notify = [notifier.log.main]
}
