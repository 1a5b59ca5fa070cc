package sdk_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Everything that a Config can say; its schema is made of nothing else.
type EverythingConfig struct {
	URL     string            `hcl:"url" check:"url" doc:"Address to request."`
	Method  string            `hcl:"method,optional" default:"GET" check:"oneof=GET HEAD" doc:"HTTP method."`
	Every   time.Duration     `hcl:"every,optional" default:"15s" check:"min=1s,max=1h" was:"period" doc:"How often." change:"live"`
	Most    sdk.Bytes         `hcl:"most,optional" default:"1MiB" doc:"Bytes of an answer."`
	Token   sdk.Secret        `hcl:"token,optional" doc:"Shown to nobody."`
	Only    []string          `hcl:"only,optional" check:"regexp" doc:"Names to take; none: all."`
	Labels  map[string]string `hcl:"extra,optional" doc:"Labels to add."`
	Limit   *int              `hcl:"limit,optional" check:"min=1" doc:"nil if it is not written."`
	TLS     *sdk.TLS          `hcl:"tls,block" doc:"At most one."`
	Mirrors []struct {
		Name string `hcl:"name,label" doc:"Its name."`
		Port uint16 `hcl:"port" check:"min=1" doc:"From 1 to 65535."`
	} `hcl:"mirror,block" doc:"Any number."`
}

// Validate says what tags cannot.
func (c *EverythingConfig) Validate(d *sdk.Diags) {
	for i := range c.Mirrors {
		if c.Mirrors[i].Port == 22 {
			d.Errorf(&c.Mirrors[i].Port, "port 22 is no mirror's")
		}
	}
}

// Errors steer: whom they blame, where, whether to come again.
func ExampleAt() {
	cfg := &EverythingConfig{URL: "http://127.0.0.1:1/"}
	err := sdk.Fix(sdk.Permanent(sdk.At(&cfg.URL, errors.New("there is no such page"))), "Look at the address.")
	p := sdk.AsProblem(err)
	fmt.Println(p.Blame, p.Permanent, p.Fix, p)
	// Output: config true Look at the address. there is no such page
}
