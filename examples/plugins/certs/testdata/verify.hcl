# What magpie plugin verify opens: an authority that every Debian knows, and none.
source "certs" "verify" {
  files = ["/etc/ssl/certs/*Root_X1.pem", "${env("VERIFY_DIR")}/*.pem"]
}
