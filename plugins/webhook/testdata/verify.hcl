# What magpie plugin verify opens: a receiver that takes everything.
notifier "webhook" "verify" {
  url   = "${env("VERIFY_URL")}/hook"
  token = secret("env:HOOK_TOKEN")
}
