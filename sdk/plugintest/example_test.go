package plugintest_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

var status = sdk.Gauge("page_status", "Status of the answer.")

type Config struct {
	URL string `hcl:"url" check:"url" doc:"Address to ask."`
	sdk.HTTPClient
}

type page struct {
	cfg    *Config
	client *http.Client
}

func open(_ context.Context, cfg *Config, host sdk.Host) (*page, error) {
	client, err := cfg.Client(host.Source().Timeout, 1)
	return &page{cfg, client}, err
}

func (p *page) Collect(ctx context.Context, out *sdk.Batch) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.cfg.URL, nil)
	if err != nil {
		return sdk.At(&p.cfg.URL, err)
	}
	answer, err := p.client.Do(r)
	if err != nil {
		return sdk.Target(err)
	}
	out.Set(status, float64(answer.StatusCode))
	return answer.Body.Close()
}

// A source beside a real server, which fails as the test wants.
func Example() {
	_ = func(t *testing.T) { // func TestThePageIsAsked(t *testing.T)
		server := httptest.NewServer(http.NotFoundHandler())
		defer server.Close()

		c := plugintest.Open(t, sdk.Source(open), plugintest.Config{"url": server.URL})
		if got := c.Cycle().Find("page_status"); len(got) != 1 || got[0].Value != 404 {
			t.Errorf("it says %v", got)
		}
	}
}

// What happens in an hour, without waiting for it: in a bubble of package testing/synctest everything has the bubble's clock.
func ExampleServe() {
	_ = func(t *testing.T) { // func TestATargetThatIsAwayForAnHourIsBack(t *testing.T)
		synctest.Test(t, func(t *testing.T) {
			back := time.Now().Add(time.Hour)
			server := plugintest.Serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if time.Now().Before(back) {
					<-r.Context().Done() // no answer: until the timeout
				}
			}))
			c := plugintest.Open(t, sdk.Source(open), plugintest.Config{"url": server.URL},
				plugintest.Settings(sdk.SourceSettings{Job: "page", Interval: time.Minute, Timeout: 10 * time.Second, LimitSeries: 1000}))
			time.Sleep(time.Hour + time.Minute)
			synctest.Wait()
			up := c.Came().Find("up")
			if first, last := up[0], up[len(up)-1]; first.Value != 0 || last.Value != 1 {
				t.Errorf("up was %v, and is %v", first, last)
			}
		})
	}
}

// A source with each fault of a server, whose right answer is a page; in a bubble each timeout is over at once.
func ExampleFaults() {
	_ = func(t *testing.T, page http.Handler) {
		for name, faulty := range plugintest.Faults(page) {
			synctest.Test(t, func(t *testing.T) {
				c := plugintest.Open(t, sdk.Source(open), plugintest.Config{"url": plugintest.Serve(t, faulty).URL})
				c.Cycle()
				if h := c.Health(); h.Errors["plugin"] > 0 {
					t.Errorf("%s: %v", name, h.LastError)
				}
			})
		}
	}
}

// A sink whose connection is cut in the middle of a Write, and that is handed the same batch again.
func ExampleComponent_Redeliver() {
	_ = func(t *testing.T, c *plugintest.Component) { // and a server, asked by the sink, that calls c.Cut the first time
		b := c.Batch()
		b.Put(b.Series(sdk.Series{Labels: sdk.NewLabels(sdk.NameLabel, "up")}), 1)
		if ack := c.Write(); ack != nil {
			t.Errorf("it was acknowledged: %v", ack)
		}
		if ack := c.Redeliver(); ack.Stored != 1 {
			t.Errorf("%v", ack)
		}
	}
}

// What came, as a file in testdata has it; go test -update writes the file. The address of the server is another each time.
func ExampleGolden() {
	_ = func(t *testing.T, server *httptest.Server) {
		c := plugintest.Open(t, sdk.Source(open), plugintest.Config{"url": server.URL})
		plugintest.Golden(t, "page.txt", c.Cycle(), server.Listener.Addr().String(), "ADDRESS")
	}
}

// Every interval here, since the test waits for the second cycle: the component collects at once when it opens, and after that
// only in an hour.
func ExampleSettings() {
	_ = func(t *testing.T, url string) {
		c := plugintest.Open(t, sdk.Source(open), plugintest.Config{"url": url},
			plugintest.Settings(sdk.SourceSettings{Job: "page", Interval: 50 * time.Millisecond, Timeout: time.Second, LimitSeries: 1000}))
		c.Cycle()
		t.Log(c.Cycle())
	}
}

// What the daemon would say of a block, and what the configuration says of itself.
func ExampleHCL() {
	_ = func(t *testing.T) {
		capability := sdk.Source(open, sdk.Named("page"))
		cfg, err := plugintest.HCL(capability, `source "page" "main" { url = "http://127.0.0.1:80/" }`)
		if err != nil {
			t.Fatal(err) // with the line, and a caret
		}
		plugintest.Open(t, capability, cfg)
	}
}

// All checks of magpie plugin verify, of the plugin whose sources are beside the test.
func ExampleVerify() {
	_ = func(t *testing.T) { plugintest.Verify(t, ".") }
}
