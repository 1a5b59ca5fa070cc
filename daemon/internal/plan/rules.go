package plan

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/magpie-monitoring/magpie/sdk/language"
)

// groups reads the rules blocks, and makes one group of the loose rules of each file.
func (b *builder) groups() {
	loose := map[string]*language.Body{}
	for _, block := range b.Expanded() {
		pack := language.PackOf(block)
		file := pack.Prefix() + language.Header(block).Filename
		switch {
		case block.Type == "rules" && b.IsOn(block):
			b.desired.blocks = append(b.desired.blocks, b.CoreBlock(block))
		case (block.Type == "alert" || block.Type == "record") && b.Enabled(block):
			if loose[file] == nil {
				loose[file] = &language.Body{Kind: "file", Title: "rules of " + filepath.Base(file), Header: language.Header(block), Pack: pack}
				b.desired.blocks = append(b.desired.blocks, loose[file])
			}
			loose[file].Fields = append(loose[file].Fields, &language.Field{Name: block.Type, Blocks: []*language.Body{b.CoreBlock(block)}})
		}
	}
	for _, x := range b.desired.blocks {
		switch x.Kind {
		case "rules":
			r := language.Fill[language.RulesBlock](x)
			if r.Files == nil || len(r.Alerts)+len(r.Records) > 0 {
				b.group(x, r)
			}
			b.ruleFiles(x, r)
		case "file":
			b.group(x, language.RulesBlock{Name: filepath.Base(x.Header.Filename)})
		}
	}
	b.CheckEdits()
}

func (b *builder) group(x *language.Body, r language.RulesBlock) {
	g := &Group{Name: x.Pack.Prefix() + r.Name + x.Key, body: x, File: x.Header.Filename, Interval: cmp.Or(r.Interval, b.desired.Settings.Interval), Limit: r.Limit, Offset: r.QueryOffset, Range: x.Header}
	b.SetDefault(x, language.Core["rules"], "interval", g.Interval)
	g.Store = b.storeOf(x, r.Store)
	b.rules(g, x, r.Labels)
	if f := x.Field("labels"); f != nil {
		b.checkLabels(x, "labels", r.Labels)
		b.checkTemplates(x, "labels", r.Labels)
	}
}

// ruleFiles reads the files that a rules block names. What the block says holds for the groups in them that do not say it.
func (b *builder) ruleFiles(x *language.Body, r language.RulesBlock) {
	patterns := language.RuleFilePatterns(x)
	if patterns == nil {
		return
	}
	store, mine := b.storeOf(x, r.Store), map[string]bool{}
	for _, p := range patterns {
		names, err := b.cfg.RuleFiles(p.Pattern)
		switch {
		case err != nil:
			b.Error(p.At, "Invalid pattern", "A pattern is a path with *, ? and [a-z], and %q is none.", p.Pattern)
		case names == nil && strings.ContainsAny(p.Pattern, "*?["):
			b.Warn(p.At, "No rule files", "No file matches %s.", p.Pattern)
		case names == nil:
			b.Error(p.At, "No such rule file", "There is no file %s.", p.Pattern)
		}
		for _, name := range names {
			key := x.Pack.Prefix() + name // each pack of the same files has its own
			other, taken := b.ruleFile[key]
			if taken && !mine[key] {
				b.Error(p.At, "Rule file read twice", "%s is read at %s already: its alerts would be there twice.", name, language.Place(other))
			}
			if taken {
				continue
			}
			b.ruleFile[key], mine[key] = p.At, true
			for _, y := range b.RuleFile(name, x.Pack) {
				b.desired.blocks = append(b.desired.blocks, y)
				b.groupOfFile(y, r, store)
			}
		}
	}
}

// groupOfFile makes a group of one of a rule file.
func (b *builder) groupOfFile(x *language.Body, r language.RulesBlock, store string) {
	g := &Group{Name: x.Pack.Prefix() + x.Labels[0], body: x, File: x.Header.Filename, Store: store, Limit: r.Limit, Offset: r.QueryOffset, Range: x.Header}
	g.Interval = cmp.Or(r.Interval, b.desired.Settings.Interval)
	if f := x.Field("interval"); f != nil {
		g.Interval = f.Value.(time.Duration)
	}
	if f := x.Field("limit"); f != nil {
		g.Limit = f.Value.(int)
	}
	if f := x.Field("query_offset"); f != nil {
		g.Offset = f.Value.(time.Duration)
	}
	b.SetDefault(x, language.Core["rules"], "interval", g.Interval)
	b.SetDefault(x, language.Core["rules"], "store", language.Addresses{Found: []string{store}, Text: "[" + store + "]"})
	b.rules(g, x, r.Labels)
}

// storeOf is the store that a group names, or else the only one.
func (b *builder) storeOf(x *language.Body, named []string) (store string) {
	if f := x.Field("store"); f != nil && len(named) > 1 {
		b.Error(f.At, "Several stores", "A group asks one store: name one of %s.", strings.Join(named, ", "))
	} else if len(named) == 1 {
		store = named[0]
	} else if f == nil {
		store = b.onlyStore(x)
		b.SetDefault(x, language.Core["rules"], "store", language.Addresses{Found: []string{store}, Text: "[" + store + "]"})
	}
	b.Use(store)
	return store
}

