package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

var screenshots = flag.String("screenshots", "", "directory for pictures of the page, for people to look at")

// page is the console of a running daemon in a browser.
type page struct {
	context.Context
	t      *testing.T
	origin string

	mu       sync.Mutex
	requests []string
	messages []string // on the browser's console, exceptions among them
}

// browse opens a browser of its own. Until the test ends it keeps what stands on the browser's console, and every request.
func browse(t *testing.T, origin string) *page {
	t.Helper()
	path := plugintest.Program(t, "chromium")
	ctx, end := context.WithTimeout(context.Background(), 10*time.Minute)
	own, err := os.MkdirTemp("", "chromium") // all that it writes; its sockets want a short path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(own) })
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.ExecPath(path), chromedp.UserDataDir(own), chromedp.Env("TMPDIR="+own),
		chromedp.WSURLReadTimeout(2*time.Minute), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	allocator, stop := chromedp.NewExecAllocator(ctx, options...)
	tab, closeTab := chromedp.NewContext(allocator)
	p := &page{Context: tab, t: t, origin: origin}
	p.do(chromedp.Navigate("about:blank"))
	messages := chromedp.Console(tab)
	requests := chromedp.Events(tab, network.RequestWillBeSent)
	if _, err := chromedp.Call(tab, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	readers.Go(func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			p.mu.Lock()
			p.messages = append(p.messages, m.String()+" "+m.URL)
			p.mu.Unlock()
		}
	})
	readers.Go(func() {
		for r, err := range requests {
			if err != nil {
				return
			}
			p.mu.Lock()
			p.requests = append(p.requests, r.Request.URL)
			p.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		closeTab()
		stop()
		end()
		readers.Wait()
	})
	return p
}

func (p *page) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p, actions...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *page) open(path string) {
	p.t.Helper()
	p.do(chromedp.EmulateViewport(1440, 900), chromedp.Navigate(p.origin+path))
}

// until waits for a JavaScript expression to be true.
func (p *page) until(js string) {
	p.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		ok, err := chromedp.Run(p, chromedp.Evaluate[bool](fmt.Sprintf("Boolean(%s)", js)))
		if ok {
			return
		}
		if time.Now().After(deadline) {
			text, _ := chromedp.Run(p, chromedp.Evaluate[string]("document.body.innerText"))
			p.t.Fatalf("never true: %s (%v)\nthe page says:\n%s", js, err, text)
		}
	}
}

// says waits until the element of a test id holds a text, which a regular expression describes.
func (p *page) says(testid, text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("new RegExp(%q).test(document.querySelector('[data-testid=%s]')?.innerText)", text, testid))
}

// drawn waits until a chart has a canvas of a size with at least so many coloured pixels.
func (p *page) drawn(testid string, pixels int) {
	p.t.Helper()
	p.until(fmt.Sprintf(`(() => {
		const c = document.querySelector('[data-testid=%s] canvas')
		if (!c || c.width < 200 || c.height < 100) return false
		const copy = new OffscreenCanvas(c.width, c.height).getContext('2d', { willReadFrequently: true })
		copy.drawImage(c, 0, 0)
		const d = copy.getImageData(0, 0, c.width, c.height).data
		let n = 0
		for (let i = 0; i < d.length; i += 4) if (d[i+3] > 20 && Math.max(d[i], d[i+1], d[i+2]) - Math.min(d[i], d[i+1], d[i+2]) > 60) n++
		return n > %d
	})()`, testid, pixels))
}

// picture is taken only for people: go test ./daemon -run Browser -screenshots DIR
func (p *page) picture(name, scheme string, width int64) {
	p.t.Helper()
	if *screenshots == "" {
		return
	}
	p.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		prefer := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: prefer})
		return err
	}), chromedp.EmulateViewport(width, 900), chromedp.Sleep(2*time.Second))
	png, err := chromedp.Run(p, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(*screenshots, fmt.Sprintf("%s-%s-%d.png", name, scheme, width)), png, 0o600)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// dashboard asks what only a store can answer: the values of a label, and a rate over the interval that fits.
const dashboard = `{"title": "CPU of $instance", "time": {"from": "now-5m", "to": "now"}, "refresh": "5s",
	"templating": {"list": [{"type": "query", "name": "instance", "query": "label_values(node_cpu_seconds_total{job=\"node\"}, instance)"}]},
	"panels": [
		{"type": "timeseries", "title": "CPU", "gridPos": {"x": 0, "y": 0, "w": 16, "h": 9}, "fieldConfig": {"defaults": {"custom": {"fillOpacity": 10, "stacking": {"mode": "normal"}}}},
		 "targets": [{"expr": "sum by (mode) (rate(node_cpu_seconds_total{instance=\"$instance\"}[$__rate_interval]))", "legendFormat": "{{mode}}"}]},
		{"type": "stat", "title": "Cores", "gridPos": {"x": 16, "y": 0, "w": 8, "h": 4}, "targets": [{"expr": "count(node_cpu_seconds_total{instance=\"$instance\", mode=\"idle\"})"}]}
	]}`

