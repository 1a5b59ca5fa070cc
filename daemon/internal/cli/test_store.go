package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/daemon/internal/rule"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/client"
)

// testStore is the store plugin's process. Each test opens a store of its own in it.
type testStore struct {
	process *client.Process
	dir     string
	opened  uint32
}

func startTestStore(ctx context.Context, catalogue *client.Catalogue) (*testStore, error) {
	plugins, err := catalogue.Plugins(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(plugins, func(p client.Plugin) bool {
		return slices.ContainsFunc(p.Types, func(t sdk.Type) bool { return t.Kind == sdk.KindStore && t.Name == "tsdb" })
	})
	if i < 0 {
		return nil, fmt.Errorf("tests of rules need the plugin that offers store \"tsdb\", and it is not in %s: give its directory with -plugin-dir", strings.Join(catalogue.Dirs, " or "))
	}
	s := &testStore{}
	if s.dir, err = os.MkdirTemp("", "magpie-test-"); err != nil {
		return nil, err
	}
	if s.process, err = client.Launch(ctx, client.Options{Path: plugins[i].Path, SocketDir: catalogue.Run}); err != nil {
		os.RemoveAll(s.dir)
		return nil, err
	}
	return s, nil
}

func (s *testStore) stop() {
	s.process.Stop(context.Background())
	os.RemoveAll(s.dir)
}

// testData is the open store of one test.
type testData struct {
	*feed
	store  *testStore
	number uint32
	refs   map[string]sdk.Ref
}

func (s *testStore) open(ctx context.Context) (*testData, error) {
	s.opened++
	d := &testData{store: s, number: s.opened, refs: map[string]sdk.Ref{}}
	_, err := s.process.Open(ctx, client.Opening{
		Config:    client.Config{Kind: sdk.KindStore, Type: "tsdb", Address: "store.tsdb.test", JSON: []byte(`{"min_free": 0}`)},
		Component: d.number, Dir: filepath.Join(s.dir, fmt.Sprint(d.number)),
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("the store does not open: %w", err)
	}
	stream, err := s.process.Consume(ctx, d.number, 0)
	if err != nil {
		return nil, err
	}
	d.feed = newFeed(stream)
	return d, nil
}

func (d *testData) close() {
	d.stream.CloseSend()
	d.store.process.Close(context.Background(), d.number, 5*time.Second)
	os.RemoveAll(filepath.Join(d.store.dir, fmt.Sprint(d.number)))
}

// write stores samples and returns when they can be asked for.
func (d *testData) write(ctx context.Context, samples []rule.Sample) error {
	if len(samples) == 0 {
		return nil
	}
	for _, s := range samples {
		if s.Histogram != nil {
			return errors.New("native histograms are not supported in tests of rules")
		}
		key := s.Labels.String()
		ref, known := d.refs[key]
		if !known {
			ref = d.Batch.Define(sdk.Series{Labels: s.Labels})
			d.refs[key] = ref
		}
		d.Batch.PutAt(ref, s.Value, s.Time)
	}
	if err := d.send(); err != nil {
		return err
	}
	for {
		up, err := d.stream.Recv()
		if err != nil {
			return fmt.Errorf("the store ended the stream: %w", err)
		}
		ack := up.GetAck()
		if ack == nil {
			continue
		}
		for reason, n := range ack.Dropped {
			return fmt.Errorf("the store refused %d samples: %s", n, reason)
		}
		if ack.Position >= d.Last {
			return nil
		}
	}
}

func (d *testData) query(ctx context.Context, expr string, at time.Time) (*sdk.Result, error) {
	return d.store.process.Query(ctx, d.number, sdk.Query{Expr: expr, Start: at})
}

// isNumber reports whether a value is one that a series has: staleness markers end it.
func isNumber(v float64) bool { return math.Float64bits(v) != math.Float64bits(sdk.StaleNaN) }
