package sdk_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

type PageConfig struct {
	Expr string `hcl:"expr" doc:"What to show."`
}

// page serves a page below /plugins/service.page.NAME/, of what it asks the store.
type page struct {
	cfg  *PageConfig
	host sdk.Host
}

func openPage(_ context.Context, cfg *PageConfig, host sdk.Host) (*page, error) {
	return &page{cfg, host}, nil
}

// Run has nothing to do: the page is served while it waits.
func (p *page) Run(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	result, err := p.host.Query(r.Context(), sdk.Query{Expr: p.cfg.Expr, Start: time.Now()})
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	for _, s := range result.Series {
		fmt.Fprintln(w, s.Labels, s.Points[0].Value)
	}
}

var (
	_ sdk.Runner   = (*page)(nil)
	_ http.Handler = (*page)(nil)
)

// A service.
func ExampleService() {
	serve.Main("page", "0.1.0", sdk.Service(openPage, sdk.Doc("Shows what an expression says.")))
}
