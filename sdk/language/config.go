// Package language reads Magpie's configuration language: HCL files become blocks with their places, expressions become
// values, blocks become what a plugin is sent, and mistakes become diagnostics that point at the line.
//
// It knows the language's own blocks and no plugin: which arguments a component takes is told by its plugin's schema. The daemon reads its configuration
// with it; so does whatever else wants to open a component as the daemon would.
//
//	read.go       a path becomes sources: one file, or the *.hcl and *.hcl.json files of a directory
//	named.go      packs, rule files and dashboards that a configuration names become sources too
//	archive.go    a pack in one file becomes the files in it
//	fetch.go      an archive from the network, once
//	limits.go     size and nesting, checked on tokens, before a parser that recurses sees them
//	config.go     sources become blocks, locals and variables
//	syntax.go     what HCL's parser reports, in words that say what to write
//	content.go    the arguments and blocks of a body, and those that its schema does not know
//	variables.go  variables, and who gives them their values
//	scope.go      locals and expressions become values
//	budget.go     what all expressions together may cost and make
//	each.go       for_each and dynamic: one block becomes several
//	functions.go  env, secret and the functions of values
//	terraform.go  those that Terraform has and cty has not
//	bounded.go    what functions may make of what they are given
//	core.go       the blocks and core attributes that need no plugin, declared as plugins declare theirs
//	decode.go     a body and its schema become values with their places
//	packs.go      what the files of packs declare, and who brings them in
//	pack.go       a pack block becomes blocks that see its variables
//	override.go   what a pack block changes of its pack
//	fileedits.go  and of the pack's rule files
//	rulefiles.go  which rule files a rules block means
//	rulefile.go   Prometheus' rule files become what blocks become
//	dashboard.go  Grafana's dashboards, and the PromQL in them
//	renamed.go    attributes and blocks that were called otherwise before
//	names.go      the addresses of blocks, and which of them are enabled
//	moved.go      components, pipelines and rules that were
//	references.go what from, to, notify and their like name
//	value.go      one attribute: type, unit, secrets
//	mask.go       secrets are taken out of texts
//	watch.go      files whose content counts
//	exec.go       programs are asked for secrets
//	check.go      one attribute: url, hostport, regexp, oneof, min, max
//	manual.go     what the manual says of all these blocks
//	render.go     a value as HCL, its secrets hidden
//	show.go       decoded blocks for people, and for programs
//	intext.go     a place inside a text: where it stands in the file
//	secrets.go    what no diagnostic shows
//	write.go      diagnostics as text with a caret, and as data
//	suggest.go    did you mean
//
// # What repeats, and what differs
//
//	variable "clusters" {                  // type, default, description, sensitive, validation { condition error_message }
//	  type = map(object({ members = list(string), tier = optional(string, "bronze") }))
//	}
//	source "etcd" "main" {
//	  for_each  = var.clusters             // a map, or a set of texts: source.etcd.main["prod"]
//	  enabled   = each.value.tier != "off"
//	  endpoints = each.value.members
//	  dynamic "tls" {                      // iterator = NAME, and labels = [ … ] for blocks that have labels
//	    for_each = each.value.tier == "gold" ? [1] : []
//	    content { ca_file = "/etc/${each.key}.pem" }
//	  }
//	}
//	moved {                                // data, state, the place in the log and timers go along
//	  from = source.etcd.prod
//	  to   = source.etcd.main["prod"]
//	}
//
// A variable has its value from -var name=value, else from the last file *.vars.hcl that has one (those of the directory, then those of
// -var-file), else from MAGPIE_VAR_name in the daemon's environment, else from its default. for_each is there for components, pipelines, rules,
// alerts, records and packs; what moves are components, pipelines, rules and packs. A reference to a block with for_each means all that it makes, one with a
// key only that.
//
// A secret comes from secret("file:/path"), secret("env:NAME") or secret("exec:/usr/bin/program arguments"), which is run without a shell and prints it.
// Files of secrets, and those of certificates and keys, are watched: what they hold anew is applied by itself a few seconds later, and what does not work
// leaves what was and is said. The environment and programs are asked when a configuration is read, and then only.
//
// Functions are Terraform's, but for those that read files, ask the network or know the time; env and secret are Magpie's own.
//
// # Packs
//
//	pack "etcd" {
//	  source   = "./packs/etcd"            // or an archive, a path or an https URL, with its sha256
//	  clusters = local.clusters            // the variables of the pack
//	  store    = store.tsdb.main           // one of the type references: what is outside comes in by it
//	  disable  = [alert.growth, test["growth"]]
//	  override "alert" "slow" { for = "20m" }
//	}
//
// The *.hcl and *.hcl.json files of a pack are one body of their own: its blocks see its variables and locals, and nothing of the outside. The paths
// in it are relative to it. It has no daemon, http, buffer and route. Addresses of what is in it begin with its own, pack.etcd.source.etcd.main; inside,
// references are looked for in the pack. From outside, source means those of packs too, pack.etcd.source those of the pack, and with a for_each
// pack.etcd["a"].source those of one. Alerts are called as they are written. A test of a pack sees the rules of the pack;
// promtool's test files, which may be in an archive too, see the rule files that they name, as they are there.
//
// An override is of the block that its labels name: its arguments stand in the place of those of the pack, each as a whole, and nested blocks in the
// place of all of their type. A rule of the pack's rule files is disabled and overridden as one of its blocks is, alert.NAME and record["NAME"], all of the
// name at once (but not their expr, if there are several); of a group in them, rules["NAME"], interval, limit and query_offset are overridden, unless a block
// of the pack has its name. Packs may be in each other, at most 4 deep; a directory of files without config.hcl, daemon, http, buffer, route, store and
// sink is taken for a pack that is looked at alone, whose variables may lack values.
//
// Files of packs, rule files and dashboards travel with the configuration: to the daemon, into what it keeps of it, and back. An archive is opened only if
// it has the sha256 that the pack block says.
//
// # Bounds
//
// A file has at most 1 MiB, 250,000 words and signs, 25,000 arguments, 4,000 blocks and a nesting of 64; what for_each and dynamic make together is
// at most 6,000 blocks, those of packs included. An archive has at most 4 MiB, and 16 MiB and 1,000 entries unpacked. What expressions compute is counted, not timed (budget.go).
//
// A file with a mistake of syntax is left out as a whole and Config.Partial is set: what it would declare is not known, so
// nobody reports that it is missing.
package language

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/json"
)

