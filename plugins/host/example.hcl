# This machine. A block with nothing in it watches everything that there is to watch.
source "host" "this" {
}

# Less of it: two collectors out of all, without container networks and the filesystems of a backup.
source "host" "lean" {
  interval             = "1m"
  exclude              = ["hwmon", "processes"]
  net_devices_exclude  = "^(veth|cali|lo$)"
  mount_points_exclude = "^/(dev|proc|sys|mnt/backup)($|/)"
}

# From within a container that has the machine's filesystems under /host; one more collector than by default, and what cron
# jobs leave in files.
source "host" "container" {
  collect       = ["default", "threads"]
  proc_path     = "/host/proc"
  sys_path      = "/host/sys"
  root_path     = "/host"
  textfile_dirs = ["/host/var/lib/metrics"]
}
