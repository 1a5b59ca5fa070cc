package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestAPageIsReadUpToTheLimit(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 4095, 4096, 4097, 9999} {
		page := strings.Repeat("x", size)
		if got, err := readAtMost(strings.NewReader(page), nil, 0, 10_000); err != nil || string(got) != page {
			t.Errorf("%d bytes: %d read, %v", size, len(got), err)
		}
	}
	if got, err := readAtMost(strings.NewReader(strings.Repeat("x", 20_000)), make([]byte, 0, 50), 1<<30, 10_000); !errors.Is(err, errBodySize) || len(got) != 10_000 {
		t.Errorf("%d read, %v", len(got), err)
	}
}

func TestAGzipBombIsStoppedAtTheLimit(t *testing.T) {
	t.Parallel()
	bomb := zip(make([]byte, 50<<20))
	u := &unzip{}
	got, err := u.read(bomb, nil, 1<<20)
	if !errors.Is(err, errBodySize) || cap(got) > 2<<20 {
		t.Errorf("%d bytes of memory, %v", cap(got), err)
	}
	if got, err = u.read(zip([]byte("a 1\n")), got, 1<<20); err != nil || string(got) != "a 1\n" {
		t.Errorf("afterwards: %q, %v", got, err)
	}
}

func TestBrokenGzipIsAnError(t *testing.T) {
	t.Parallel()
	page := zip([]byte(strings.Repeat("a 1\n", 1000)))
	u := &unzip{}
	for _, broken := range [][]byte{nil, []byte("a 1\n"), page[:len(page)-1], page[:20], bytes.Replace(page, page[20:22], []byte{0, 0}, 1)} {
		if got, err := u.read(broken, nil, 1<<20); err == nil {
			t.Errorf("%d bytes were read as %q", len(broken), got)
		}
	}
}

func TestOnlyOpenMetricsIsReadAsSuch(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]format{
		"": plainText, "text/plain": plainText, "text/plain; version=0.0.4; charset=utf-8": plainText, "text/html": plainText, ";;;": plainText,
		"application/openmetrics-text; version=1.0.0; charset=utf-8": openMetrics, "Application/OpenMetrics-Text;version=0.0.1": openMetrics,
		"application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores": openMetrics,
	} {
		if got := formatOf(kind); got != want {
			t.Errorf("%q: %v", kind, got)
		}
	}
}

func FuzzUnzip(f *testing.F) {
	f.Add(zip([]byte("a 1\n")))
	f.Add([]byte{0x1f, 0x8b})
	f.Fuzz(func(t *testing.T, data []byte) {
		u := &unzip{}
		for range 2 {
			if got, err := u.read(data, nil, 1<<16); err == nil && len(got) >= 1<<16 {
				t.Errorf("%d bytes", len(got))
			}
		}
	})
}