// Source is one file of a configuration: one of its own, which are in one directory, of one of its packs, or a file that those name. A name that ends
// in .hcl.json is HCL's JSON syntax, as is the first file's if it ends in .json.
type Source struct {
	Name  string
	Bytes []byte
}

// Config is a parsed configuration: nothing in it is evaluated.
type Config struct {
	Blocks  []*hcl.Block // but locals and variables, in file order
	Partial bool         // a file could not be parsed: what it declares is not known

	own       string                // directory of the configuration itself
	packs     map[string]*packText  // by directory or archive
	archives  map[string][]byte     // as they came
	opened    map[string]bool       // archives whose files are among the others
	problems  map[string]string     // of packs that cannot be read
	missing   []packPlace           // packs whose files are not among the sources
	broughtBy map[string]*hcl.Block // directories and archives: the first pack block that names each
	count     int                   // of files
	total     int                   // bytes of all of them

	order  map[string]int // of files
	files  map[string][]byte
	locals map[string]*local      // variables too: local.x, var.x
	values map[string][]given     // of variables, from files
	flags  map[string]given       // of variables, from the command line
	broken map[string]bool        // files that could not be parsed
	rules  []string               // files of Prometheus' rules
	hidden map[string][]hcl.Range // of each file: what no snippet shows

	secretLines map[string]bool // of broken files: lines that sound as if they held a secret
}

