package python

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// What a packet means, and whether it is one, must not depend on the language of the sink: damaged vectors are read by both
// codecs. MAGPIE_SOAK is how long to go on beyond the first ones.
func TestBothCodecsThinkTheSameOfDamagedPackets(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	python := startDigests(t)
	random := rand.New(rand.NewPCG(1, 2))
	patience, _ := time.ParseDuration(os.Getenv("MAGPIE_SOAK"))
	if patience > 0 {
		random = rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 3))
	}
	refused, tried := 0, 0
	for until := time.Now().Add(patience); tried < 3000 || time.Now().Before(until); tried++ {
		m := damage(random, seeds)
		want, got := digest(m), python(m)
		if got != want {
			t.Fatalf("the Go codec reads %s, Python's %s, in\n%x", want, got, m)
		}
		if want == "refused" {
			refused++
		}
	}
	t.Logf("%d packets, of which both refused %d", tried, refused)
	if refused == 0 || refused == tried {
		t.Error("these packets try nothing")
	}
}

// seeds are the packets of the vectors.
func seeds(t *testing.T) (all [][]byte) {
	for _, name := range []string{"batches.json", "frames.json"} {
		b, err := os.ReadFile(filepath.Join("../wire/testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		var vectors []struct{ Packets []struct{ Hex string } }
		if err := json.Unmarshal(b, &vectors); err != nil {
			t.Fatal(err)
		}
		for _, v := range vectors {
			var whole []byte // all of a vector as one packet, so that definitions and samples are together
			for _, p := range v.Packets {
				m, err := hex.DecodeString(p.Hex)
				if err != nil {
					t.Fatal(err)
				}
				if view, err := wire.ParsePacket(m); err == nil {
					whole = append(whole, view.Frames...)
				}
				if len(m) > 0 && len(v.Packets) == 1 {
					all = append(all, m)
				}
			}
			if len(v.Packets) > 1 {
				head := append(make([]byte, wire.PacketHeader), whole...)
				raw := wire.SealPacket(&head, 1, 1, 0)
				all = append(all, raw.Data.Materialize())
			}
		}
	}
	if len(all) < 40 {
		t.Fatalf("only %d packets are in the vectors", len(all))
	}
	return all
}

// startDigests starts a process that reads packets with the Python codec.
func startDigests(t *testing.T) func(message []byte) string {
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), interpreter(t), "tests/agree.py")
	cmd.Env = append(os.Environ(), "PYTHONPATH="+here, "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	lines := bufio.NewScanner(out)
	return func(message []byte) string {
		fmt.Fprintf(in, "%x\n", message)
		if !lines.Scan() {
			t.Fatalf("the Python codec broke (%v) of\n%x", lines.Err(), message)
		}
		return lines.Text()
	}
}

// damage makes a packet that is mostly one.
func damage(r *rand.Rand, seeds [][]byte) []byte {
	m := bytes.Clone(seeds[r.IntN(len(seeds))])
	if r.IntN(8) == 0 { // frames of two packets
		m = append(m, seeds[r.IntN(len(seeds))][wire.PacketHeader:]...)
	}
	for range r.IntN(3) {
		switch at := r.IntN(len(m)); r.IntN(6) {
		case 0:
			m[at] ^= 1 << r.IntN(8)
		case 1:
			m[at] = byte(r.Uint32())
		case 2:
			m[at] = []byte{0, 1, 2, 0x7f, 0x80, 0xff}[r.IntN(6)]
		case 3:
			m = m[:at+1]
		case 4:
			m = append(m[:at], append([]byte{byte(r.Uint32())}, m[at:]...)...)
		case 5:
			if at = at &^ 7; at+8 <= len(m) {
				binary.LittleEndian.PutUint64(m[at:], []uint64{0, 1, math.MaxUint64, 0x7ff0000000000002, 1 << 52}[r.IntN(5)])
			}
		}
	}
	return m
}

// digest is what tests/agree.py prints, by the Go codec.
func digest(message []byte) string {
	d := wire.NewDecoder()
	for _, stream := range []uint32{1, 3} {
		d.Decode(wire.AppendStream(nil, stream, "source.test.vector"))
	}
	packet, err := wire.ParsePacket(message)
	if err != nil {
		return "refused"
	}
	runs, forgotten, err := d.Decode(packet.Frames)
	if err != nil {
		return "refused"
	}
	h, n := sha256.New(), 0
	batch := sdk.ReadBatch(packet.LastSeq, runs)
	for _, s := range batch.Samples() {
		n++
		addSeries(h, s.Labels, s.Family, s.Time.UnixMilli())
		if r := s.Record; r != nil {
			fmt.Fprintf(h, "%d %d %s %s", r.Level, r.Time.Nanosecond()%1e6, r.Name, r.Text)
			addSeries(h, r.Attributes, nil, 0)
			continue
		}
		if s.Histogram == nil {
			binary.Write(h, binary.LittleEndian, s.Value)
			continue
		}
		g := s.Histogram
		binary.Write(h, binary.LittleEndian, int64(g.Schema))
		binary.Write(h, binary.LittleEndian, []float64{g.ZeroThreshold, g.ZeroCount, g.Count, g.Sum})
		for _, spans := range [][]sdk.Span{g.PositiveSpans, g.NegativeSpans} {
			for _, s := range spans {
				binary.Write(h, binary.LittleEndian, []int64{int64(s.Offset), int64(s.Length)})
			}
		}
		for _, side := range [][]float64{g.Positive, g.Negative, g.Custom} {
			binary.Write(h, binary.LittleEndian, side)
		}
		form := []byte{0, byte(g.Reset)}
		if g.Float {
			form[0] = 1
		}
		h.Write(form)
	}
	for s, e := range batch.Exemplars() {
		n++
		addSeries(h, s.Labels, s.Family, e.Time.UnixMilli())
		binary.Write(h, binary.LittleEndian, e.Value)
		addSeries(h, e.Labels, nil, 0)
	}
	for _, f := range forgotten {
		io.WriteString(h, "forget")
		binary.Write(h, binary.LittleEndian, f.Refs)
	}
	wire.Forget(forgotten)
	return fmt.Sprintf("%d %x", n, h.Sum(nil))
}

func addSeries(h hash.Hash, ls sdk.Labels, f *sdk.Family, time int64) {
	for _, l := range ls {
		fmt.Fprintf(h, "%s\xff%s\xff", l.Name, l.Value)
	}
	if f != nil {
		fmt.Fprintf(h, "%s %s %s %s", f.Name, f.Type, f.Unit, f.Help)
	}
	if time >= 1e15 || time <= -1e15 { // as seconds in a float64 they are not exact
		time = 0
	}
	binary.Write(h, binary.LittleEndian, time)
}
