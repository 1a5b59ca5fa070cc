// The plugin "remote_write" speaks Prometheus' remote write: the sink sends samples to whatever receives them (Prometheus,
// Mimir, Thanos, VictoriaMetrics and others), and the source receives what others send, in version 1.0 and 2.0 of the protocol.
// The store "prometheus" is such a receiver that is asked, too: the sink and a client of Prometheus' HTTP API.
//
// # Delivery
//
// A batch is acknowledged when the receiver has answered for all of it: what is on the way is in the daemon's log until
// then, and a sink or a receiver that dies loses nothing. 5xx, 429 and no answer are tried again, not before the time that
// a Retry-After header names, up to an hour; of a batch that failed only those requests are sent again that failed. Any
// other answer is final, as the specifications say: the samples are dropped, counted by reason, and the error is shown.
//
//	rejected        400; with 2.0, only the samples that were not written
//	unauthorized    401, 403
//	not_found       404
//	too_large       413, even to a request of one sample; larger ones are sent again in halves
//	refused         any other answer but 2xx, 5xx and 429
//	unknown_series  a series that the daemon never defined
//
// A receiver of protocol 1.0 can refuse a whole request because of one bad sample (Prometheus does). Such a request is sent
// again once, in parts, one for each component and target, so that one target's bad samples do not cost the others theirs.
//
// What was sent twice, because an answer was lost, carries the same series, times and values. Receivers take the newest sample
// of a series again without a word; older ones they may count as out of order.
//
// # Protocol
//
// With protocol = "auto" the first request is of version 2.0. A receiver that knows it answers with headers that say how many
// samples were written; one that does not gets the same samples again in version 1.0, and so all others, until the
// component opens anew. 2.0 carries type, unit and help text with every series; 1.0 gets them in requests of their own.
//
// Native histograms and exemplars go along in both. An exemplar goes with a sample of its series; one that comes without is left
// out.
//
// # Order and memory
//
// A batch of up to max_samples is one request. A larger one is spread over shards by series, so that the samples of a series
// stay in order. What comes while a batch is on its way is gathered and is the next one, up to some 40,000 samples, so that a
// receiver far away keeps up, too. There is no other queue: at most 4 MiB of samples are here, the rest waits in the daemon's log. Memory: about 100 B and the
// labels of each live series (with 2.0 every distinct text once), and for each shard one request, which is some 300 B a
// sample with 1.0 and 100 B with 2.0.
//
// # Receiving
//
// The source takes requests at the daemon's own address under /api/v1/write, and at a listener of its own, which can have TLS and
// ask senders for a password, a token or a certificate. It answers 204 when the samples are in the daemon's log on disk. A
// request that finds no room is answered 503 with Retry-After (never 429, which a Prometheus takes for the end of its samples
// unless it is told otherwise), and comes again; what of it was already taken comes twice then, with the same values.
//
// Series keep the labels that the sender gave them, job and instance too; those of the block's labels are added, and a label of
// the same name becomes exported_<name>. Samples out of order pass, staleness markers too: a series goes stale when its
// sender says so. Samples that cannot be taken are refused with 400 and the first reason, and with the numbers of what was
// written, and the rest of the request is taken: labels without a name, twice or no UTF-8, references to no symbol, more
// series than limit_series, invalid histograms, samples later than nine minutes from now.
//
// A request larger than max_body, compressed or not, is refused with 413 before there is memory for it. Memory: what a
// hostile sender can make the source use is about six times max_body for each of max_concurrent requests; an ordinary
// request takes some 500 B a sample while it is read; a series that was sent within fifteen minutes about 200 B and its labels.
//
// # The remote as a store
//
// The store writes as the sink does, to /api/v1/write below url if nothing else is said, and asks the HTTP API below
// /api/v1 for what rules, the console and other plugins want to know. The daemon's own /api/v1 is passed on to it, but for what
// the daemon answers itself: queries, series, labels, metadata, exemplars and remote read, with the credentials of the block and
// not those of the client; nothing that changes or deletes. An expression is checked here for quotes and brackets without
// their other half, and then by the remote's format_query; where the remote does not answer, it passes, and is told
// at its first evaluation. Answers are read up to max_result.
//
// # How it is tested
//
// A real Prometheus (Debian's 2.42) receives protocol 1.0 from the sink while it is killed and started again, and another one sends
// to the source; a third is the store; the receiver of the Prometheus that go.mod names takes protocol 2.0 over its database; sink and source speak
// to each other in both versions. Everything else is tested with requests that are written and read with the code generated from
// the specification's messages, and the source's decoders are fuzzed against it.
//
// # Files
//
// config.go holds the blocks. Sending: sink.go is the component, job.go a batch on its way, encode.go the messages,
// series.go what is known of series, post.go requests and answers. Receiving: source.go is the component, receive.go
// requests and answers, message.go and decode.go read them, dictionary.go what is known of series. The store: store.go,
// and query.go, which asks.
package main

const version = "0.1.0"
