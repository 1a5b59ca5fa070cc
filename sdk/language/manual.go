package language

import (
	"slices"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Manual is what the manual says of a block of the language's own.
type Manual struct {
	sdk.Block
	Example string
	Settles bool // it is of the daemon's settings: what a change costs is worth knowing
}

// Manuals are the blocks of the language's own, and what any block may hold, by name.
func Manuals() (list []Manual) {
	declared := map[string]sdk.Block{}
	for _, b := range coreSchema.Blocks {
		for _, inner := range b.Body.Blocks {
			declared[inner.Name] = inner // alert and record, which stand by themselves too
		}
	}
	for _, b := range coreSchema.Blocks {
		declared[b.Name] = b
	}
	for _, name := range Sorted(manuals) {
		m := manuals[name]
		if m.Name == "" {
			m.Block = declared[name]
		}
		m.Body, m.Example = shown(m.Body), strings.TrimSpace(m.Example)
		list = append(list, m)
	}
	return list
}

// CoreManual is what blocks of a plugin's type take beside what the plugin says, as manuals show it.
func CoreManual(t sdk.Type) sdk.Schema { return shown(*CoreOf(t)) }

// shown says of references what they take.
func shown(s sdk.Schema) sdk.Schema {
	s.Attributes = slices.Clone(s.Attributes)
	for i := range s.Attributes {
		if a := &s.Attributes[i]; a.Type == References {
			a.Type, a.Checks = "addresses of "+strings.Join(referenceKinds[a.Name], "s and ")+"s", nil
		} else if a.Name == "disable" {
			a.Type = "names of blocks"
		} else {
			a.Checks = slices.DeleteFunc(slices.Clone(a.Checks), func(c string) bool { return c == Public || c == Quiet })
		}
	}
	if len(s.Blocks) > 0 && s.Blocks[0].Name == "route" { // routes nest
		s.Blocks = slices.Clone(s.Blocks)
		s.Blocks[0].Body = s
		return s
	}
	s.Blocks = slices.Clone(s.Blocks)
	for i := range s.Blocks {
		s.Blocks[i].Body = shown(s.Blocks[i].Body)
	}
	return s
}

var manuals = map[string]Manual{
	"daemon": {Settles: true, Example: `
daemon {
  data_dir        = "/var/lib/magpie"
  interval        = "15s"
  external_labels = { site = env("SITE", "fra1") }
}`},
	"http":   {Settles: true, Example: `http { listen = "127.0.0.1:9470" }`},
	"buffer": {Settles: true, Example: `buffer { max_size = "20GiB" }`},
	"pipeline": {Example: `
pipeline "metrics" {
  from    = [source.etcd, source.prometheus.node] # all of a type, one
  through = [processor.relabel.tidy]
  to      = [store.tsdb.main, sink.remote_write.central]
}`},
	"rules": {Example: `
rules "etcd" {
  interval = "30s"
  alert "etcdNoLeader" {
    expr = "etcd_server_has_leader == 0"
    for  = "1m"
  }
  record "job:up:sum" { expr = "sum by (job) (up)" }
}

rules "legacy" { files = ["rules/*.yml"] } # Prometheus' own`},
	"alert": {Example: `
alert "InstanceDown" {
  expr        = "up == 0"
  for         = "5m"
  labels      = { severity = "critical" }
  annotations = { summary = "{{ $labels.instance }} has been down for 5 minutes" }
}`},
	"record": {Example: `record "job:up:sum" { expr = "sum by (job) (up)" }`},
	"test": {Example: `
test "a target that is gone" {
  series = <<-SERIES
    up{job='node', instance='a'} 1 0x10
  SERIES
  expect "2m" { pending = ["InstanceDown"] }
  expect "7m" { firing = ["InstanceDown"] }
}`},
	"pack": {Example: `
pack "etcd" {
  source   = "./packs/etcd"
  clusters = { prod = ["https://10.0.0.1:2379"] } # a variable of the pack
  disable  = [alert.etcdExcessiveDatabaseGrowth]
  override "alert" "etcdHighFsyncDurations" { for = "20m" }
}

pipeline "etcd" {
  from = [pack.etcd.source]
  to   = [store.tsdb.main]
}

pack "hosts" {
  source = "https://packs.example/hosts-1.2.tar.gz" # fetched once
  sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
}`},
	"dashboard": {Example: `dashboard "etcd" { file = "dashboards/etcd.json" }`},
	"route": {Example: `
route {
  notify   = [notifier.webhook.oncall]
  group_by = ["alertname", "cluster"]
  route {
    match  = "team = 'db', severity =~ 'warning|critical'"
    notify = [notifier.webhook.db]
  }
}`},
	"inhibit": {Example: `
inhibit "critical" {
  source_match = "severity = 'critical'"
  target_match = "severity =~ 'warning|info'"
  equal        = ["alertname", "cluster"]
}`},
	"locals": {Block: sdk.Block{Name: "locals", Many: true, Doc: "Values with a name: name = value, as many as there are. They are referred to as local.name."}, Example: `
locals {
  clusters = {
    prod = ["https://10.0.0.1:2379", "https://10.0.0.2:2379"]
    dev  = ["https://10.9.0.1:2379"]
  }
}`},
	"variable": {Block: sdk.Block{
		Name: "variable", Labels: []string{"name"},
		Doc: "A value that is given from outside, referred to as var.name: by -var name=value, else by the last file *.vars.hcl, else by MAGPIE_VAR_name in the environment, else by its default. Those of a pack are given by the pack block.",
		Body: sdk.Schema{
			Attributes: []sdk.Attribute{
				{Name: "type", Type: "type", Doc: "string, number, bool, any, list(string), set(string), map(string), object({ name = string, port = optional(number, 80) }) or of such parts; default: any. references, in packs: addresses of components outside, for the arguments that take some."},
				{Name: "default", Type: "any", Doc: "The value where none is given. Without one, one must be."},
				{Name: "description", Type: "string", Doc: "What it is for."},
				{Name: "sensitive", Type: "bool", HasDefault: true, Default: "false", Doc: "It is a secret, shown to nobody."},
			},
			Blocks: []sdk.Block{{Name: "validation", Many: true, Doc: "What the value must be like.", Body: sdk.Schema{Attributes: []sdk.Attribute{
				{Name: "condition", Type: "bool", Required: true, Doc: "True for values that are right; it names var.name."},
				{Name: "error_message", Type: "string", Required: true, Doc: "What to say of others."},
			}}}},
		},
	}, Example: `
variable "site" {
  type    = string
  default = "fra1"
  validation {
    condition     = length(var.site) == 4
    error_message = "A site has four letters, not ${var.site}."
  }
}`},
	"moved": {Block: sdk.Block{
		Name: "moved", Many: true, Doc: "A component, a pipeline, a group of rules or a pack, with all that is in it, has another name now: its data, state, place in the log and timers go along. A rule that is in another group now, or in a pack, needs none: its alerts go on by its name and labels.",
		Body: sdk.Schema{Attributes: []sdk.Attribute{
			{Name: "from", Type: "address", Required: true, Doc: "What it was called."},
			{Name: "to", Type: "address", Required: true, Doc: "What it is called now."},
		}},
	}, Example: `
source "host" "this" {}
moved {
  from = source.host.machine
  to   = source.host.this
}`},
	"for_each": {Block: sdk.Block{
		Name: "for_each", Doc: `An argument of components, pipelines, rules, alerts, records and packs: one block for each element of a map, or of a set of texts. In the block, each.key and each.value are the element; the addresses are source.etcd.main["prod"].`,
	}, Example: `
source "etcd" "main" {
  for_each  = { prod = ["https://10.0.0.1:2379"], dev = ["https://10.9.0.1:2379"] }
  endpoints = each.value
  labels    = { cluster = each.key }
}`},
	"dynamic": {Block: sdk.Block{
		Name: "dynamic", Many: true, Labels: []string{"block"}, Doc: "In any block: blocks of the name that its label says, one for each element of for_each.",
		Body: sdk.Schema{
			Attributes: []sdk.Attribute{
				{Name: "for_each", Type: "any", Required: true, Doc: "A list, a set or a map."},
				{Name: "iterator", Type: "name", Doc: "What the element is called in content, with .key and .value; default: the block's name."},
				{Name: "labels", Type: "list(string)", Doc: "Labels of the blocks, where they have some."},
			},
			Blocks: []sdk.Block{{Name: "content", Required: true, Doc: "What each of the blocks holds."}},
		},
	}, Example: `
source "prometheus" "node" {
  dynamic "target" {
    for_each = { "10.0.0.1:9100" = "a", "10.0.0.2:9100" = "b" }
    labels   = [target.key]
    content { labels = { rack = target.value } }
  }
}`},
}
