package language

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/magpie-monitoring/magpie/sdk"
)

// coreBlocks declares the blocks that every configuration may have, and the core attributes of components, as a plugin
// declares its own: in tags.
type coreBlocks struct {
	Daemon    DaemonBlock    `hcl:"daemon,block" doc:"The daemon itself."`
	HTTP      HTTPBlock      `hcl:"http,block" doc:"Where the API and the console are served."`
	Buffer    BufferBlock    `hcl:"buffer,block" doc:"The durable log between sources and sinks."`
	Pipeline  PipelineBlock  `hcl:"pipeline,block" doc:"What goes where."`
	Rules     RulesBlock     `hcl:"rules,block" doc:"A group of rules, evaluated in order."`
	Test      TestBlock      `hcl:"test,block" doc:"What rules give for made-up series; for magpie test."`
	Pack      PackBlock      `hcl:"pack,block" doc:"Sources, rules, tests and dashboards that travel together. Its other arguments are variables of the pack."`
	Dashboard DashboardBlock `hcl:"dashboard,block" doc:"A dashboard of Grafana's, for the console."`
	Route     RouteBlock     `hcl:"route,block" doc:"Who is told of which alerts."`
	Inhibit   InhibitBlock   `hcl:"inhibit,block" doc:"Which alerts nobody is told of while others fire."`
	Source    SourceCore     `hcl:"source,block" doc:"Core attributes of every source."`
	Sink      SinkCore       `hcl:"sink,block" doc:"Core attributes of every sink and store."`
	Diagnoser DiagnoserCore  `hcl:"diagnoser,block" doc:"Core attributes of every diagnoser."`
	Component ComponentCore  `hcl:"component,block" doc:"Core attributes of every other component."`
}

// DaemonBlock is the block daemon.
type DaemonBlock struct {
	DataDir        string            `hcl:"data_dir,optional" default:"data" change:"exclusive" doc:"Directory of the buffer, the state and what components keep. Made if it is not there."`
	Interval       time.Duration     `hcl:"interval,optional" default:"15s" check:"min=100ms" change:"live" doc:"How often sources collect and groups are evaluated that do not say it themselves."`
	Timeout        time.Duration     `hcl:"timeout,optional" default:"10s" check:"min=10ms" change:"live" doc:"How long sources may take that do not say it themselves; never longer than their interval."`
	ExternalLabels map[string]string `hcl:"external_labels,optional" change:"live" doc:"Labels of everything that leaves this daemon: samples sent on, and alerts."`
	ExternalURL    string            `hcl:"external_url,optional" check:"url" change:"live" doc:"Where people find this daemon; default: http:// and the listen address."`
}

// HTTPBlock is the block http.
type HTTPBlock struct {
	Listen   string `hcl:"listen,optional" default:"127.0.0.1:9470" check:"hostport" change:"exclusive" doc:"Address to serve on. An address that other machines reach needs insecure = true."`
	Insecure bool   `hcl:"insecure,optional" default:"false" change:"exclusive" doc:"Serve without TLS and without asking who is there. Whoever reaches the address can read and change everything."`
}

// BufferBlock is the block buffer.
type BufferBlock struct {
	Fsync       string    `hcl:"fsync,optional" default:"20ms" change:"exclusive" doc:"How long a sample may wait for an fsync, and its source for the acknowledgement: a duration up to 10s, always (each one at once) or off (a crash of the machine loses what was acknowledged)."`
	MaxSize     sdk.Bytes `hcl:"max_size,optional" default:"8GiB" check:"min=64MiB" change:"exclusive" doc:"Of the whole log; beyond it the oldest segment goes, counted, whoever still needs it."`
	SegmentSize sdk.Bytes `hcl:"segment_size,optional" default:"64MiB" check:"min=1MiB,max=1GiB" change:"exclusive" doc:"A file of the log is ended beyond this. It goes when every sink has taken what is in it."`
	Reserve     sdk.Bytes `hcl:"reserve,optional" default:"4MiB" check:"min=0B,max=1GiB" change:"exclusive" doc:"Kept free for cursors and state when the disk is full."`
}

// PipelineBlock is a block pipeline.
type PipelineBlock struct {
	ComponentCore
	Name    string   `hcl:"name,label" doc:"Name of the pipeline."`
	From    []string `hcl:"from" doc:"Sources: source.etcd.main, source.etcd (all of the type) or source (all)."`
	Through []string `hcl:"through,optional" doc:"Processors, in order."`
	To      []string `hcl:"to" doc:"Sinks and stores."`
}

