// The Prometheus that benchmarks run beside: the version that plugins/tsdb is built with. A module of its own, so that what
// its command needs is not in ours.
module github.com/magpie-monitoring/magpie/daemon/testdata/prometheus

go 1.26.0

require github.com/prometheus/prometheus v0.315.0
