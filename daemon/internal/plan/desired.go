// Package plan turns blocks and the schemas of plugins into what should run, and compares that with what runs.
//
// No process is started and no plugin is asked here: schemas come as data. Build collects all mistakes at once; Diff says
// what a change costs, component by component.
//
//	desired.go     what a configuration asks for: components, pipelines, groups, the route
//	build.go       blocks become components
//	settings.go    daemon and http; pipelines and their defaults; what is connected to nothing
//	rules.go       groups and rules
//	text.go        PromQL and templates inside HCL texts
//	route.go       routes and their matchers
//	diff.go        desired against running: steps and changes
//	print.go       a plan for people
//	show.go        the effective configuration, without its secrets
package plan

import (
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// Desired is what a configuration asks for, decoded, with every default applied and every reference resolved.
type Desired struct {
	Settings   Settings
	Components []*Component // sorted by address
	Pipelines  []*Pipeline  // one for each way that samples take; sorted by name
	Groups     []*Group     // of rules, in file order
	Route      *Route       // nil: nobody is notified
	Inhibit    []Inhibition // in file order
	Moved      language.Moves
	Tests      []*Test // of rules; a daemon does nothing with them
	Dashboards []*language.Dashboard
	Files      language.Signs // whose content counts, as they were read
	Secrets    []string       // that it handed to anybody, in clear: never to be printed

	blocks []*language.Body // but components, for show and diff
}

// Settings are the blocks daemon, http and buffer.
type Settings struct {
	DataDir        string
	Interval       time.Duration // default of sources and groups
	Timeout        time.Duration // default of sources; never above the interval
	ExternalLabels map[string]string
	ExternalURL    string // where people find this daemon; "": http://<listen>
	Listen         string
	Buffer         Buffer
}

// Buffer are the settings of the log.
type Buffer struct {
	Fsync                         time.Duration // 0: always; below: never
	SegmentSize, MaxSize, Reserve int64
}

// Component is one configured block of a plugin's type.
type Component struct {
	Address  string // source.etcd.main
	Kind     sdk.Kind
	Type     string
	Name     string
	Plugin   string // that offers the type
	Binary   string // of the plugin: its version and its hash
	Config   []byte // JSON for the plugin, secrets in clear: never to be printed
	Source   sdk.SourceSettings
	Discover []string      // addresses of discoveries, of a source
	Queue    Queue         // of a sink or a store
	Match    []sdk.Matcher // of a diagnoser: the alerts that it is asked for
	Offers   sdk.Type

	Range hcl.Range       // of the block's header
	Pack  *language.Pack  // that it is in; nil: none
	Attrs []language.Attr // every attribute with its value, for plan and show; sorted by path
	body  *language.Body  // to find the attribute that a problem's path names
}

// RangeOf is where the attribute stands that a plugin's problem names, or else the nearest thing around it.
func (c *Component) RangeOf(path sdk.Path) hcl.Range {
	if c.body == nil {
		return c.Range
	}
	return c.body.RangeOf(path)
}

// Queue bounds what waits in the buffer for a sink.
type Queue struct {
	MaxBytes int64         // 0: whatever the buffer takes
	MaxAge   time.Duration // 0: no sample is too old
	Block    bool          // beyond MaxBytes the sources wait; otherwise the oldest samples are dropped
}

// Pipeline carries the samples of sources to one sink or store. A pipeline block with two sinks becomes two, as each has a
// cursor of its own.
type Pipeline struct {
	Name    string   // pipeline.metrics, or "default" for what no block names
	From    []string // addresses of sources, sorted
	Through []string // addresses of processors, in order
	To      string   // address of a sink or store
	Range   hcl.Range
}

// Key names the pipeline's cursor.
func (p *Pipeline) Key() string { return key(p.Name, p.To) }

func key(name, to string) string { return name + " -> " + to }

// KeysBefore lists the keys that a pipeline had when it, or its destination, was called otherwise.
func (d *Desired) KeysBefore(p *Pipeline) []string { return d.Moved.Keys(p.Name, p.To, key) }

// Group is a rules block, or the loose rules of one file.
type Group struct {
	Name     string // that of one in a pack begins with the pack's address
	File     string
	Interval time.Duration
	Store    string // address
	Limit    int
	Offset   time.Duration
	Rules    []*Rule
	Range    hcl.Range
	body     *language.Body
}

// Address is what moved blocks call it.
func (g *Group) Address() string {
	pack := g.body.Pack.Prefix()
	return pack + "rules." + strings.TrimPrefix(g.Name, pack)
}

// Rule is an alert or a record block.
type Rule struct {
	Alert         string // the alertname; "" for a record
	Record        string // the name of the recorded series
	Expr          string
	For           time.Duration
	KeepFiringFor time.Duration
	Labels        map[string]string
	Annotations   map[string]string
	Notify        []string // addresses; a route of its own, before all others
	Diagnose      []string // addresses of diagnosers
	Range         hcl.Range
}

// Test is a test block with the place of each of its expectations.
type Test struct {
	language.TestBlock
	Pack    string // that it is in, and whose rules it sees: pack.etcd. ; "": all rules
	Range   hcl.Range
	Expects []hcl.Range
}

// Inhibition is an inhibit block.
type Inhibition struct {
	Source, Target []sdk.Matcher
	Equal          []string
}

// Route is a route block: the first route that matches an alert takes it, its children before itself.
type Route struct {
	Match          []sdk.Matcher
	Notify         []string // addresses of notifiers
	GroupBy        []string // label names; ["..."]: by all labels
	GroupWait      time.Duration
	GroupInterval  time.Duration
	RepeatInterval time.Duration
	Continue       bool
	Routes         []*Route
	Range          hcl.Range
}
