package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/plugins/internal/datagram"
	"github.com/magpie-monitoring/magpie/sdk"
)

// What the source says of itself, under statsd_exporter's names.
var (
	linesTotal   = sdk.Counter("statsd_exporter_lines_total", "Lines received.")
	samplesTotal = sdk.Counter("statsd_exporter_events_total", "Values taken, by type.", "type")
	errorsTotal  = sdk.Counter("statsd_exporter_sample_errors_total", "Lines and values refused, by reason.", "reason")
	udpTotal     = sdk.Counter("statsd_exporter_udp_packets_total", "Datagrams received by UDP.")
	udpDrops     = sdk.Counter("statsd_exporter_udp_packet_drops_total", "Datagrams that the kernel dropped because the receive buffer was full.")
	unixTotal    = sdk.Counter("statsd_exporter_unixgram_packets_total", "Datagrams received by unix sockets.")
	tcpTotal     = sdk.Counter("statsd_exporter_tcp_connections_total", "TCP connections accepted.")
	tcpRefused   = sdk.Counter("statsd_exporter_tcp_connections_refused_total", "TCP connections closed because there were max_connections.")
	tcpTooLong   = sdk.Counter("statsd_exporter_tcp_too_long_lines_total", "TCP connections closed because of a line of more than 16 KiB.")
)

// traffic counts what comes in, by how.
type traffic struct {
	udp, unix, tcp, refused, tooLong uint64
	connections                      int
}

// report puts the source's own metrics into a batch.
func (s *source) report(b *sdk.Batch) {
	t := s.table
	b.Set(linesTotal, float64(t.lines))
	for k, n := range t.taken {
		b.Set(samplesTotal, float64(n), kindNames[k])
	}
	for fault, n := range t.faults {
		b.Set(errorsTotal, float64(n), fault)
		if fault != notCollected {
			b.Reject(fault, int(n-s.rejected[fault]))
			s.rejected[fault] = n
		}
	}
	known := false
	var drops uint64
	for _, socket := range s.sockets {
		if n, ok := socket.Drops(); ok {
			drops += n
			known = true
		}
	}
	if known {
		b.Set(udpDrops, float64(drops))
	}
	b.Set(udpTotal, float64(s.seen.udp))
	b.Set(unixTotal, float64(s.seen.unix))
	b.Set(tcpTotal, float64(s.seen.tcp))
	b.Set(tcpRefused, float64(s.seen.refused))
	b.Set(tcpTooLong, float64(s.seen.tooLong))
}

// receive takes datagrams in until ctx ends, whatever happens.
func (s *source) receive(ctx context.Context, socket *datagram.Socket) {
	count := &s.seen.udp
	if socket.Addr().Network() == "unixgram" {
		count = &s.seen.unix
	}
	for ctx.Err() == nil {
		err := sdk.Recover("receive", func() error {
			return socket.Read(ctx, func(packet []byte) {
				s.mu.Lock()
				defer s.mu.Unlock()
				*count++
				s.table.now = time.Now()
				s.table.packet(packet)
			})
		})
		if ctx.Err() == nil {
			s.host.Fail(err)
			pause(ctx)
		}
	}
}

// pause is between two attempts at what should not fail.
func pause(ctx context.Context) {
	select {
	case <-time.After(100 * time.Millisecond):
	case <-ctx.Done():
	}
}

// packet takes the lines of a datagram in.
func (t *table) packet(packet []byte) {
	for len(packet) > 0 {
		line := packet
		if i := bytes.IndexByte(packet, '\n'); i >= 0 {
			line, packet = packet[:i], packet[i+1:]
		} else {
			packet = nil
		}
		t.line(line)
	}
}

const (
	lastWords = 50 * time.Millisecond // what a connection that is given up may still have on the way
	looks     = 3                     // that find nothing: a process that waits for the CPU is late for its deadlines
	giveUp    = 2 * time.Second       // and if it never becomes quiet
)

// ending counts the looks at what is given up that found nothing, one after another.
type ending struct {
	began  time.Time
	missed int
}

// over says after one more whether it was the last.
func (e *ending) over() bool {
	if e.began.IsZero() {
		e.began = time.Now()
	}
	e.missed++
	return e.missed == looks || time.Since(e.began) > giveUp
}

// words are what a connection says, to the end once it has a deadline.
type words struct {
	net.Conn
	ending
}

func (w *words) Read(b []byte) (int, error) {
	for {
		n, err := w.Conn.Read(b)
		if n > 0 {
			w.missed = 0
			return n, err
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || w.over() {
			return n, err
		}
		w.SetReadDeadline(time.Now().Add(lastWords))
	}
}

// accept takes connections until ctx ends, those that wait then among them.
func (s *source) accept(ctx context.Context, l net.Listener) {
	var open sync.WaitGroup
	defer open.Wait()
	patient, ok := l.(interface{ SetDeadline(time.Time) error })
	stop := context.AfterFunc(ctx, func() {
		if !ok || patient.SetDeadline(time.Now().Add(lastWords)) != nil {
			l.Close()
		}
	})
	defer stop()
	var end ending
	for {
		conn, err := l.Accept()
		switch {
		case err == nil && s.admit():
			end.missed = 0
			open.Go(func() { s.serve(ctx, conn) })
		case err == nil:
			conn.Close()
		case errors.Is(err, os.ErrDeadlineExceeded) && !end.over():
			patient.SetDeadline(time.Now().Add(lastWords))
		case ctx.Err() != nil:
			return
		default: // no file descriptor left, or a connection that is gone already
			s.host.Fail(err)
			pause(ctx)
		}
	}
}

func (s *source) admit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen.connections >= s.cfg.MaxConnections {
		s.seen.refused++
		return false
	}
	s.seen.tcp++
	s.seen.connections++
	return true
}

// serve reads lines from a connection. When ctx ends, what has arrived is still read.
func (s *source) serve(ctx context.Context, conn net.Conn) {
	defer func() {
		conn.Close()
		s.mu.Lock()
		s.seen.connections--
		s.mu.Unlock()
	}()
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Now().Add(lastWords)) })
	defer stop()
	r := bufio.NewReaderSize(&words{Conn: conn}, maxLine+2)
	err := sdk.Recover("serve", func() (err error) {
		for err == nil {
			var line []byte
			line, err = r.ReadSlice('\n')
			s.heard(line, err)
		}
		return err
	})
	var panicked *sdk.Panic
	if errors.As(err, &panicked) {
		s.host.Fail(err)
	}
}

// heard takes a line of a connection in. The last one need not end, if the client closed the connection; what was cut off
// otherwise is not taken.
func (s *source) heard(line []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table.now = time.Now()
	switch {
	case err == nil:
		s.table.line(line[:len(line)-1])
	case errors.Is(err, io.EOF):
		s.table.line(line)
	case errors.Is(err, bufio.ErrBufferFull):
		s.seen.tooLong++
		s.table.line(line) // counts and shows it
	case len(line) > 0:
		s.table.lines++
		s.table.refuse(line, cutOff)
	}
}