// RulesBlock is a block rules.
type RulesBlock struct {
	ComponentCore
	Name     string        `hcl:"name,label" doc:"Name of the group."`
	Interval time.Duration `hcl:"interval,optional" check:"min=100ms" doc:"How often the group is evaluated, and those of files that do not say it; default: the daemon's interval."`
	Store    []string      `hcl:"store,optional" doc:"Store that is asked and written to; default: the only one."`

	Limit       int               `hcl:"limit,optional" check:"min=0" doc:"How many alerts, or recorded series, a rule may give: one that gives more fails, and has no alerts then. 0: as many as the daemon allows."`
	QueryOffset time.Duration     `hcl:"query_offset,optional" check:"min=0s" doc:"How far in the past the rules ask, and write what they record, for data that comes late."`
	Labels      map[string]string `hcl:"labels,optional" doc:"Labels of what all rules of the group give; those of a rule are stronger."`

	Files   []string      `hcl:"files,optional" doc:"Rule files of Prometheus, read unchanged: each group in them is one of its own, for which interval, store, limit, query_offset and labels hold where it does not say them. Patterns, beside the configuration; names end in .yml, .yaml or .rules."`
	Alerts  []AlertBlock  `hcl:"alert,block" doc:"An alerting rule."`
	Records []RecordBlock `hcl:"record,block" doc:"A recording rule."`
}

// AlertBlock is a block alert, in rules or by itself.
type AlertBlock struct {
	ComponentCore
	Label         string            `hcl:"label,label" doc:"Name of the rule."`
	Name          string            `hcl:"name,optional" doc:"The alertname; default: the block's label."`
	Expr          string            `hcl:"expr" doc:"PromQL: the alert is active for every series that it gives."`
	For           time.Duration     `hcl:"for,optional" default:"0s" doc:"How long it must be active before it fires."`
	KeepFiringFor time.Duration     `hcl:"keep_firing_for,optional" default:"0s" doc:"How long it goes on firing after that."`
	Labels        map[string]string `hcl:"labels,optional" doc:"Labels of the alert; templates."`
	Annotations   map[string]string `hcl:"annotations,optional" doc:"Texts of the alert; templates. White space around them is cut."`
	Notify        []string          `hcl:"notify,optional" doc:"Notifiers of this alert; it does not go through the route then."`
	Diagnose      []string          `hcl:"diagnose,optional" doc:"Diagnosers that are asked when it begins to fire; its notification has what they found, and where the report is."`
}

// RecordBlock is a block record, in rules or by itself.
type RecordBlock struct {
	ComponentCore
	Name   string            `hcl:"name,label" doc:"Name of the series that are written."`
	Expr   string            `hcl:"expr" doc:"PromQL."`
	Labels map[string]string `hcl:"labels,optional" doc:"Labels added to the series."`
}

// TestBlock is a block test: the daemon reads it and does nothing with it.
type TestBlock struct {
	ComponentCore
	Name     string        `hcl:"name,label" doc:"Name of the test."`
	Files    []string      `hcl:"files,optional" doc:"Test files of promtool, to be run unchanged, with the rule files that they name; patterns, beside the configuration. In an archive their names end in .yml, .yaml or .rules."`
	Interval time.Duration `hcl:"interval,optional" default:"1m" check:"min=1ms" doc:"Between two values of a series, and between two evaluations."`
	Series   string        `hcl:"series,optional" doc:"A series with its values on each line, in Prometheus' notation: up{job='a'} 1 1 0x10. The first values are those of time 0."`
	Expect   []ExpectBlock `hcl:"expect,block" doc:"What is so at a time."`
}

// ExpectBlock is a block expect in test. Of firing, pending and notified, what is not written is not looked at.
type ExpectBlock struct {
	At            string              `hcl:"at,label" doc:"The time since the beginning, such as 4m."`
	Firing        []string            `hcl:"firing,optional" doc:"Names of all alerts that fire."`
	Pending       []string            `hcl:"pending,optional" doc:"Names of all alerts that are pending."`
	Notified      []string            `hcl:"notified,optional" doc:"All notifiers that were told something since the expect before that looks at notifications; []: nobody was."`
	Alerts        []ExpectAlertBlock  `hcl:"alert,block" doc:"An alert that is there."`
	Notifications []NotificationBlock `hcl:"notification,block" doc:"A notification that was sent since the expect before that looks at notifications."`
	Queries       []QueryBlock        `hcl:"query,block" doc:"What an expression gives."`
}

