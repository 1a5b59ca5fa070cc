// The source "otlp" receives metrics from OpenTelemetry SDKs and Collectors: OTLP over gRPC, and over HTTP as protobuf or
// JSON, compressed with gzip or not. Which series they become is what Prometheus 3 makes of them at its own OTLP endpoint,
// so that dashboards and rules written for that work unchanged.
//
// # What becomes of a metric
//
// Gauges and sums become one series for each set of attributes, histograms with explicit bounds the classic _bucket, _sum
// and _count, summaries their quantiles. service.namespace/service.name becomes the label job (without a service.name the
// block's job), service.instance.id instance, the other resource attributes those of target_info. The flag "no recorded
// value" becomes a staleness marker. Exponential histograms are refused and counted; exemplars are left out.
//
// Deltas are added up to running totals, for sums and histograms alike. A total lives as long as its series (idle_timeout)
// and begins at zero after a restart of the plugin, which rate() sees as a reset. A delta that is not newer than the last
// one of its series is refused: so one that is sent twice, since an answer was lost, counts once.
//
// # Delivery
//
// A sender is answered when its data is durable in the daemon's log. Where the daemon has no room, or max_requests are being
// read, the answer is RESOURCE_EXHAUSTED with RetryInfo, or 429 with Retry-After; where durability is not confirmed in 10 s,
// UNAVAILABLE or 503. OpenTelemetry's senders try all of these again. A request that is no OTLP is refused whole and changes
// nothing. Single data points that cannot be taken are left out, counted by reason, and told to the sender as
// partial_success:
//
//	invalid_name, invalid_labels  a name or an attribute that no series can have
//	invalid_time                  no time, or more than 10 minutes in the future
//	invalid_histogram             buckets and bounds that do not fit together
//	no_value, no_temporality      the field is missing
//	late_delta, unlike_delta      not newer than the last one; NaN or infinite
//	exp_histograms                exponential histograms
//	limit_series                  more series than limit_series
//
// # Bounds
//
// Memory: max_requests times max_request_size for requests on their way, 24 bytes for each sample of the one that is being
// read, and for each live series (at most limit_series, forgotten after idle_timeout) the bytes of its attributes and about
// 400 bytes. Attributes may nest 16 deep. A request must arrive within 30 s.
//
// # How it is tested
//
// OpenTelemetry's Go SDK sends through its own exporters, over gRPC and HTTP, with gzip and without, with deltas and without.
// Three thousand generated requests, and those of a fuzz target, go through this plugin and through the converter of
// Prometheus 3 (a library here), which must make the same series and samples. Debian has neither an OpenTelemetry Collector nor
// a Prometheus with an OTLP endpoint, so neither is run as a program of its own.
//
// # Files
//
//	source.go, http.go, grpc.go, guard.go  the receiver: listening, answering, who may send
//	intake.go, request.go, points.go       from a request to samples
//	context.go, names.go, attributes.go    what is known of a sender; names and labels
//	protobuf.go                            reading protobuf in place
package main
