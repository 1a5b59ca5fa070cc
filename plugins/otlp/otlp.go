// The plugin "otlp" speaks OpenTelemetry's protocol for metrics, over gRPC and over HTTP.
//
// The source receives from OpenTelemetry SDKs and Collectors: protobuf, over HTTP also JSON, compressed with gzip or not. Which series they become is what Prometheus 3 makes of them at its own OTLP endpoint,
// so that dashboards and rules written for that work unchanged.
//
// # Source: what becomes of a metric
//
// Gauges and sums become one series for each set of attributes, histograms with explicit bounds the classic _bucket, _sum
// and _count, summaries their quantiles. service.namespace/service.name becomes the label job (without a service.name the
// block's job), service.instance.id instance, the other resource attributes those of target_info. The flag "no recorded
// value" becomes a staleness marker. Exponential histograms become native ones (scales above 8 are merged to 8, those below -4
// are refused). Exemplars of sums and histograms are kept, each once, with trace_id and span_id.
//
// Deltas are added up to running totals, for sums and both kinds of histograms. A total lives as long as its series (idle_timeout)
// and begins at zero after a restart of the plugin, which rate() sees as a reset. A delta that is not newer than the last
// one of its series is refused: so one that is sent twice, since an answer was lost, counts once.
//
// # Source: delivery
//
// A sender is answered when its data is durable in the daemon's log. Where the daemon has no room, or max_requests are being
// read, the answer is RESOURCE_EXHAUSTED with RetryInfo, or 429 with Retry-After; where durability is not confirmed in 10 s,
// UNAVAILABLE or 503. OpenTelemetry's senders try all of these again. A request that is no OTLP is refused whole and changes
// nothing. Single data points that cannot be taken are left out, counted by reason, and told to the sender as
// partial_success:
//
//	invalid_name, invalid_labels  a name or an attribute that no series can have
//	invalid_time                  no time, or more than 10 minutes in the future
//	invalid_histogram             buckets, bounds and counts that do not fit together, or more than 10,000 buckets
//	no_value, no_temporality      the field is missing
//	late_delta, unlike_delta      not newer than the last one; nothing that can be added up
//	limit_series                  more series than limit_series
//
// # Source: bounds
//
// Memory: max_requests times max_request_size for requests on their way, 24 bytes for each sample of the one that is being
// read, and for each live series (at most limit_series, forgotten after idle_timeout) the bytes of its attributes and about
// 400 bytes. Attributes may nest 16 deep. A request must arrive within 30 s.
//
// # Sink: what is sent
//
// A series' labels job and instance become service.name and service.instance.id of a resource, the others attributes. Counters
// become cumulative monotonic sums; as nobody knows when they began, they begin when they are first seen, and after a fall at
// the sample before it. All else is a gauge, but for the _bucket, _sum and _count series of histograms and summaries: these
// go one by one, as sums that are not monotonic. That keeps names and values through a Prometheus or a Magpie at the other
// end; a backend that wants whole classic histograms does not get them. Native histograms are sent as exponential ones, those
// with custom buckets as histograms with explicit bounds. Staleness markers become the flag "no recorded value". An exemplar
// goes with the first point of its series (of a classic histogram: of its bucket) that is not older, or else the last; one
// whose series has no sample in the batch is left out.
//
// # Sink: delivery
//
// A batch is acknowledged when the receiver has answered for all of it; its requests go one after another, so that a series'
// samples stay in order. What the specification calls retryable is tried again (UNAVAILABLE, ABORTED, RESOURCE_EXHAUSTED with
// RetryInfo and others; 429, 502, 503, 504; no answer), not before the time that RetryInfo or Retry-After names, up to an
// hour, and goes on behind what the receiver has. What is too large is sent again in halves. All else is final, shown, and
// its samples are counted as dropped:
//
//	partial_success  as many as the receiver says; which ones it does not say
//	rejected         any other answer
//	unauthorized     401, 403, UNAUTHENTICATED, PERMISSION_DENIED
//	not_found        404, UNIMPLEMENTED
//	too_large        even alone
//	fractional_histogram, gauge_histogram, sparse_histogram
//	                 a native histogram that OTLP cannot say: counts that are not whole or may fall, more than 40,000
//	                 buckets with the empty ones between
//
// Memory: one request for each pipeline that ends in the sink (max_request_size, and what it is compressed to), the labels
// of each live series and about 250 bytes.
//
// # How it is tested
//
// OpenTelemetry's Go SDK sends through its own exporters, over gRPC and HTTP, with gzip and without, with deltas and without.
// Three thousand generated requests, and those of a fuzz target, go through the source and through the converter of
// Prometheus 3, which must make the same series, samples and exemplars. The sink sends into the source, and into the OTLP endpoint of
// Prometheus 3 over its database. Debian has neither an OpenTelemetry Collector nor a Prometheus with an OTLP endpoint: the
// Prometheus here is the library that go.mod names, and what receivers answer in trouble comes from a stub.
//
// # Files
//
//	source.go, http.go, grpc.go            the receiver: listening, answering
//	intake.go, request.go, points.go       from a request to samples
//	exponential.go, exemplars.go           exponential histograms, exemplars
//	context.go, names.go, attributes.go    what is known of a sender; names and labels
//	sink.go, post.go, encode.go, native.go,
//	examples.go                            the sink: a batch's way, requests and answers, messages
//	protobuf.go                            reading protobuf in place
package main