// rules reads the rules of a group, with its labels. In Prometheus' files several may have one name.
func (b *builder) rules(g *Group, x *language.Body, labels map[string]string) {
	seen := map[string]hcl.Range{}
	for _, y := range x.Nested() {
		if f := y.Field("enabled"); f != nil && f.Value == false {
			continue
		}
		rule := b.rule(y, x.Kind != language.OfRuleFile)
		if own := rule.Labels; len(labels) > 0 {
			rule.Labels = maps.Clone(labels)
			maps.Copy(rule.Labels, own)
		}
		key := y.Title + y.Key
		if rule.Record != "" { // several records of one name may differ in their labels
			key += fmt.Sprint(rule.Labels)
		}
		if other, taken := seen[key]; taken && x.Kind != language.OfRuleFile {
			b.Error(y.Header, "Duplicate rule", "The group has %s at %s already.", y.Title, language.Place(other))
		}
		seen[key] = y.Header
		g.Rules = append(g.Rules, rule)
	}
	b.desired.Groups = append(b.desired.Groups, g)
}

// onlyStore is where rules are evaluated that name no store. That there is none is said once.
func (b *builder) onlyStore(x *language.Body) string {
	stores := b.On("store")
	switch {
	case len(stores) == 1:
		return stores[0]
	case len(stores) > 1 && x.Kind == "file":
		b.Error(x.Header, "Several stores", "There are %s: put the rules into a rules block that says which of them it asks, store = %s.", strings.Join(stores, ", "), stores[0])
	case len(stores) > 1:
		b.Error(x.Header, "Several stores", "There are %s: say which of them the rules ask, store = %s.", strings.Join(stores, ", "), stores[0])
	case len(b.desired.Groups) == 0 && !b.cfg.Partial && !(b.cfg.IsPack() && b.env.Offline):
		b.Error(x.Header, "Rules without a store", "Rules ask a store, and none is declared: write store \"tsdb\" \"main\" {}.")
	}
	return ""
}

// tests reads the test blocks.
func (b *builder) tests() {
	for _, block := range b.Expanded() {
		if block.Type != "test" || !b.IsOn(block) {
			continue
		}
		x := b.CoreBlock(block)
		if x.Broken {
			continue
		}
		t := &Test{TestBlock: language.Fill[language.TestBlock](x), Pack: x.Pack.Prefix(), Range: x.Header}
		for _, y := range x.Nested() {
			t.Expects = append(t.Expects, y.Header)
			b.checkTime(y.Header, y.Labels[0])
			for _, z := range y.Nested() {
				b.checkExpr(z.Field("expr"))
				if f := z.Field("at"); f != nil {
					b.checkTime(f.At, fmt.Sprint(f.Value))
				}
			}
		}
		b.desired.Tests = append(b.desired.Tests, t)
	}
}

func (b *builder) checkTime(at hcl.Range, text string) {
	if d, err := time.ParseDuration(text); err != nil || d < 0 {
		b.Error(at, "Invalid time", "An expectation is of a time since the beginning, such as \"4m\", and %q is none.", text)
	}
}

// dashboards reads the dashboard blocks.
func (b *builder) dashboards() {
	for _, block := range b.Blocks("dashboard") {
		x := b.CoreBlock(block)
		b.desired.blocks = append(b.desired.blocks, x)
		if d := b.Dashboard(x); d != nil {
			b.desired.Dashboards = append(b.desired.Dashboards, d)
			for _, q := range d.Queries {
				b.checkPromQL(q.Field, q.Text)
			}
		}
	}
}

var metricName = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)

// rule reads a rule. Texts of blocks are trimmed, as heredocs end in a line break that nobody means.
func (b *builder) rule(y *language.Body, trimmed bool) *Rule {
	r := &Rule{Range: y.Header}
	if y.Kind == "record" {
		f := language.Fill[language.RecordBlock](y)
		r.Record, r.Expr, r.Labels = f.Name, strings.TrimSpace(f.Expr), f.Labels
		if !metricName.MatchString(r.Record) {
			b.Error(y.Field("name").At, "Invalid metric name", "%q is not a name of letters, digits, _ and :, which a recorded series needs.", r.Record)
		}
	} else {
		f := language.Fill[language.AlertBlock](y)
		r.Alert, r.Expr, r.Labels, r.Notify, r.Diagnose = cmp.Or(f.Name, f.Label), strings.TrimSpace(f.Expr), f.Labels, f.Notify, f.Diagnose
		r.For, r.KeepFiringFor = f.For, f.KeepFiringFor
		r.Annotations = map[string]string{}
		for k, v := range f.Annotations {
			if r.Annotations[k] = v; trimmed || y.Field("annotations").IsOverride() {
				r.Annotations[k] = strings.TrimSpace(v)
			}
		}
		b.SetDefault(y, language.Core["alert"], "name", r.Alert)
		b.checkTemplates(y, "labels", r.Labels)
		b.checkTemplates(y, "annotations", f.Annotations)
	}
	b.checkLabels(y, "labels", r.Labels)
	b.checkExpr(y.Field("expr"))
	return r
}
