# Who owns a machine, and where it stands. A pipeline uses it: through = [processor.inventory.machines]
processor "inventory" "machines" {
  file   = "/etc/magpie/machines.csv" # host,owner,room
  column = "host"
  label  = "instance"
  add    = ["owner", "room"]
}