// TestThePageInABrowser is what a person sees after `make run`: the configuration at the top, with a quicker clock and two
// alerts that are always there.
func TestThePageInABrowser(t *testing.T) {
	t.Parallel()
	board := filepath.Join(t.TempDir(), "board.json")
	if err := os.WriteFile(board, []byte(dashboard), 0o600); err != nil {
		t.Fatal(err)
	}
	m := runCopy(t, "../config.hcl", `interval = "15s"`, `interval = "1s"`, `rules "magpie" {`, fmt.Sprintf(`
dashboard "cpu" { file = %q }`, board)+`
rules "test" {
  alert "Fires" {
    expr        = "up{job='node'} == 1"
    labels      = { severity = "warning" }
    annotations = { summary = "{{ $labels.instance }} is up" }
  }
  alert "Waits" {
    expr = "up{job='node'} == 1"
    for  = "1h"
  }
}
rules "magpie" {`)
	p := browse(t, m.url)

	p.open("/")
	for _, chart := range []string{"chart-cpu", "chart-memory", "chart-load", "chart-pressure", "chart-filesystems"} {
		p.drawn(chart, 50)
	}
	for _, chart := range []string{"chart-network", "chart-disk"} { // an idle machine has lines along the axis
		p.drawn(chart, 10)
	}
	p.says("panel-cpu", `busy\s+\d`)
	p.says("panel-memory", `of [\d.]+ [MGT]iB\s+[\d.]+ [MGT]iB`)
	p.says("alerts-table", `firing\s+Fires\s+warning\s+\S+ is up`)
	p.says("alerts-table", `pending\s+Waits[^]*fires in (1 h|59 m)`)
	p.says("sources-table", `source.host.this\s+running\s+1 of 1 up\s+[\d.]+\s+[\d.]+ .?s`)
	p.says("sources-table", `source.prometheus.magpie\s+running\s+1 of 1 up`)
	p.says("health", `5 OK[^]*1 firing[^]*\d pending`)
	pids := m.pids()
	for plugin := range pids {
		p.says("plugins-table", plugin+` 0\.1\.0\s+running\s+[\d.]+ %\s+[\d.]+ MiB RSS [\d.]+ MiB\s+0`)
	}
	for _, width := range []int64{390, 1440, 1920} {
		p.picture("overview", "light", width)
		p.picture("overview", "dark", width)
	}

	// A plugin that died is seen: another process, one restart, and why.
	syscall.Kill(pids["host"], syscall.SIGKILL)
	p.open("/?tab=plugins")
	p.until(fmt.Sprintf(`/running\s+\d+[^]*it was killed/.test(document.querySelector('[data-plugin=host]')?.innerText) &&
		document.querySelector('[data-plugin=host] .num.degraded')?.innerText === '1' && !document.querySelector('[data-plugin=host]').innerText.includes('%d')`, pids["host"]))
	for plugin, pid := range pids {
		if plugin != "host" {
			p.says("plugins-table", fmt.Sprintf(`%s 0\.1\.0\s+running\s+%d\s`, plugin, pid))
		}
	}
	p.picture("plugins", "dark", 1440)
	p.open("/?tab=sources")
	p.says("sources-table", "source.host.this")
	p.picture("sources", "light", 1440)
	p.open("/?tab=alerts")
	p.says("rule-groups", "HostFilesystemAlmostFull")
	p.picture("alerts", "light", 1440)

	// A query from the overview: names are completed, the graph is drawn, and the address brings it again.
	p.open("/")
	p.until("document.querySelector('[data-testid=query-input]')")
	p.do(chromedp.Click("[data-testid=query-input]"), chromedp.SendKeys("[data-testid=query-input]", "node_loa"))
	p.until("document.querySelector('.cm-tooltip-autocomplete')?.innerText.includes('node_load15')")
	p.picture("completion", "light", 1440)
	p.do(chromedp.SendKeys("[data-testid=query-input]", "d1"), chromedp.Click("[data-testid=query-run]"))
	p.says("query-table", `node_load1\{instance=`)
	p.drawn("query-chart", 10)
	p.until("location.search === '?tab=query&expr=node_load1&range=1h'")
	p.open("/?tab=query&range=5m&expr=sum%20by%20(mode)%20(rate(node_cpu_seconds_total[30s]))")
	p.says("query-table", `\{mode="idle"\}`)
	p.drawn("query-chart", 200)
	p.picture("query", "dark", 1440)

	// A dashboard, with the machine that the store knows.
	p.open("/?tab=dashboards")
	p.says("dashboards", `CPU of \$instance\s+cpu`)
	p.do(chromedp.Click("[data-testid=dashboards] tbody a"))
	p.until(`/idle/.test(document.querySelector('[data-panel=CPU] .legend')?.innerText) && document.querySelector('[data-panel=CPU] canvas')?.width > 300`)
	p.until(`/Cores\s+[^]*\d/.test(document.querySelector('[data-panel=Cores]').innerText) && /^CPU of [^$]/.test(document.querySelector('h1').innerText)`)
	p.picture("dashboard", "light", 1440)

	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.messages {
		t.Errorf("on the browser's console: %s", line)
	}
	if len(p.requests) < 20 {
		t.Errorf("only %d requests were seen", len(p.requests))
	}
	for _, r := range p.requests {
		if !strings.HasPrefix(r, m.url+"/") && !strings.HasPrefix(r, "data:") {
			t.Errorf("the page asked %s", r)
		}
	}
}
