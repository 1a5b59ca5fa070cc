package plan_test

import (
	"encoding/json"
	"testing"

	"github.com/magpie-monitoring/magpie/daemon/internal/plan"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// Programs are shown what people are: values as HCL has them, what nobody wrote as a default, and no secret.
func TestProgramsAreShownBlocksWithoutSecrets(t *testing.T) {
	cfg, diags := language.Parse([]language.Source{{Name: "a.hcl", Bytes: []byte(`store "tsdb" "main" {}
source "prometheus" "web" {
  for_each = toset(["a"])
  interval = "1m30s"
  labels   = { site = each.key }
  target "127.0.0.1:9100" {}
  basic_auth {
    username = "u"
    password = sensitive("hunter22")
  }
}
pipeline "p" {
  from = [source.prometheus]
  to   = [store]
}
alert "down" { expr = "up == 0" }
`)}})
	d, more := plan.Build(cfg, offers(t), env())
	if diags.HasErrors() || more.HasErrors() {
		t.Fatal(diags, more)
	}
	byAddress := map[string]language.Shown{}
	for _, b := range plan.ShowBlocks(d) {
		byAddress[b.Address] = b
	}
	web := byAddress[`source.prometheus.web["a"]`]
	if web.Type != "source" || web.At != "a.hcl:2:1" || web.Key != `["a"]` || web.Attributes["interval"].Value != "1m30s" || web.Attributes["interval"].At != "a.hcl:4:14" ||
		!web.Attributes["timeout"].Default || web.Attributes["timeout"].Value != "10s" {
		t.Errorf("%+v", web)
	}
	data, err := json.Marshal(web.Attributes["labels"].Value)
	if err != nil || string(data) != `{"site":"a"}` {
		t.Errorf("%s, %v", data, err)
	}
	types := map[string]language.Shown{}
	for _, b := range web.Blocks {
		types[b.Type] = b
	}
	if p := types["basic_auth"].Attributes["password"]; p.Value != nil || !p.Sensitive {
		t.Errorf("%+v", p)
	}
	data, err = json.Marshal(byAddress[`pipeline "p"`].Attributes["from"].Value)
	if err != nil || string(data) != `["source.prometheus.web[\"a\"]"]` {
		t.Errorf("%s, %v", data, err)
	}
	if a := byAddress[`alert "down"`]; a.Attributes["expr"].Value != "up == 0" {
		t.Errorf("%+v", a)
	}
}
