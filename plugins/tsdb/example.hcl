# Metrics of this machine for thirty days, in a directory below the daemon's data_dir.
store "tsdb" "main" {}

# The same with everything said.
store "tsdb" "archive" {
  path            = "/srv/magpie/metrics" # another disk; moving it later needs a gap, and moves no data
  retention       = "2y"
  retention_size  = "200GiB" # whichever comes first
  out_of_order    = "2h"     # what comes late is taken up to this age
  wal_compression = "zstd"
  max_exemplars   = 50000  # the newest of all series, 8 MB
  min_free        = "1GiB" # below that, writes wait for room

  query {
    timeout        = "30s"
    max_concurrent = 8
    max_samples    = 20000000 # 320 MB for one query at most
    max_series     = 50000    # in a list of series or label values
    lookback       = "5m"
  }
}
