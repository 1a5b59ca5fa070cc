source "hello_go" "queue" {
  path = "/tmp"
}