// grammar names the labels of each block at the top of a file.
var grammar = &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
	{Type: "daemon"}, {Type: "http"}, {Type: "buffer"}, {Type: "locals"}, {Type: "route"}, {Type: "moved"},
	{Type: "variable", LabelNames: []string{"name"}}, {Type: "test", LabelNames: []string{"name"}},
	{Type: "pack", LabelNames: []string{"name"}}, {Type: "dashboard", LabelNames: []string{"name"}},
	{Type: "pipeline", LabelNames: []string{"name"}}, {Type: "rules", LabelNames: []string{"name"}},
	{Type: "inhibit", LabelNames: []string{"name"}}, {Type: "alert", LabelNames: []string{"name"}}, {Type: "record", LabelNames: []string{"name"}},
	{Type: "source", LabelNames: typeAndName}, {Type: "processor", LabelNames: typeAndName}, {Type: "sink", LabelNames: typeAndName},
	{Type: "store", LabelNames: typeAndName}, {Type: "notifier", LabelNames: typeAndName}, {Type: "discovery", LabelNames: typeAndName},
	{Type: "service", LabelNames: typeAndName}, {Type: "diagnoser", LabelNames: typeAndName},
	{Type: "coordinator", LabelNames: typeAndName},
}}

var typeAndName = []string{"type", "name"}

// notYet says what to write instead of the blocks that this version does not have.
var notYet = map[string]string{
	"plugin":  "Plugins are found by their file name in the plugin directories: remove the block.",
	"cluster": "Each daemon works alone, a coordinator or not: remove the block.",
}

// Parse reads sources as one body. The Config is usable whatever the diagnostics say: it lacks the files that have
// mistakes of syntax.
func Parse(sources []Source) (*Config, hcl.Diagnostics) {
	c := &Config{
		order: map[string]int{}, files: map[string][]byte{}, locals: map[string]*local{}, values: map[string][]given{}, flags: map[string]given{},
		broken: map[string]bool{}, hidden: map[string][]hcl.Range{}, secretLines: map[string]bool{},
		packs: map[string]*packText{}, archives: map[string][]byte{}, opened: map[string]bool{}, problems: map[string]string{}, broughtBy: map[string]*hcl.Block{},
	}
	var r Report
	if len(sources) > 0 {
		c.own = filepath.Dir(sources[0].Name)
	}
	for _, s := range sources {
		if !c.add(&r, s) {
			break
		}
	}
	c.findPacks(&r, c.Blocks, 1)
	return c, r.Diags
}

// add reads a file by its name and place. false: there is no room for more.
func (c *Config) add(r *Report, s Source) bool {
	if c.total += len(s.Bytes); c.count >= maxFiles || c.total > maxBytes {
		c.Partial = true
		r.Error(hcl.Range{Filename: s.Name, Start: hcl.InitialPos, End: hcl.InitialPos}, "Too much configuration",
			"A configuration is at most %d files and %d MiB.", maxFiles, maxBytes>>20)
		return false
	}
	first, dir := c.count == 0, filepath.Dir(s.Name)
	c.count++
	c.order[s.Name], c.files[s.Name] = c.count, s.Bytes
	switch {
	case strings.HasPrefix(s.Name, unread):
		c.problems[strings.TrimPrefix(s.Name, unread)] = cmp.Or(string(s.Bytes), "there is none")
	case strings.HasPrefix(s.Name, flagged):
		c.addValues(r, s, nil)
	case IsArchive(s.Name):
		c.archives[s.Name] = s.Bytes
	case IsRuleFile(s.Name):
		c.addRuleFile(r, s)
	case isDashboard(s.Name) && !first:
		c.broken[s.Name] = !checkText(r, s)
	default:
		switch body := parse(r, s); {
		case body == nil:
			c.Partial, c.broken[s.Name] = true, true
			if dir != c.own && !isValues(s.Name) {
				c.textOf(dir).partial = true
			}
		case isValues(s.Name):
			c.addValues(r, s, body)
		case dir != c.own:
			c.collectPack(r, dir, body, s.Bytes)
		default:
			c.Blocks = append(c.Blocks, c.sorted(r, body, c.locals)...)
		}
	}
	return true
}

