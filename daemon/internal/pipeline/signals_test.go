package pipeline

import (
	"strings"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// observe sends a histogram, an exemplar and a float.
func (s *source) observe(at int64, name string) {
	s.Helper()
	ref := s.batch.Series(sdk.Series{Labels: sdk.NewLabels("__name__", name)})
	s.batch.PutHistogram(ref, &sdk.Histogram{Count: 2, Positive: []float64{2}, PositiveSpans: []sdk.Span{{Length: 1}}})
	s.batch.PutExemplar(ref, sdk.Exemplar{Labels: sdk.NewLabels("trace_id", "x"), Value: 1})
	s.emit(at, "f", int(at))
}

func TestHistogramsAreDeliveredCountedAndGoStale(t *testing.T) {
	r := newRig(t)
	k := r.sink()
	d := r.deliver(k, nil)
	s := r.source(1, "source.a.x")
	s.observe(1000, "h")
	s.emit(2000, "f", 2000)
	s.observe(3000, "h")
	k.expect("f i 1000 1000", "h i 1000 0", "f i 2000 2000", "h i 2000 NaN", "f i 3000 3000", "h i 3000 0")
	if err := d.Wait(r.ctx, r.log.Durable()); err != nil {
		t.Fatal(err)
	}
	if st, in := d.State(), r.in.Stats(1); st.Stored != 6 || in.Samples != 6 {
		t.Errorf("delivered %+v, received %+v", st, in)
	}
}

func TestTheDoorRefusesBrokenHistogramsAndThoseOfTheFuture(t *testing.T) {
	r := newRig(t)
	s := r.source(1, "source.a.x")
	s.observe(time.Now().Add(time.Hour).UnixMilli(), "h")
	if got := r.in.Dropped(); got["future"] < 2 || got["future_exemplars"] != 1 {
		t.Errorf("dropped %v", got)
	}
	body := make([]byte, 8+40) // one entry of 0 bytes for ref 0
	frame := make([]byte, wire.HeaderSize+len(body))
	frame[0], frame[4], frame[8], frame[16] = byte(len(frame)), byte(wire.Histograms), 1, 1
	c := checked{in: r.in, packet: frame}
	read := wire.Read(frame)
	if !read.Next() {
		t.Fatal(read.Err)
	}
	if err := c.frame(&read.Frame); err == nil || !strings.Contains(err.Error(), "source.a.x") {
		t.Errorf("a broken histogram: %v", err)
	}
}
