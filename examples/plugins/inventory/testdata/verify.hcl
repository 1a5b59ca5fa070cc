# What magpie plugin verify opens: an inventory without a file.
processor "inventory" "verify" {
  table = <<-EOT
    host,owner
    db1,Zoë
  EOT
}