// NotificationBlock is a block notification in expect. What is not written is not looked at, but for the status.
type NotificationBlock struct {
	Notifier []string             `hcl:"notifier" doc:"Who was told."`
	At       string               `hcl:"at,optional" doc:"When, since the beginning, such as 2m30s."`
	Status   string               `hcl:"status,optional" default:"firing" check:"oneof=firing resolved" doc:"resolved: all of its alerts have."`
	Group    map[string]string    `hcl:"group,optional" doc:"All labels that its alerts are grouped by."`
	Firing   []string             `hcl:"firing,optional" doc:"Names of all of its alerts that fire."`
	Resolved []string             `hcl:"resolved,optional" doc:"Names of all of its alerts that have resolved."`
	Alerts   []NotifiedAlertBlock `hcl:"alert,block" doc:"An alert that is in it."`
}

// NotifiedAlertBlock is a block alert in notification: one alert of the name has at least these labels and annotations.
type NotifiedAlertBlock struct {
	Name        string            `hcl:"name,label" doc:"The alertname."`
	Status      string            `hcl:"status,optional" default:"firing" check:"oneof=firing resolved" doc:"How it is."`
	Labels      map[string]string `hcl:"labels,optional" doc:"Labels that it has, among others, external ones too."`
	Annotations map[string]string `hcl:"annotations,optional" doc:"Annotations that it has, among others."`
}

// QueryBlock is a block query in expect.
type QueryBlock struct {
	Expr    string   `hcl:"expr" doc:"PromQL."`
	Samples []string `hcl:"samples" doc:"All that it gives, each as its labels and its value: \"job:up:sum{job='a'} 1\"; []: nothing."`
}

// ExpectAlertBlock is a block alert in expect: one alert of the name has at least these labels and annotations.
type ExpectAlertBlock struct {
	Name        string            `hcl:"name,label" doc:"The alertname."`
	State       string            `hcl:"state,optional" default:"firing" check:"oneof=firing pending" doc:"How it is."`
	Labels      map[string]string `hcl:"labels,optional" doc:"Labels that it has, among others."`
	Annotations map[string]string `hcl:"annotations,optional" doc:"Annotations that it has, among others."`
}

// PackBlock is a block pack, but for the variables of the pack, and for its blocks override "TYPE" "NAME".
type PackBlock struct {
	ComponentCore
	Name      string          `hcl:"name,label" doc:"Name of the pack: the addresses of what is in it begin with pack.NAME."`
	Source    string          `hcl:"source" doc:"Directory of its files, beside the configuration, or an archive of one, .tar.gz, .tgz or .zip: a path or an https URL."`
	SHA256    string          `hcl:"sha256,optional" doc:"Of the archive, in hexadecimal; an archive needs it."`
	Disable   []string        `hcl:"disable,optional" doc:"Blocks and rules of the pack that are left out, by what the pack calls them: alert.NAME, record[\"NAME\"], test[\"NAME\"], rules.NAME, source.TYPE.NAME. Rules and groups of the pack's rule files too: all of the name."`
	Overrides []OverrideBlock `hcl:"override,block" doc:"What stands in the place of what the pack says: arguments, each as a whole, and nested blocks in the place of all of their type. Its labels are those of the block: override \"alert\" \"NAME\", override \"source\" \"TYPE\" \"NAME\". Rules of the pack's rule files too, and of groups in them interval, limit and query_offset."`
}

// OverrideBlock is a block override in pack, which holds what the block of its labels may hold.
type OverrideBlock struct {
	Of   string `hcl:"type,label" doc:"Type of the block."`
	Name string `hcl:"name,label" doc:"Name of the block."`
}

// DashboardBlock is a block dashboard.
type DashboardBlock struct {
	ComponentCore
	Name string `hcl:"name,label" doc:"Name of the dashboard."`
	File string `hcl:"file" doc:"JSON as Grafana exports it; a path beside the configuration."`
}

