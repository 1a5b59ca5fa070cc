# Who leads.

rules "etcd_leader" {
  store  = var.store
  labels = var.alert_labels

  alert "etcdNoLeader" {
    expr   = "etcd_server_has_leader == 0"
    for    = "1m"
    labels = { severity = "critical" }
    annotations = {
      summary     = "Member {{ $labels.instance }} of etcd {{ $labels.cluster }} knows no leader"
      description = "The member knows no leader: it refuses writes and linearizable reads. If all members say so, the quorum is lost; if one does, it is cut off."
      action      = "See how many members run and whether they reach each other at their peer URLs."
    }
    diagnose = [diagnoser.etcd.main]
  }

  alert "etcdLeadersDisagree" {
    expr   = "count without (leader) (count without (instance) (etcd_status_leader)) > 1"
    for    = "1m"
    labels = { severity = "critical" }
    annotations = {
      summary     = "The members of etcd {{ $labels.cluster }} follow {{ $value }} different leaders"
      description = "Members follow different leaders for a minute, which an election settles in seconds: the network is cut in parts, or members of two clusters are mixed."
      action      = "Compare member ids and cluster ids of all endpoints, then the peer links between them."
    }
    diagnose = [diagnoser.etcd.main]
  }

  alert "etcdTermsDiffer" {
    expr   = "max without (instance) (etcd_status_raft_term) - min without (instance) (etcd_status_raft_term) > 0"
    for    = "2m"
    labels = { severity = "warning" }
    annotations = {
      summary     = "The members of etcd {{ $labels.cluster }} are in different terms, {{ $value }} apart: one missed an election"
      description = "A member is in another term than the rest: it missed an election, or holds one alone because nobody hears it."
      action      = "Look at its peer links. A member that campaigns alone raises its term all the time."
    }
    diagnose = [diagnoser.etcd.main]
  }

  alert "etcdHighNumberOfLeaderChanges" {
    expr   = "increase(max without (instance) (etcd_server_leader_changes_seen_total)[15m:1m]) >= ${var.thresholds.leader_changes}"
    for    = "5m"
    labels = { severity = "warning" }
    annotations = {
      summary     = "The leader of etcd {{ $labels.cluster }} changed {{ $value | humanize }} times in 15 minutes: look at disks, load and network"
      description = "The leader changes again and again. Each time writes wait for an election, and clients see leader changed or request timed out."
      action      = "Look at fsync and commit times, at the round trip between members and at the load of their machines, in this order."
    }
    diagnose = [diagnoser.etcd.main]
  }
}
