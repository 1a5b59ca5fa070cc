package pipeline

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// allergic is a sink that dies of some samples, or refuses them for good.
type allergic struct {
	*consumed
	to     string
	refuse bool
}

func (c *allergic) SendMsg(m any) error {
	buf := m.(*wire.Raw).Materialize()
	defer buf.Free()
	packet, err := wire.ParsePacket(buf.ReadOnlyData())
	if err != nil {
		return err
	}
	runs, _, err := c.decoder.Decode(packet.Frames)
	if err != nil {
		return err
	}
	ack := &wire.SinkAck{Position: packet.LastSeq}
	batch := sdk.ReadBatch(packet.LastSeq, runs)
	ack.Stored = uint64(batch.Len())
	for _, x := range batch.Samples() {
		if x.Labels.Get("__name__") != c.to {
			continue
		}
		if !c.refuse {
			return errors.New("the sink died")
		}
		ack.Stored, ack.Dropped = 0, map[string]uint64{"rejected": uint64(batch.Len())}
		ack.Refused = []*wire.Refusal{{Position: packet.LastSeq, Text: "it does not like it"}}
		break
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if ack.Stored > 0 {
		for _, x := range batch.Samples() {
			c.s.lines = append(c.s.lines, x.Labels.Get("__name__"))
		}
		close(c.s.changed)
		c.s.changed = make(chan struct{})
	}
	c.acks <- &wire.Up{Message: &wire.Up_Ack{Ack: ack}}
	return nil
}

func TestWhatASinkWillNeverTakeIsKept(t *testing.T) {
	for _, refuse := range []bool{true, false} {
		t.Run(map[bool]string{true: "refused", false: "poison"}[refuse], func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			k := r.sink()
			dir := t.TempDir()
			letters := NewLetters(dir)
			d := r.deliver(k, func(route *Route) {
				route.Wants = func(address string) bool { return address == "source.a.x" }
				route.Connect = func(ctx context.Context, _ uint32) (Consumed, error) {
					c, err := k.connect(ctx, 0)
					return &allergic{c.(*consumed), "nuts", refuse}, err
				}
				route.Bury = func(reason string, runs []sdk.Run) error { return letters.Put("sink.s.x", reason, runs) }
			})
			s, other := r.source(1, "source.a.x"), r.source(2, "source.b.x")
			other.emit(500, "unwanted", 1)
			s.emit(1000, "bread", 1)
			s.emit(2000, "bread", 2, "nuts", 3)
			s.emit(3000, "bread", 4, "nuts", 5)
			s.emit(4000, "bread", 6)
			if err := d.Wait(r.ctx, r.log.Durable()); err != nil {
				t.Fatal(err)
			}
			st := d.State()
			// the end of nuts is a sample too, and the sink does not like it either
			if st.Stored+dropped(d) != 7 || st.Stored != 1 {
				t.Errorf("%+v", st)
			}
			k.expect("bread")
			b, err := os.ReadFile(filepath.Join(dir, "sink.s.x.jsonl"))
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(b), "\n"); n != 6 || strings.Contains(string(b), "unwanted") ||
				!strings.Contains(string(b), `"source":"source.a.x","labels":{"__name__":"nuts","instance":"i","job":"j"},"time":2000,"value":"3"}`) {
				t.Errorf("%d lines:\n%s", n, b)
			}
		})
	}
}
