# Who is there, who votes, and who does not answer.

rules "etcd_members" {
  store  = var.store
  labels = var.alert_labels

  alert "etcdMembersDown" {
    expr   = "up{job=~'.*etcd.*'} == 0"
    for    = "2m"
    labels = { severity = "warning" }
    annotations = {
      summary     = "Member {{ $labels.instance }} of etcd {{ $labels.cluster }} does not answer"
      description = "The member's metrics page does not answer: its process is gone or hangs, or the machine or the way to it is. The others go on while they are a majority."
      action      = "Look at the process and its last log lines on the member's machine, then at the network between. Bring it back before a second one is lost."
    }
    diagnose = [diagnoser.etcd.main]
  }

  # Learners do not vote: they are left out, where etcd-mixin counts them.
  alert "etcdInsufficientMembers" {
    expr   = <<-PROMQL
      sum without (instance) (up{job=~'.*etcd.*'} unless on (job, instance) etcd_member_learner == 1)
        < (count without (instance) (up{job=~'.*etcd.*'} unless on (job, instance) etcd_member_learner == 1) + 1) / 2
    PROMQL
    for    = "1m"
    labels = { severity = "critical" }
    annotations = {
      summary     = "etcd {{ $labels.cluster }} has lost its quorum: {{ $value }} voting members answer, and it takes no writes"
      description = "Fewer than a majority of the voting members answer. The cluster takes no writes and no reads but serializable ones."
      action      = "Bring members back until a majority runs: that is all it takes, data are whole. Only if their disks are lost for good restore one member from a snapshot."
    }
    diagnose = [diagnoser.etcd.main]
  }

  # The second half of etcd-mixin's etcdMembersDown, as an alert of its own.
  alert "etcdPeerUnreachable" {
    expr   = <<-PROMQL
      sum without (To) (rate(etcd_network_peer_sent_failures_total[5m])) > 0.01
        unless ignoring (instance) max without (instance) (up{job=~'.*etcd.*'} == bool 0) == 1
    PROMQL
    for    = "10m"
    labels = { severity = "warning" }
    annotations = {
      summary     = "Member {{ $labels.instance }} of etcd {{ $labels.cluster }} cannot send to a peer, though all members answer"
      description = "All members answer here, and one of them cannot send to a peer: the network between members is cut, or a peer URL or certificate is wrong."
      action      = "Compare the peer URLs of the member list with where members listen, and try the peer port from the member's machine."
    }
    diagnose = [diagnoser.etcd.main]
  }

  alert "etcdMemberNeverStarted" {
    expr   = "etcd_member_started == 0"
    for    = "15m"
    labels = { severity = "warning" }
    annotations = {
      summary     = "A member of etcd {{ $labels.cluster }} was added and never started: peer URL {{ $labels.instance }}"
      description = "A member was added to the list and never joined. It counts for the quorum as one that is down."
      action      = "Start it with --initial-cluster-state=existing and the same peer URL, or remove it from the list."
    }
    diagnose = [diagnoser.etcd.main]
  }

  alert "etcdLearnerStuck" {
    expr   = "etcd_member_learner == 1"
    for    = "1h"
    labels = { severity = "warning" }
    annotations = {
      summary     = "{{ $labels.instance }} of etcd {{ $labels.cluster }} has been a learner for an hour: it does not vote"
      description = "A learner was never promoted: it does not vote, and clients that reach it are refused."
      action      = "See whether it has caught up with the leader, then promote it; if it does not catch up, remove it and add it anew."
    }
    diagnose = [diagnoser.etcd.main]
  }

  alert "etcdPeerURLUnanswered" {
    expr   = "etcd_peer_url_answers == 0 and on (job, instance) etcd_status_success == 1 and ignoring (instance, peer_url) group without (instance, peer_url) (etcd_peer_url_answers == 1)"
    for    = "10m"
    labels = { severity = "warning" }
    annotations = {
      summary     = "The peer URL {{ $labels.peer_url }} of {{ $labels.instance }} of etcd {{ $labels.cluster }} does not answer; those of others do"
      description = "The member answers clients, and its peer URL is wrong or cannot be reached. What is connected stays so: the cluster seems well until a connection breaks or the member restarts."
      action      = "Compare the member list with what the member listens on, and correct the list with etcdctl member update."
    }
    diagnose = [diagnoser.etcd.main]
  }

  alert "etcdEvenNumberOfVoters" {
    expr   = "count without (instance) (etcd_member_learner == 0) % 2 == 0"
    for    = "1h"
    labels = { severity = "info" }
    annotations = {
      summary     = "{{ $value }} of {{ $labels.cluster }}: an even number of members votes"
      description = "An even number of voters survives no more failures than one voter fewer, and waits for one more answer for each write."
      action      = "Add a voter or remove one."
    }
  }

  alert "etcdVersionsDiffer" {
    expr   = "count without (version) (count without (instance, member_id, storage_version) (etcd_status_info)) > 1"
    for    = "6h"
    labels = { severity = "info" }
    annotations = {
      summary     = "etcd {{ $labels.cluster }} has run different versions for six hours: an upgrade that was not finished"
      description = "Members have run different versions for hours: an upgrade that stopped half way. The cluster behaves as the oldest of them."
      action      = "Finish the upgrade, one member at a time, the leader last: the diagnosis says which member runs which version."
    }
    diagnose = [diagnoser.etcd.main]
  }

  alert "etcdStatusUnanswered" {
    expr   = "etcd_status_success == 0 and on (job, instance) up == 1"
    for    = "5m"
    labels = { severity = "warning" }
    annotations = {
      summary     = "{{ $labels.instance }} of etcd {{ $labels.cluster }} serves its metrics and does not answer over gRPC"
      description = "The metrics page answers and gRPC does not: the member hangs in a request, or what is between takes HTTP/1 only."
      action      = "Ask it with etcdctl endpoint status from its own machine; if it hangs there too, take a goroutine profile and restart it."
    }
    diagnose = [diagnoser.etcd.main]
  }

  alert "etcdUnhealthy" {
    expr   = "etcd_health == 0 and on (job, instance) up{job=~'.*etcd.*'} == 1"
    for    = "2m"
    labels = { severity = "warning" }
    annotations = {
      summary     = "{{ $labels.instance }} of etcd {{ $labels.cluster }} answers, and says that it is not healthy"
      description = "The member's own /health says no: an alarm is raised, it knows no leader, or a read does not come through."
      action      = "The diagnosis says which of them it is; /health names the reason since 3.5."
    }
    diagnose = [diagnoser.etcd.main]
  }
}