// parse gives the body of a file, nil if it could not be parsed.
func parse(r *Report, s Source) hcl.Body {
	inJSON := strings.HasSuffix(s.Name, ".json")
	if !checkLimits(r, s, inJSON) {
		return nil
	}
	var f *hcl.File
	var diags hcl.Diagnostics
	if inJSON {
		f, diags = json.Parse(s.Bytes, s.Name)
	} else {
		f, diags = hclsyntax.ParseConfig(s.Bytes, s.Name, hcl.InitialPos)
	}
	if !diags.HasErrors() {
		meter(f.Body)
		return f.Body
	}
	r.Diags = append(r.Diags, explainSyntax(diags, s.Bytes)...)
	return nil
}

// sorted gives the blocks at the top of a file, but for those that declare locals and variables.
func (c *Config) sorted(r *Report, body hcl.Body, locals map[string]*local) (blocks []*hcl.Block) {
	content, strays, diags := Content(body, grammar)
	r.Diags = append(r.Diags, diags...)
	for _, s := range strays {
		if s.IsBlock || SoundsSecret(s.Name) || strings.HasSuffix(s.At.Filename, ".json") { // where blocks look like arguments
			c.HideBehind(s.At)
		}
		switch instead, later := notYet[s.Name]; {
		case later:
			r.Error(s.At, "Not in this version yet", "This version does not have the block %q. %s", s.Name, instead)
		case !s.IsBlock && !strings.HasSuffix(s.At.Filename, ".json"):
			r.Error(s.At, "Argument outside of a block", "%q stands at the top of the file, where only blocks are: put it into the block that it belongs to, or into locals { … }.", s.Name)
		default:
			r.Error(s.At, "Unknown block", "There is no block %q.%s", s.Name, DidYouMean(s.Name, blockNames()))
		}
	}
	for _, b := range content.Blocks {
		switch b.Type {
		case "locals":
			addLocals(r, b, locals)
		case "variable":
			c.addVariable(r, b, locals)
		default:
			blocks = append(blocks, b)
		}
	}
	return blocks
}

func blockNames() (names []string) {
	for _, b := range grammar.Blocks {
		names = append(names, b.Type)
	}
	return names
}

func addLocals(r *Report, b *hcl.Block, locals map[string]*local) {
	attrs, diags := b.Body.JustAttributes()
	r.Diags = append(r.Diags, diags...)
	sorted := make([]*hcl.Attribute, 0, len(attrs))
	for _, a := range attrs {
		sorted = append(sorted, a)
	}
	slices.SortFunc(sorted, func(a, b *hcl.Attribute) int { return a.Range.Start.Byte - b.Range.Start.Byte })
	for _, a := range sorted {
		name := "local." + a.Name
		if other := locals[name]; other != nil {
			r.Error(a.NameRange, "Duplicate local", "%s is declared at %s already.", name, Place(other.at))
			continue
		}
		locals[name] = &local{name: name, expr: a.Expr, at: a.NameRange}
	}
}

// Bytes is the text of a file.
func (c *Config) Bytes(file string) []byte { return c.files[file] }

// Place writes where a range begins, as people and editors read it: config.hcl:6:17.
func Place(r hcl.Range) string {
	return fmt.Sprintf("%s:%d:%d", r.Filename, r.Start.Line, r.Start.Column)
}

// Report collects diagnostics.
type Report struct{ Diags hcl.Diagnostics }

// Flooded reports whether there is more already than anybody is told: what is dear to say is not said then.
func (r *Report) Flooded() bool { return len(r.Diags) > maxShown }

// Error adds an error: what is wrong, and in the detail what to write instead.
func (r *Report) Error(at hcl.Range, summary, format string, args ...any) {
	r.Diags = append(r.Diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &at})
}

// Warn adds what is allowed but probably not meant.
func (r *Report) Warn(at hcl.Range, summary, format string, args ...any) {
	r.Diags = append(r.Diags, &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &at})
}
