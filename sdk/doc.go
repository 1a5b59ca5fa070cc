// Package sdk is the vocabulary of a Magpie plugin, and this is the guide for its authors: from nothing to a plugin that
// others install. Every interface that an author may implement is on one page, sdk.go; what a method promises stands there and
// is not said again here.
//
// # From nothing to samples
//
// With Go and Magpie's command line at hand,
//
//	magpie plugin new -kind source doors     # a module of its own: sources, tests, example.hcl, README
//	cd doors
//	magpie plugin verify .                   # builds it, and tries whether it keeps the contract: it does
//	magpie plugin run .                      # opens the block of example.hcl without a daemon; Ctrl-C ends it
//	make test
//	make build                               # bin/doors
//	magpie check -plugin-dir bin example.hcl # is it what a daemon takes?
//
// and, beside a daemon that was started with -plugin-dir bin, `magpie plugin dev` builds, checks and hands over every change.
// -kind and -lang say which kind (sample_processor is a processor of samples), in Go or Python. Until a version of this module is
// published, -replace PATH names a checkout's sdk directory; the binary of a checkout finds its own. From there on: change, test,
// verify.
//
// A first build, from empty caches, downloads six modules (17 MB) and compiles 318 packages, 200 of them Go's own library, which
// any program with an HTTP client needs: 54 s on two cores, 20 s where that library has been compiled before. Its tests need 17
// small modules more. The Makefile builds and tests with the same flags: with others everything is compiled again. Later builds
// take seconds.
//
// A plugin is one binary of one type or several. Its main function hands capabilities to serve.Main:
//
//	func main() { serve.Main("doors", "0.1.0", sdk.Source(open)) }
//
// A capability is made from an open function. The type of its second parameter, a pointer to a struct with hcl tags, is the
// schema of the block that an ops team writes; the value that it returns is the running component, one for each block:
//
//	func open(ctx context.Context, cfg *Config, host sdk.Host) (*doors, error)
//
//	source "doors" "house" { doors = ["front"] }
//
// The first word of the block is the kind, the second the type's name, which is the plugin's (or what [Named] says), the third
// is the ops team's. Any number of components live in one process, so keep no state in globals. serve fills their
// configuration, keeps their clock, recovers their panics, and restarts what fails.
//
// # Kinds
//
// A kind is one or two methods of the component, and a function that offers it:
//
//	Source           Collector    is asked every interval
//	StreamSource     Streamer     has a rhythm of its own: listeners, followers of logs
//	Processor        Mapper       changes the labels of series, or drops them; asked once a series
//	SampleProcessor  Deriver      makes other samples of samples; exactly once, whatever dies
//	Sink             Writer       takes batches away
//	Store            Storer       a sink that answers queries
//	Notifier         Messenger    tells people of alerts
//	Discovery        Finder       finds targets for sources
//	Diagnoser        Examiner     finds out what is wrong, and never repairs
//	Coordinator      Arbiter      decides between daemons: leases with a fence, and members
//	Service          Runner       anything else that is to run; serves HTTP
//
// Each has an example here. What a component can beyond its kind it says by implementing one of the optional interfaces at the
// end of sdk.go ([Prober], [Healther], [Reconfigurer], [Closer], [TargetSetter], [Forgetter], http.Handler). They are
// found by type assertion: close your file with a guard, so that a mistyped method is an error of the compiler:
//
//	var _ sdk.Prober = (*doors)(nil)
//
// # Configuration
//
// The tags of Config are the only place where a schema is declared: [Schema] lists every tag, type and check. The daemon
// reads HCL with the schema and answers mistakes with their line, before the plugin is asked. What tags cannot say, a Validate
// method says ([Validator]); it runs offline, and points at fields: d.Errorf(&c.Port, "port %d is reserved", c.Port). What
// only the world can say is for [Prober], which `magpie check -online` asks.
//
// Embed [HTTPClient] in what speaks HTTP, take a [TLS] block in what speaks TLS: names, checks and the rotation of files are
// then those that people know. Passwords and tokens are a [Secret]. Some attributes belong to every block and cannot be
// declared: [Reserved].
//
// The tag change says what it costs to change an attribute while the daemon runs: "replace" (the default) opens a new
// component before the old one is closed, so that nothing is missed; "exclusive" closes first, for what only one can hold, such
// as a directory; "live" hands the new values to [Reconfigurer] if nothing else differs. `magpie plan` shows it.
//
// # Batches
//
// Declare metrics as package variables, so that they are documented ([Gauge], [Counter], [Untyped]), and set them:
//
//	var open_ = sdk.Gauge("door_open", "1 if the door is open.", "door")
//
//	out.Set(open_, 1, "front")
//
// What cannot be declared beforehand has a [Series] of its own: ref := out.Series(s), then out.Put(ref, v) or, with a time of
// its own, out.PutAt. Where you keep the refs yourself, [Batch.Define] and [Batch.Put] spare the look-up. Histograms and
// exemplars are put likewise. serve adds the labels job and instance and those of the block; a label of yours of that name
// becomes exported_NAME. It tells `up`, `scrape_duration_seconds` and `scrape_samples_scraped`, marks as stale what a Collect
// does not set again, and drops what goes beyond the block's limit_series, counted. Counters are given as they are, never as
// differences: a fall is a reset.
//
// Samples that came to you and cannot be taken are counted with [Batch.Reject] under a reason. Reasons are a few fixed
// words: each is a label.
//
// # Targets
//
// A component that asks several addresses collects each with [Batch.Target]: each has its own instance, up, duration and error,
// one that fails does not hide the others, and they can be collected side by side. A source that implements [TargetSetter]
// takes its addresses from discoveries.
//
// # Errors
//
// Return errors; do not log them: they are counted by whom they blame, shown by `magpie status`, and logged once. A plain error
// blames the plugin. [Target] blames what is watched or written to, which is what most errors are. [At] blames an attribute,
// by a pointer to its field, and leads there from whatever call it is returned by. [Permanent] says that trying again cannot
// help, [RetryAfter] when to, [Fix] what a person can do. They can be combined. A panic ends the call that made it and is
// logged with its stack.
//
// # What the daemon gives
//
// [Host] is the component's door to the daemon: a logger, a directory, small values that outlive the process (Put, Get),
// queries of the store, a status line for people, and sockets that a successor can bind before this component lets go of
// them (Listen, ListenPacket: always use these to listen). Whatever waits heeds its context: it ends when the component is
// closed, and with the block's timeout.
//
// A source that reads something from a place on, such as a file or a queue, leaves a [Batch.Checkpoint] with its samples: both
// become durable together, and the next opening finds it in Host.Checkpoint. A source that is pushed to answers its
// client after [Emitter].Flush, when the samples are on disk, and with 503 or 429 on [ErrFull] (see [WithoutWaiting]).
//
// A component that implements http.Handler is served below /plugins/ADDRESS/, or where [Mount] says, to whom the daemon lets in: it sees
// neither their credentials nor that prefix. examples/plugins/certs has a page of its own.
//
// # Logs and events
//
// A [Record] is a line of a log, or with a Name an event; [Batch.Log] adds it to a series, whose labels say where it comes
// from. Sinks get records, native histograms and exemplars if they say [Logs], [Histograms], [Exemplars]; what a sink does
// not take is counted as dropped.
//
// # Sinks and stores
//
// nil from Write acknowledges the batch, so return it when the samples are where they belong. Any error but a Permanent one has
// the same batch come again, under the same [Batch.ID]. [Batch.Drop] rejects a single sample. The batch is valid during the
// call only. [Batch.Samples] is the simple way to read; [Batch.Runs] are its columns, with refs under which a [Table] keeps what
// the sink knows of a series, until [Forgetter] says that it will not come again. [Gathers] is for sinks that wait for an
// answer from far away, [OutOfOrder] for those that take samples in any order.
//
// # Coordinators
//
// A coordinator gives a Lease on a key to one daemon at a time, renews it (Lease.Renewed, with the time before it asked) and says
// when it is lost (Lease.Lose). The SDK keeps the clock: a lease that is not renewed in time ends by itself, at the plugin and at
// the daemon. The fence rises from holder to holder. The daemon of this version opens coordinators and shows how they are; it
// takes no leases yet.
//
// # Notifiers and diagnosers
//
// A notification is rendered already; what an error of Notify says decides whether the daemon sends it again. The [Receipt]
// comes back as Previous of the group's next one, so that mails and chats become threads. A diagnoser writes findings, with what
// shows them, into a [Report], and says what it looked at whatever came of it.
//
// # Tests
//
// Package plugintest opens a component in a test, over real gRPC in the process:
//
//	c := plugintest.Open(t, sdk.Source(open), plugintest.Config{"doors": []string{"front"}})
//	samples := c.Cycle()
//	if got := samples.Find("door_open", "door", "front"); len(got) != 1 { … }
//
// The component collects at once, and then not for an hour. What takes time is tested in a bubble of package testing/synctest: in
// it the whole of the component has the bubble's clock, hours pass in a moment, and plugintest.Serve is an HTTP server that needs no
// socket. plugintest.Golden compares what came with a file in testdata, which go test -update writes. Sinks are given what Batch and
// Write send, and say in the acknowledgement what was dropped; TryOpen, Remarks and Probe are for errors; From opens a source at a
// checkpoint; Client speaks to its HTTP handler; HCL and Example read blocks as the daemon does. plugintest.Faults is
// what may be wrong with an HTTP server, one handler for each fault; Hold, Room, Cut, Redeliver and State.Refuse are what may go
// wrong between a component and the daemon. Test against the real peer where there is one.
//
// # Verify
//
// `magpie plugin verify PATH` starts a plugin, in whatever language, as the daemon does, and makes some seventy checks, each
// with a line about what to do; plugintest.Verify makes the same in a test. It opens the blocks of testdata/verify.hcl, else of
// example.hcl, where env("VERIFY_URL") is an HTTP server that takes everything (and fails or hangs for some checks),
// env("VERIFY_ADDR") its address, env("VERIFY_TCP") the address of a listener for other protocols, env("VERIFY_DIR") a
// directory. Write such a file where the example names servers that a test cannot reach. -junit is for CI.
//
// The report goes where the binary goes: NAME.verify.json beside the binary NAME that was verified, or beside bin/NAME if the sources were
// verified that it is built of (make verify of a new plugin does both), or where -o says. It names the SHA-256 of the binary, so that
// it says nothing of another one. Install both: a daemon, as whatever user and on whatever machine, reads it there, and the
// console shows on its page of plugins what passed, what failed and what to do about it, when and by which Magpie; or that a binary was
// not verified, or that the report is of another one. `magpie plugin list` shows the last report of each binary, from there or of
// your own verifications.
//
// # Versions
//
// The number in serve.Main is your plugin's; people see it in `magpie plugin list`. What joins it to a daemon is the contract,
// not the version of this module:
//
//   - The major of the contract, 1, is agreed on when a plugin starts. A daemon speaks the newest and the one before, so that a
//     plugin has the time of a whole major to be built again. There is only one yet.
//   - Within a major there are only additions. What a plugin can is said by features in what it describes, and nobody asks for
//     what the other side does not know: a plugin of today runs under a daemon of tomorrow, and the other way round.
//   - This module follows semantic versioning. While it is 0.x, a minor may change names that authors use, and the notes of its
//     release say how to change with it; a patch does not. From 1.0 on only a major may. A binary that was built stays as good as
//     the contract that it speaks. Packages wire, client, language, verify, report, template and clock are the daemon's
//     workshop: they are documented, and a minor may change them at any time.
//
// Your own users' configurations are your contract: rename an attribute with the tag was, which takes the old name with a
// warning and lets `magpie fmt -migrate` write the new one; say deprecated before you remove one. Metrics have users, too.
//
// # Release and install
//
// Build with the flags that `plugin new` wrote into the Makefile: -trimpath makes the same bytes on every machine, -tags
// grpcnotrace leaves out what a plugin has no use for, -ldflags "-s -w" the symbols. The one file is all there is to
// install: put it, executable, under the plugin's name into a plugin directory: /usr/lib/magpie/plugins, plugins beside
// the magpie binary, or one that -plugin-dir names. The daemon finds it at its next reload. Ship NAME.verify.json, example.hcl and the
// output of `magpie plugin describe` with it.
//
// # Performance
//
// Measured on the machine of daemon/docs/performance.md, in CPU time: a sample's whole way from a source through the daemon
// with its log into a sink takes some 50 ns, half of it in the daemon, if batches are of 500 samples or more. An idle plugin
// has 10 MiB of memory, of which 2 are its own. The first figure is reached by sources that set the same series in the same
// order each time (they are then sent as a column of values) and keep refs where there are thousands; a sink reaches it by
// columns, and by remembering series under their refs. Imports cost memory in every process: see what net/http, a template
// engine or reflection over methods add to the binary.
//
// # Security
//
// A plugin runs as the daemon's user, in a process group of its own which is killed when the daemon dies, with a temporary
// directory of its own; of the environment it gets PATH, TZ, LANG, LC_ALL, SSL_CERT_FILE and SSL_CERT_DIR. Nobody else can
// reach its socket. There is no sandbox yet: what the user may, the plugin may. What it serves over HTTP is shown in a sandbox
// of the browser's.
//
// A Secret shows itself in no log, plan or error: call Reveal in the one place that needs the value, and keep it out of errors and
// labels. The daemon takes the secrets that it handed out from whatever a plugin says; do not rely on it for what you compute
// from them (decision 9 says what it does not find). Everything that a peer sends is untrusted: bound it in size, depth and
// time, and give each decoder a fuzz target.
//
// # Other languages
//
// The package for Python is sdk/python of the repository; any other language can speak the contract itself: wire/CONTRACT.md
// says who calls what and when, wire/FORMAT.md draws the bytes, wire/testdata has them as vectors.
//
// This package needs the standard library only. Whole plugins to read: examples/plugins of the repository, each a module of its
// own.
package sdk
