package plan_test

import (
	"maps"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/magpie-monitoring/magpie/daemon/internal/plan"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

func TestGroupsHaveWhatTheirFilesSayAndElseWhatTheirBlocksSay(t *testing.T) {
	a, err := txtar.ParseFile("../../testdata/config/inhibit.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var sources []language.Source
	for _, f := range a.Files[:2] {
		sources = append(sources, language.Source{Name: f.Name, Bytes: f.Data})
	}
	cfg, diags := language.Parse(sources)
	d, more := plan.Build(cfg, offers(t), env())
	if diags.HasErrors() || more.HasErrors() || len(d.Groups) != 3 {
		t.Fatal(diags, more, len(d.Groups))
	}
	for i, want := range []struct {
		name   string
		limit  int
		offset time.Duration
		labels map[string]string // of the first rule
	}{
		{"shop", 20, time.Minute, map[string]string{"team": "shop", "severity": "critical"}},
		{"own", 0, 0, map[string]string{"team": "own"}},
		{"given", 5, 30 * time.Second, map[string]string{"team": "files"}},
	} {
		g := d.Groups[i]
		if g.Name != want.name || g.Limit != want.limit || g.Offset != want.offset || !maps.Equal(g.Rules[0].Labels, want.labels) {
			t.Errorf("%s: limit %d, offset %s, labels %v", g.Name, g.Limit, g.Offset, g.Rules[0].Labels)
		}
	}
	if record := d.Groups[0].Rules[1]; record.Labels["team"] != "shop" {
		t.Errorf("%+v", record)
	}
	if len(d.Inhibit) != 3 || d.Inhibit[1].Source[1].Value != "fra1" || len(d.Inhibit[0].Equal) != 2 {
		t.Errorf("%+v", d.Inhibit)
	}
}
