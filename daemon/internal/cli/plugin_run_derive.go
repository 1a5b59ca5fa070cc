package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// feed sends batches to a sink or a processor of samples.
type feed struct {
	*wire.Feed
	stream grpc.BidiStreamingClient[wire.Packet, wire.Up]
}

func newFeed(stream grpc.BidiStreamingClient[wire.Packet, wire.Up]) *feed {
	return &feed{wire.NewFeed(7, "source.test.main"), stream}
}

// send sends what the batch holds.
func (f *feed) send() error {
	for _, packet := range f.Pack() {
		if err := f.stream.Send(packet); err != nil {
			return err
		}
	}
	return nil
}

// derive has a processor work on the samples on standard input, and shows what it makes of them.
func (r *running) derive(ctx context.Context) error {
	stream, err := r.Consume(ctx, r.number, r.number)
	if err != nil {
		return err
	}
	if err := stream.Send(&wire.Packet{Frames: wire.AppendCheckpoint(nil, r.number, wire.StateKey, nil)}); err != nil {
		return err
	}
	acked, ended := make(chan uint64), make(chan error, 1)
	go func() { ended <- r.showDerived(ctx, stream, acked) }()
	f := newFeed(stream)
	if err := readBatches(os.Stdin, f.Batch, func() error {
		err := f.send()
		if err == io.EOF { // the stream says why
			err = <-ended
		}
		return err
	}); err != nil || f.Last == 0 {
		return err
	}
	for {
		select {
		case position := <-acked:
			if position >= f.Last {
				return nil
			}
		case err := <-ended:
			return err
		}
	}
}

// readBatches reads samples as Prometheus writes them, name{label="value"} 1 with a time in milliseconds or without: now. An
// empty line ends a batch.
func readBatches(in io.Reader, batch *sdk.Batch, each func() error) error {
	end := func() error {
		if batch.Len() == 0 {
			return nil
		}
		return each()
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		switch {
		case strings.HasPrefix(line, "#"):
			continue
		case line == "":
			if err := end(); err != nil {
				return err
			}
			continue
		}
		labels, rest, err := seriesOf(line)
		if err != nil {
			return err
		}
		value, at, err := valueOf(rest)
		if err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
		batch.PutAt(batch.Series(sdk.Series{Labels: labels}), value, at)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return end()
}

// valueOf reads what stands behind a series.
func valueOf(text string) (value float64, at time.Time, err error) {
	fields := strings.Fields(text)
	if len(fields) == 0 || len(fields) > 2 {
		return 0, at, fmt.Errorf("a value is to follow, and perhaps a time in milliseconds")
	}
	if value, err = strconv.ParseFloat(fields[0], 64); err != nil {
		return 0, at, fmt.Errorf("%q is no value", fields[0])
	}
	at = time.Now()
	if len(fields) == 2 {
		ms, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return 0, at, fmt.Errorf("%q is no time in milliseconds", fields[1])
		}
		at = time.UnixMilli(ms)
	}
	return value, at, nil
}

// showDerived shows what comes from a processor until its stream ends.
func (r *running) showDerived(ctx context.Context, stream grpc.BidiStreamingClient[wire.Packet, wire.Up], acked chan<- uint64) error {
	decoder := wire.NewDecoder()
	if _, _, err := decoder.Decode(wire.AppendStream(nil, r.number, "processor")); err != nil {
		return err
	}
	for {
		up, err := stream.Recv()
		if err != nil {
			return err
		}
		if frames := up.GetDerived(); frames != nil {
			runs, gone, err := decoder.Decode(wire.Aligned(frames))
			if err != nil {
				return err
			}
			r.showBatch(sdk.ReadBatch(0, runs))
			wire.Forget(gone)
		}
		if p := up.GetTrouble(); p != nil && p.Text != "" {
			fmt.Fprintf(r.Err, "it cannot work on them now, and tries again: %s\n", p.Text)
		}
		if ack := up.GetAck(); ack != nil {
			if !r.json {
				fmt.Fprintf(r.Out, "worked on: %d; dropped: %v\n", ack.Stored, ack.Dropped)
			}
			select {
			case acked <- ack.Position:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}