// RouteBlock is a block route, but for the routes in it.
type RouteBlock struct {
	Match          string        `hcl:"match,optional" doc:"Alerts that the route takes: team = 'db', severity =~ 'warning|critical'."`
	Notify         []string      `hcl:"notify,optional" doc:"Notifiers; default: those of the route around it."`
	GroupBy        []string      `hcl:"group_by,optional" doc:"Labels whose alerts share a notification; [\"...\"]: each alert on its own."`
	GroupWait      time.Duration `hcl:"group_wait,optional" doc:"How long a new group waits for more alerts; default 30s, or as the route around it."`
	GroupInterval  time.Duration `hcl:"group_interval,optional" check:"min=1ms" doc:"How long a group waits before it tells of changes; default 5m, or as the route around it."`
	RepeatInterval time.Duration `hcl:"repeat_interval,optional" check:"min=1ms" doc:"How long until a firing group is told of again; default 4h, or as the route around it."`
	Continue       bool          `hcl:"continue,optional" default:"false" doc:"Let the routes behind this one see the alert too."`
}

// InhibitBlock is a block inhibit.
type InhibitBlock struct {
	ComponentCore
	Name   string   `hcl:"name,label" doc:"Name of the block."`
	Source string   `hcl:"source_match" doc:"Alerts that, while one of them fires, keep others from being told: severity = 'critical'."`
	Target string   `hcl:"target_match" doc:"Alerts that are not told meanwhile: severity = 'warning'. One that source_match matches too is not kept back by its like."`
	Equal  []string `hcl:"equal,optional" doc:"Labels that both have with the same value; one that neither has is the same."`
}

// ComponentCore is what every component takes.
type ComponentCore struct {
	Enabled bool `hcl:"enabled,optional" default:"true" doc:"false: as if the block were not there."`
}

// SourceCore is what every source takes.
type SourceCore struct {
	ComponentCore
	Labels      map[string]string `hcl:"labels,optional" doc:"Labels of every series."`
	Job         string            `hcl:"job,optional" doc:"The label job; default: as the type has it, or the block's name."`
	Interval    time.Duration     `hcl:"interval,optional" check:"min=100ms" doc:"How often it collects; default: the daemon's interval."`
	Timeout     time.Duration     `hcl:"timeout,optional" check:"min=10ms" doc:"How long it may take; default: the daemon's timeout, at most the interval."`
	LimitSeries int               `hcl:"limit_series,optional" default:"100000" check:"min=1,max=1000000000" doc:"Live series; more are dropped and counted."`
	Discover    []string          `hcl:"discover,optional" change:"live" doc:"Discoveries that find targets."`
}

// SinkCore is what every sink and store takes.
type SinkCore struct {
	ComponentCore
	Queue *QueueBlock `hcl:"queue,block" doc:"What waits in the buffer for this sink."`
}

// DiagnoserCore is what every diagnoser takes.
type DiagnoserCore struct {
	ComponentCore
	Match string `hcl:"match,optional" change:"live" doc:"Of the alerts that name it in diagnose, those that it is asked for: cluster = 'prod'. Default: all."`
}

// QueueBlock bounds what waits for a sink. Without it what waits is bounded by the buffer as a whole, which drops its oldest.
type QueueBlock struct {
	MaxSize  sdk.Bytes     `hcl:"max_size,optional" check:"min=1MiB" change:"live" doc:"How much of the buffer may wait for the sink; default: all of it."`
	MaxAge   time.Duration `hcl:"max_age,optional" check:"min=1s" change:"live" doc:"Samples that are older are not sent any more; default: none is too old."`
	WhenFull string        `hcl:"when_full,optional" default:"drop_oldest" check:"oneof=drop_oldest block" change:"live" doc:"What happens beyond max_size: the oldest samples are dropped and counted, or the plugins of the sources that reach the sink are made to wait."`
}

// referenceKinds are the kinds that the attributes take that hold addresses.
var referenceKinds = map[string][]string{
	"from": {"source"}, "through": {"processor"}, "to": {"store", "sink"}, "notify": {"notifier"}, "discover": {"discovery"}, "store": {"store"}, "diagnose": {"diagnoser"}, "notifier": {"notifier"}, "notified": {"notifier"},
}

var coreSchema = func() sdk.Schema {
	all, err := sdk.SchemaOf(reflect.TypeFor[coreBlocks]())
	if err != nil {
		panic(err) // a mistake in the tags above
	}
	return all
}()

