package plugintest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// In a bubble the whole of a component's surroundings has the bubble's time: its clock, gRPC, its targets.

func every(interval time.Duration) Option {
	return Settings(sdk.SourceSettings{Job: "test", Interval: interval, Timeout: 10 * time.Second, LimitSeries: 1000})
}

func TestAnHourPassesInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := Open(t, sdk.Source(open), items(""), every(15*time.Second))
		began, last := time.Now(), time.Time{}
		for n := range 240 {
			at := c.Cycle().Find("up")[0].Time
			if n > 1 && at.Sub(last) != 15*time.Second {
				t.Fatalf("cycle %d came %v after the one before", n, at.Sub(last))
			}
			last = at
		}
		if took := time.Since(began); took < 59*time.Minute || took > time.Hour {
			t.Errorf("240 cycles took %v", took)
		}
		time.Sleep(time.Hour + time.Second) // not to be at the moment of a cycle
		synctest.Wait()
		if came := c.Came().Find("up"); len(came) != 240 {
			t.Errorf("%d cycles came in an hour", len(came))
		}
		if came := c.Came(); len(came) != 0 {
			t.Errorf("what came once came again: %s", came)
		}
	})
}

func TestTheNextCycleOfAnHourIsNotFarInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := Open(t, sdk.Source(open), items("")) // every hour
		for range 50 {
			if len(c.Cycle().Find("test_items")) != 2 {
				t.Error("a cycle is not whole")
			}
		}
	})
}

// slow takes its time.
type slow struct{}

func (s slow) Collect(ctx context.Context, _ *sdk.Batch) error {
	select {
	case <-time.After(25 * time.Second):
	case <-ctx.Done():
	}
	return sdk.Target(ctx.Err())
}

func TestTimeoutsAndSkippedTicksAreThoseOfTheBubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := Open(t, sdk.Source(func(context.Context, *none, sdk.Host) (slow, error) { return slow{}, nil }), nil, every(4*time.Second))
		for range 3 {
			got := c.Cycle()
			if took := got.Find("scrape_duration_seconds"); got.Find("up")[0].Value != 0 || took[0].Value != 10 {
				t.Errorf("%s", got)
			}
		}
		if h := c.Health(); h.Skipped < 4 || h.Errors["target"] < 3 {
			t.Errorf("%v", h)
		}
	})
}

// failing is a Streamer that ends at once.
type failing struct{ times *int }

func (f failing) Stream(context.Context, sdk.Emitter) error {
	*f.times++
	return errors.New("not now")
}

func TestPausesAfterErrorsAreThoseOfTheBubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		times := 0
		Open(t, sdk.StreamSource(func(context.Context, *none, sdk.Host) (failing, error) { return failing{&times}, nil }), nil)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if times < 24*60*2 || times > 24*60*8 { // every 15 s, as a rule
			t.Errorf("it was begun %d times in a day", times)
		}
		m := &kept{fails: 1000}
		c := Open(t, sdk.Sink(func(context.Context, *none, sdk.Host) (*kept, error) { return m, nil }), nil)
		b := c.Batch()
		b.Put(b.Series(sdk.Series{Labels: sdk.NewLabels("__name__", "a")}), 1)
		began := time.Now()
		if ack := c.Write(); ack.Stored != 1 || time.Since(began) < time.Hour {
			t.Errorf("%v after %v", ack, time.Since(began))
		}
	})
}

// pager asks an address, as most sources do, and serves what it got.
type pager struct {
	client *http.Client
	url    string
	last   string
}

type pageConfig struct {
	URL string `hcl:"url" doc:"Address."`
	sdk.HTTPClient
}

func openPager(ctx context.Context, cfg *pageConfig, host sdk.Host) (*pager, error) {
	if err := host.Put(ctx, "opened", []byte(time.Now().Format(time.RFC3339))); err != nil {
		return nil, err
	}
	client, err := cfg.Client(host.Source().Timeout, 1)
	return &pager{client: client, url: cfg.URL}, err
}

func (p *pager) Collect(ctx context.Context, out *sdk.Batch) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return err
	}
	answer, err := p.client.Do(r)
	if err != nil {
		return sdk.Target(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if len(b) == 1<<20 {
		err = errors.New("the page is too large")
	}
	p.last = string(b)
	return sdk.Target(err)
}

func (p *pager) ServeHTTP(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, p.last) }

func (p *pager) Close(context.Context) error {
	time.Sleep(time.Second)
	return nil
}

func TestTargetsAndHandlersAreInMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		server := Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch asked++; asked {
			case 3:
				<-r.Context().Done()
			case 4:
				panic(http.ErrAbortHandler)
			}
			fmt.Fprintf(w, "page %d", asked)
		}))
		var state State
		c := Open(t, sdk.Source(openPager), Config{"url": server.URL}, every(time.Minute), Keeping(&state))
		for _, up := range []float64{1, 1, 0, 0, 1} {
			if got := c.Cycle(); got.Find("up")[0].Value != up {
				t.Errorf("answer %d: %s, %v", asked, got, c.Health().LastError)
			}
		}
		for range 2 {
			answer, err := c.Client().Get("http://x/")
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(answer.Body)
			if answer.Body.Close(); string(b) != "page 5" {
				t.Errorf("the handler says %q", b)
			}
		}
		if v, _ := state.Get("opened"); string(v) != "2000-01-01T00:00:00Z" {
			t.Errorf("kept %q", v)
		}
		if answer, err := server.Client().Get(server.URL); err != nil || answer.Body.Close() != nil || asked != 6 {
			t.Errorf("the test itself: %v", err)
		}
		server.Close()
		if got := c.Cycle(); got.Find("up")[0].Value != 0 || c.Health().LastError == nil {
			t.Errorf("without a server: %s", got)
		}
		began := time.Now()
		if _, err := c.Conn.Close(t.Context(), c.Number, time.Minute); err != nil || time.Since(began) != time.Second {
			t.Errorf("it closed with %v after %v", err, time.Since(began))
		}
	})
}

func TestWhatServeServesIsReachedOutsideABubbleToo(t *testing.T) {
	t.Parallel()
	server := Serve(t, http.NotFoundHandler())
	if up := Open(t, sdk.Source(openPager), Config{"url": server.URL}).Cycle().Find("up"); len(up) != 1 || up[0].Value != 1 {
		t.Errorf("%v", up)
	}
}
