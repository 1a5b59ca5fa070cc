package plan

import (
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// route reads the route block and those of inhibitions. What a route does not say it has from the one around it, the first from Alertmanager's
// defaults.
func (b *builder) route() {
	for _, block := range b.Blocks("route") {
		x := b.CoreBlock(block)
		b.desired.blocks = append(b.desired.blocks, x)
		if f := x.Field("match"); f != nil {
			b.Error(f.At, "The first route takes every alert", "Write match in a route block within this one.")
		}
		b.desired.Route = b.routeOf(x, &Route{GroupBy: []string{}, GroupWait: 30 * time.Second, GroupInterval: 5 * time.Minute, RepeatInterval: 4 * time.Hour})
	}
	for _, block := range b.Blocks("inhibit") {
		x := b.CoreBlock(block)
		b.desired.blocks = append(b.desired.blocks, x)
		f := language.Fill[language.InhibitBlock](x)
		b.desired.Inhibit = append(b.desired.Inhibit, Inhibition{b.matchers(x.Field("source_match")), b.matchers(x.Field("target_match")), f.Equal})
	}
}

func (b *builder) matchers(f *language.Field) []sdk.Matcher {
	if f == nil {
		return nil
	}
	if v, ok := b.Value(f.Expr); ok && !v.IsKnown() {
		return nil // a pack alone, whose for_each has no keys yet
	}
	text, _ := f.Value.(string)
	list, wrong := sdk.ParseMatchers(text)
	if wrong != nil {
		b.Error(b.InText(f.Expr, f.At, text, wrong.From, wrong.To), "Invalid match", "%s", wrong.Text)
	}
	return list
}

func (b *builder) routeOf(x *language.Body, around *Route) *Route {
	f := language.Fill[language.RouteBlock](x)
	r := &Route{
		Notify: f.Notify, GroupBy: f.GroupBy, GroupWait: f.GroupWait, GroupInterval: f.GroupInterval, RepeatInterval: f.RepeatInterval,
		Continue: f.Continue, Range: x.Header,
	}
	if r.Notify == nil {
		r.Notify = around.Notify
		b.SetDefault(x, language.Core["route"], "notify", language.Addresses{Found: r.Notify, Text: "[" + strings.Join(r.Notify, ", ") + "]"})
	}
	if r.GroupBy == nil {
		r.GroupBy = around.GroupBy
		labels := []any{}
		for _, l := range r.GroupBy {
			labels = append(labels, l)
		}
		b.SetDefault(x, language.Core["route"], "group_by", labels)
	}
	for _, d := range []struct {
		name   string
		value  *time.Duration
		around time.Duration
	}{{"group_wait", &r.GroupWait, around.GroupWait}, {"group_interval", &r.GroupInterval, around.GroupInterval}, {"repeat_interval", &r.RepeatInterval, around.RepeatInterval}} {
		if x.Field(d.name) == nil {
			*d.value = d.around
			b.SetDefault(x, language.Core["route"], d.name, d.around)
		}
	}
	r.Match = b.matchers(x.Field("match"))
	if children := x.Field("route"); children != nil {
		for _, y := range children.Blocks {
			r.Routes = append(r.Routes, b.routeOf(y, r))
		}
	}
	return r
}
