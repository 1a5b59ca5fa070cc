variable "clusters" {
  description = "The clusters, by the name that becomes the label cluster"
  type = map(object({
    endpoints         = list(string)
    labels            = optional(map(string), {})
    username          = optional(string)
    password          = optional(string)
    tls               = optional(object({ ca_file = optional(string), cert_file = optional(string), key_file = optional(string), server_name = optional(string), insecure_skip_verify = optional(bool, false) }))
    discover_members  = optional(bool, true)
    metrics_endpoints = optional(map(string))
    hash_interval     = optional(string)
    hash_up_to        = optional(string, "512MiB")
    probe             = optional(bool)
    data_dir          = optional(string)
    log               = optional(object({ path = string, member = string }))
  }))
  validation {
    condition     = alltrue([for name in keys(var.clusters) : can(regex("^[A-Za-z0-9._-]+$", name))])
    error_message = "A cluster's name is of letters, digits, dots, _ and -."
  }
}

variable "interval" {
  description = "How often each cluster is asked; null: as often as the daemon's other sources"
  type        = string
  default     = null
}

variable "timeout" {
  description = "How long asking a cluster may take; null: as long as with the daemon's other sources"
  type        = string
  default     = null
}

variable "probe" {
  description = "Act as a client at every cluster that does not say it itself: two writes an interval, under a lease"
  type        = bool
  default     = false
}

variable "probe_prefix" {
  description = "Where the probe's key is; with authentication on its user needs readwrite there"
  type        = string
  default     = "magpie/probe/"
}

variable "labels" {
  description = "Labels of all series of all clusters"
  type        = map(string)
  default     = {}
}

variable "alert_labels" {
  description = "Labels of all alerts, for routes: { team = \"db\" }"
  type        = map(string)
  default     = {}
}

variable "store" {
  description = "The store that the rules ask; none: the only one"
  type        = references
  default     = []
}

variable "quota_hours" {
  description = "Horizon of etcdExcessiveDatabaseGrowth: the file grows to its quota within so many hours"
  type        = number
  default     = 4
}

variable "quota_days" {
  description = "Horizon of etcdQuotaFullSoon: what is stored grows to the quota within so many days"
  type        = number
  default     = 3
}

variable "thresholds" {
  description = "Where alerts begin, each by itself: { fsync_seconds_warning = 0.1 }"
  type = object({
    leader_changes            = optional(number, 4) # in 15 minutes
    failed_requests_warning   = optional(number, 0.01)
    failed_requests_critical  = optional(number, 0.05)
    request_seconds           = optional(number, 0.15)
    probe_seconds             = optional(number, 0.5)
    peer_seconds              = optional(number, 0.15)
    failed_proposals          = optional(number, 5) # a second
    fsync_seconds_warning     = optional(number, 0.5)
    fsync_seconds_critical    = optional(number, 1)
    commit_seconds            = optional(number, 0.25)
    applied_lag               = optional(number, 1000)
    follower_lag              = optional(number, 5000)
    quota_share               = optional(number, 0.95)
    in_use_share              = optional(number, 0.5)
    log_lines                 = optional(number, 20) # in 15 minutes
    certificate_days_warning  = optional(number, 14)
    certificate_days_critical = optional(number, 2)
  })
  default = {}
}