// Core are the schemas of the language's own blocks, by name; "source", "sink" (of stores too), "diagnoser" and "component" are what sources,
// sinks, diagnosers and other components take beside what their plugin says.
var Core = func() map[string]*sdk.Schema {
	all := coreSchema
	m := map[string]*sdk.Schema{}
	for i := range all.Blocks {
		s := &all.Blocks[i].Body
		m[all.Blocks[i].Name] = s
		for j := range s.Blocks {
			m[s.Blocks[j].Name] = &s.Blocks[j].Body // alert and record, in rules and by themselves; queue
		}
	}
	for i := range m["expect"].Blocks {
		if b := &m["expect"].Blocks[i]; b.Name == "notification" {
			m[b.Name] = &b.Body
		}
	}
	for _, s := range m {
		for i := range s.Attributes {
			a := &s.Attributes[i]
			switch a.Checks = append(a.Checks, Public); {
			case referenceKinds[a.Name] != nil:
				a.Type, a.Checks = References, referenceKinds[a.Name]
			case a.Name == "enabled":
				a.Checks = append(a.Checks, Quiet)
			}
		}
	}
	route := m["route"]
	route.Blocks = []sdk.Block{{Name: "route", Many: true, Doc: "A route within this one, asked first."}}
	route.Blocks[0].Body = *route // shares Blocks: routes nest
	return m
}()

// CoreOf is what a block of a plugin's type takes beside what the plugin says.
func CoreOf(t sdk.Type) *sdk.Schema {
	switch t.Kind {
	case sdk.KindSource:
		core := *Core["source"]
		if !t.Discovers {
			core.Attributes = slices.DeleteFunc(slices.Clone(core.Attributes), func(a sdk.Attribute) bool { return a.Name == "discover" })
		}
		return &core
	case sdk.KindSink, sdk.KindStore:
		return Core["sink"]
	case sdk.KindDiagnoser:
		return Core["diagnoser"]
	}
	return Core["component"]
}

// Whole is the schema of a block of a plugin's type: core attributes and the plugin's in one, so that what is misspelt finds its
// like in both.
func Whole(t sdk.Type) *sdk.Schema {
	core := CoreOf(t)
	return &sdk.Schema{Attributes: slices.Concat(core.Attributes, t.Config.Attributes), Blocks: slices.Concat(core.Blocks, t.Config.Blocks)}
}

// IsKind reports whether blocks of a type are components.
func IsKind(block string) bool {
	return slices.ContainsFunc(grammar.Blocks, func(b hcl.BlockHeaderSchema) bool { return b.Type == block && len(b.LabelNames) == 2 })
}

// CoreBlock reads a block of the language's own at the top of a file, with its name.
func (d *Decoder) CoreBlock(block *hcl.Block) *Body {
	x := d.Block(block, Core[block.Type], nil)
	for i, label := range block.Labels {
		name := "name"
		if block.Type == "alert" {
			name = "label"
		}
		x.Fields = append(x.Fields, &Field{Name: name, Value: label, At: block.LabelRanges[i]})
	}
	return x
}

// laterArguments says what to write instead of the arguments that this version does not have, in the blocks that will take them.
var laterArguments = map[string]string{
	"http.tls":          "Serve on a loopback address, behind a proxy that speaks TLS.",
	"http.auth":         "Serve on a loopback address, behind a proxy that asks who is there.",
	"component.isolate": "The components of a plugin share one process.",
	"component.plugin":  "Keep one plugin that offers the type in the plugin directories.",
}

// explainStray says what to write instead of an argument that belongs to another block, or to a later version.
func explainStray(x *Body, s Stray, outer *sdk.Schema) (summary, text string) {
	in := x.Kind
	switch {
	case s.Name == "for_each" && !repeats(in) && outer == nil:
		return "There is one of it", fmt.Sprintf("%s takes no for_each: there is one of it.", x.Title)
	case s.Name == "for_each" && outer != nil:
		return "for_each in a nested block", fmt.Sprintf("A block within another is repeated by dynamic:\n  dynamic %q {\n    for_each = …\n    content { … }\n  }", in)
	case s.Name == "count":
		return "Unknown argument", "There is no count: blocks are repeated by for_each = { name = … } or toset([ … ]), or left out by enabled = false."
	}
	if outer == nil && IsKind(in) {
		in = "component"
	}
	ofSources := slices.ContainsFunc(Core["source"].Attributes, func(a sdk.Attribute) bool { return a.Name == s.Name })
	switch later := cmp.Or(laterArguments[in+"."+s.Name], laterArguments[s.Name]); {
	case later != "":
		return "Not in this version yet", fmt.Sprintf("This version does not have %s. %s", s.Name, later)
	case in == "component" && x.Kind == "source" && s.Name == "discover":
		return "Unknown argument", x.Title + " does not take targets from discoveries."
	case in == "component" && ofSources:
		return "Unknown argument", s.Name + " is an argument of sources only."
	}
	return "", ""
}
