package main

import (
	"maps"
	"regexp"
	"slices"
	"strconv"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/magpie-monitoring/magpie/sdk"
)

// What the member list says of a member, whether it answers or not.
var (
	memberInfo    = sdk.Gauge("etcd_member_info", "1 for a member of the list: its name and its id, in hexadecimal digits as etcdctl prints it.", "member", "member_id")
	memberStarted = sdk.Gauge("etcd_member_started", "1 if the member has ever started, 0 if it was only added to the list.")
	memberLearner = sdk.Gauge("etcd_member_learner", "1 if the list has the member as a learner, which does not vote, 0 if it votes.")
)

// What a member answers to the Status call of etcd's maintenance API (rpc.proto, StatusResponse), as it sees itself.
var (
	statusSuccess     = sdk.Gauge("etcd_status_success", "1 if the member answered the Status call, 0 if not.")
	statusInfo        = sdk.Gauge("etcd_status_info", "1; the labels are the member's id, the version of etcd that it runs, and the storage version of its data (etcd 3.6 and later).", "member_id", "version", "storage_version")
	statusLeader      = sdk.Gauge("etcd_status_leader", "1 for the id of the member that this member takes for the leader; absent while it knows none.", "leader")
	statusHasLeader   = sdk.Gauge("etcd_status_has_leader", "1 if the member knows a leader.")
	statusIsLeader    = sdk.Gauge("etcd_status_is_leader", "1 if the member takes itself for the leader.")
	statusIsLearner   = sdk.Gauge("etcd_status_is_learner", "1 if the member is a learner.")
	statusRaftTerm    = sdk.Gauge("etcd_status_raft_term", "The member's raft term.")
	statusRaftIndex   = sdk.Gauge("etcd_status_raft_index", "The last raft index that the member knows as committed.")
	statusRaftApplied = sdk.Gauge("etcd_status_raft_applied_index", "The last raft index that the member has applied.")
	statusDBSize      = sdk.Gauge("etcd_status_db_size_bytes", "Size of the member's database file.")
	statusDBInUse     = sdk.Gauge("etcd_status_db_size_in_use_bytes", "Bytes of the database file that hold data; the rest is what a defragmentation would free.")
	statusDBQuota     = sdk.Gauge("etcd_status_db_size_quota_bytes", "Quota of the database: at this size the cluster takes no more writes (etcd 3.6 and later).")
	statusAlarms      = sdk.Gauge("etcd_status_alarms", "How many members have the alarm raised, as this member knows.", "alarm")
	statusErrors      = sdk.Gauge("etcd_status_errors", "How many errors other than alarms the member reports, such as having no leader.")
)

// health is 0 for what an alarm, a missing leader or a failing read makes unhealthy, and for no answer in time.
var health = sdk.Gauge("etcd_health", "1 if the member's /health says that it is healthy, 0 if it says no or nothing.")

// What is looked at beyond what a member says by itself.
var (
	healthCheck  = sdk.Gauge("etcd_health_check", "1 if a check of the member's /livez or /readyz passes, 0 if it fails (etcd 3.5.11 and later).", "path", "check")
	expires      = sdk.Gauge("etcd_certificate_expiry_timestamp_seconds", "When the certificate expires that is shown at the member's client URL or peer URL: the first, if it has several.", "url")
	peerAnswers  = sdk.Gauge("etcd_peer_url_answers", "1 if the member's peer URL answered at the last look from where Magpie runs, 0 if not. It is looked at every 5 minutes, and when the member list changes it.", "peer_url")
	hashDiffers  = sdk.Gauge("etcd_hash_differs", "1 if the member's data differed from those of the majority at the last comparison of hashes, twice; where there is no majority, 1 for all of them. Absent while it could not be compared.")
	hashTime     = sdk.Gauge("etcd_hash_compared_timestamp_seconds", "When the hashes were last compared.")
	probeSuccess = sdk.Gauge("etcd_probe_success", "1 if the probe's last operation of this kind at the member succeeded, 0 if not.", "operation")
)

// setStatus writes the answer to a Status call.
func setStatus(t *sdk.Batch, r *etcdserverpb.StatusResponse) {
	id := r.GetHeader().GetMemberId()
	t.Set(statusInfo, 1, hex(id), clip(r.Version), clip(r.StorageVersion))
	if r.Leader != 0 {
		t.Set(statusLeader, 1, hex(r.Leader))
	}
	t.Set(statusHasLeader, number(r.Leader != 0))
	t.Set(statusIsLeader, number(r.Leader != 0 && r.Leader == id))
	t.Set(statusIsLearner, number(r.IsLearner))
	t.Set(statusRaftTerm, float64(r.RaftTerm))
	t.Set(statusRaftIndex, float64(r.RaftIndex))
	t.Set(statusRaftApplied, float64(r.RaftAppliedIndex))
	t.Set(statusDBSize, float64(r.DbSize))
	t.Set(statusDBInUse, float64(r.DbSizeInUse))
	if r.DbSizeQuota != 0 {
		t.Set(statusDBQuota, float64(r.DbSizeQuota))
	}
	alarms, others := countErrors(r.Errors)
	for _, name := range slices.Sorted(maps.Keys(alarms)) { // in the same order every time: the stream is small then
		t.Set(statusAlarms, alarms[name], name)
	}
	t.Set(statusErrors, others)
}

// alarmText is how the server prints an alarm into the errors of its status: an AlarmMember in the text format of protobuf,
// with one space or two between the fields, for the format is not stable by design.
var alarmText = regexp.MustCompile(`^(?:memberID:\d+)?\s*alarm:(NOSPACE|CORRUPT)\s*$`)

// countErrors separates the alarms, each of etcd's two kinds with its number, from other errors.
func countErrors(errs []string) (alarms map[string]float64, others float64) {
	alarms = map[string]float64{
		etcdserverpb.AlarmType_NOSPACE.String(): 0,
		etcdserverpb.AlarmType_CORRUPT.String(): 0,
	}
	for _, e := range errs {
		if m := alarmText.FindStringSubmatch(e); m != nil {
			alarms[m[1]]++
		} else {
			others++
		}
	}
	return alarms, others
}

// hex writes an id as etcdctl does.
func hex(id uint64) string { return strconv.FormatUint(id, 16) }

func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
