source "hello_python" "queue" {
  path = "/tmp"
}
