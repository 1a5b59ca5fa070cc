package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// patience is how long a test waits for what must come; only a failure waits that long.
const patience = 2 * time.Minute

// browser starts a Chromium for the whole of a test; its subtests open tabs in it.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := plugintest.Program(t, "chromium")
	own, err := os.MkdirTemp("", "chromium") // all that it writes; its sockets want a short path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(own) })
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.ExecPath(path),
		chromedp.WSURLReadTimeout(2*time.Minute), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.UserDataDir(own), chromedp.Env("TMPDIR="+own))
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(ctx)
	t.Cleanup(end)
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// tab is a page of the console in the browser.
type tab struct {
	context.Context
	t      *testing.T
	stub   *stub
	faults []string // what may stand on the console of a test in which requests fail
}

// openTab opens a path of a stub daemon. At the end nothing may stand on the browser's console but what contains one of
// the faults.
func openTab(t *testing.T, browser context.Context, stub *stub, path string, faults ...string) *tab {
	t.Helper()
	ctx, end := chromedp.NewContext(browser)
	ctx, stop := context.WithTimeout(ctx, 3*patience)
	messages := chromedp.Console(ctx)
	p := &tab{Context: ctx, t: t, stub: stub, faults: faults}
	done := make(chan []string, 1)
	go func() {
		var lines []string
		for m, err := range messages {
			if err != nil {
				break
			}
			lines = append(lines, m.String()+" "+m.URL)
		}
		done <- lines
	}()
	t.Cleanup(func() {
		stop()
		end()
		for _, line := range <-done {
			if !p.expected(line) {
				t.Errorf("on the browser's console: %s", line)
			}
		}
	})
	p.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(stub.URL+path))
	return p
}

func (p *tab) expected(line string) bool {
	for _, fault := range p.faults {
		if strings.Contains(line, fault) {
			return true
		}
	}
	return false
}

func (p *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p, actions...); err != nil {
		p.t.Fatal(err)
	}
}

// until waits for a JavaScript expression to be true. (chromedp's own Poll compiles the expression in the page, which the
// page's Content-Security-Policy refuses.)
func (p *tab) until(js string) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		ok, err := chromedp.Run(p, chromedp.Evaluate[bool](fmt.Sprintf("Boolean(%s)", js)))
		if ok {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("never true: %s (%v)\nthe page says:\n%s", js, err, p.evaluate("document.body.innerText"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// says waits until the element of a test id holds a text.
func (p *tab) says(testid, text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("document.querySelector('[data-testid=%s]')?.innerText.includes(%q)", testid, text))
}

func (p *tab) click(selector string) {
	p.t.Helper()
	p.until(fmt.Sprintf("document.querySelector(%q)", selector))
	p.do(chromedp.Click(selector))
}

func (p *tab) evaluate(js string) string {
	p.t.Helper()
	v, err := chromedp.Run(p, chromedp.Evaluate[string](js))
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// ink counts the pixels of a colour (#rrggbb) between two shares of the width of a chart.
func ink(testid, color string, from, to float64) string {
	return fmt.Sprintf(`(() => {
		const c = document.querySelector('[data-testid=%s] canvas')
		if (!c || !c.width) return 0
		const copy = new OffscreenCanvas(c.width, c.height).getContext('2d', { willReadFrequently: true })
		copy.drawImage(c, 0, 0)
		const x = Math.floor(c.width * %g), w = Math.floor(c.width * %g) - x
		const d = copy.getImageData(x, 0, w, c.height).data
		const [r, g, b] = [1, 3, 5].map((i) => parseInt(%q.slice(i, i + 2), 16))
		let n = 0
		for (let i = 0; i < d.length; i += 4) if (d[i+3] > 200 && Math.abs(d[i]-r) + Math.abs(d[i+1]-g) + Math.abs(d[i+2]-b) < 24) n++
		return n
	})()`, testid, from, to, color)
}

const blue = "#2266d3" // the first line in the light scheme

func TestBrowser(t *testing.T) {
	b := browser(t)
	for name, test := range map[string]func(*testing.T, context.Context){
		"this machine has live charts with gaps":                       testMachine,
		"the overview has everything at a glance":                      testOverview,
		"the page asks no other host":                                  testNoOtherHost,
		"the range and the machine are in the address":                 testMachineAddress,
		"sources show their targets and errors":                        testSources,
		"alerts show what fires and why":                               testAlerts,
		"plugins show their processes":                                 testPlugins,
		"the query box draws a graph and a shared link draws it too":   testQuery,
		"the query box completes names":                                testCompletion,
		"a dashboard is drawn, and its variables chosen":               testDashboard,
		"a diagnoser is asked, and its report read":                    testDiagnoses,
		"a mistake in a query is shown with a caret":                   testQueryError,
		"a daemon that is gone is said, and its return seen":           testUnreachable,
		"a store that starts is said, and its return seen":             testStoreDown,
		"an invalid configuration is said in its own words":            testConfigBanner,
		"colours follow the system":                                    testScheme,
		"a page without anything configured says what to configure":    testEmpty,
		"a chart drawn in a hidden tab is not refreshed until visible": testHidden,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, b)
		})
	}
}

func testMachine(t *testing.T, b context.Context) {
	p := openTab(t, b, newStub(t), "/")
	for _, id := range []string{"chart-cpu", "chart-memory", "chart-network", "chart-load", "chart-disk", "chart-pressure", "chart-filesystems"} {
		p.until(fmt.Sprintf("document.querySelector('[data-testid=%s] canvas')?.width > 200", id))
	}
	p.until(ink("chart-load", blue, 0.15, 0.3) + " > 20")
	p.until(ink("chart-load", blue, 0.75, 1) + " > 20")
	p.until(ink("chart-load", blue, 0.5, 0.6) + " === 0") // the gap is not bridged
	p.until(ink("chart-cpu", blue, 0.75, 1) + " > 20")
	p.says("panel-cpu", "45.0 %")
	p.says("panel-memory", "of 16.0 GiB")
	p.says("panel-filesystems", "92.0 %")
	p.says("health", "1 degraded")
	p.says("health", "1 firing")
	p.until("document.querySelector('header').innerText.includes('testhost') && document.body.innerText.includes('Debian GNU/Linux 12')")
	p.until("document.title === 'testhost · Magpie'")
	seen := p.stub.histories.Load()
	for p.stub.histories.Load() == seen { // live: asked for again without a hand
		if p.Err() != nil {
			t.Fatal("the charts were not refreshed")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func testOverview(t *testing.T, b context.Context) {
	p := openTab(t, b, newStub(t), "/")
	p.says("alerts-table", "etcdMembersDown")
	p.says("alerts-table", "fires in")
	p.says("sources-table", "1 of 2 up")
	p.says("plugins-table", "running")
	p.until("document.querySelector('[data-testid=sources-table] .sparkline-line[d^=M]')")
	p.until("document.activeElement === document.body") // the query box takes the keyboard only on its own tab
	p.click("[data-testid=query-input]")
	p.do(chromedp.SendKeys("[data-testid=query-input]", "up"))
	p.click("[data-testid=query-run]")
	p.says("query-table", "testhost")
	p.until("location.search === '?tab=query&expr=up&range=1h'")
}

func testNoOtherHost(t *testing.T, b context.Context) {
	p := openTab(t, b, newStub(t), "/?tab=query&expr=up")
	p.until("document.querySelector('[data-testid=query-chart] canvas')")
	if got := p.evaluate("performance.getEntriesByType('resource').map((e) => e.name).filter((n) => !n.startsWith(location.origin)).join()"); got != "" {
		t.Errorf("the page asked %s", got)
	}
}

func testMachineAddress(t *testing.T, b context.Context) {
	p := openTab(t, b, newStub(t), "/?machine=other&range=1h")
	p.until("document.querySelector('h1')?.innerText === 'other'")
	p.until("document.querySelector('[data-testid=machine-range] input:checked')?.value === '1h'")
	p.click("[data-testid=machine-range] label[data-value='6h'], [data-testid=machine-range] input[value='6h'] + label")
	p.until("location.search === '?machine=other&range=6h'")
	p.do(chromedp.NavigateBack())
	p.until("document.querySelector('[data-testid=machine-range] input:checked')?.value === '1h'")
}

func testSources(t *testing.T, b context.Context) {
	p := openTab(t, b, newStub(t), "/")
	p.click("[data-testid=tab-sources]")
	p.says("sources-table", "source.host.main")
	p.says("sources-table", "1 of 2 up")
	p.says("sources-table", "744 errors of the target")
	p.says("sources-table", "connection <b>refused</b>") // as text: a target's words are no markup
	p.click("[data-source='source.etcd.main'] button")
	p.says("sources-table", "10.0.0.2:2379")
	p.until("document.querySelectorAll('[data-testid=sources-table] .sparkline-line[d^=M]').length === 2")
	p.until("location.search === '?tab=sources'")
}

func testAlerts(t *testing.T, b context.Context) {
	p := openTab(t, b, newStub(t), "/?tab=alerts")
	p.says("alerts-table", "etcdMembersDown")
	p.says("alerts-table", "A member is down.")
	p.says("alerts-table", "10.0.0.2:2379")
	p.says("alerts-table", "HostBusy")
	p.says("rule-groups", "1 of 3 fail")
	p.says("rule-groups", "the store is on fire")
	p.click("[data-testid=alerts-table] tbody tr:first-child a")
	p.until("location.search.startsWith('?tab=query&expr=up')")
	p.says("query-input", `up{job="etcd"} == 0`)
}

func testPlugins(t *testing.T, b context.Context) {
	p := openTab(t, b, newStub(t), "/?tab=plugins")
	p.says("plugins-table", "4121")
	p.says("plugins-table", "12.0 MiB")
	p.says("plugins-table", "RSS 31.0 MiB")
	p.says("plugins-table", "killed by signal 9 (SIGKILL)")
	p.says("plugins-table", "source.host.main")
	p.says("components", "the disk is full")
	p.says("pipelines", "812 k")
	verified := func(plugin, text string) {
		t.Helper()
		p.until(fmt.Sprintf("document.querySelector('[data-verified=%s]')?.innerText.replace(/\\s+/g, ' ').includes(%q)", plugin, text))
	}
	verified("host", "passed 71 0 12")
	verified("host", "by magpie 0.1.0")
	verified("etcd", "22 failed 70 22 0")
	verified("stale", "report of another binary")
	verified("garbled", "garbled.verify.json is <u>no</u> report") // as text
	verified("unseen", "not verified")
	p.until("!document.querySelector('[data-testid=verification] .finding')")
	p.click("[data-verified=etcd] button")
	for _, text := range []string{"close/cancel", "a call ends within 1 s", "it went on for <b>3.1 s</b>", "heed ctx in everything that <i>waits</i>", "secret/said", "and 20 more"} {
		p.says("verification", text)
	}
	p.until("document.querySelectorAll('[data-testid=verification] .finding').length === 2")
	// A second of CPU between two polls that are five seconds apart; after another time it is another share, but a share.
	p.until("/\\d %/.test(document.querySelector('[data-plugin=host]')?.innerText)")
}

func testQuery(t *testing.T, b context.Context) {
	stub := newStub(t)
	p := openTab(t, b, stub, "/?tab=query")
	p.click("[data-testid=query-input]")
	p.do(chromedp.SendKeys("[data-testid=query-input]", `up{job!="x"`)) // the editor closes the brace
	p.click("[data-testid=query-run]")
	p.says("query-table", `up{instance="testhost", job="node"}`)
	p.until(ink("query-chart", blue, 0.1, 0.3) + " > 20")
	p.until(ink("query-chart", blue, 0.45, 0.55) + " === 0")
	address := p.evaluate("location.pathname + location.search")
	if want := "/?tab=query&expr=up%7Bjob%21%3D%22x%22%7D&range=1h"; address != want {
		t.Errorf("the address is %s, want %s", address, want)
	}
	shared := openTab(t, b, stub, address)
	shared.says("query-input", `up{job!="x"}`)
	shared.says("query-table", "testhost")
	shared.click("[data-testid=query-table] tbody tr:nth-child(2)") // alone
	shared.until(ink("query-chart", blue, 0.1, 0.3) + " === 0")
}

func testCompletion(t *testing.T, b context.Context) {
	p := openTab(t, b, newStub(t), "/?tab=query")
	p.click("[data-testid=query-input]")
	p.do(chromedp.SendKeys("[data-testid=query-input]", "node_lo"))
	p.until("document.querySelector('.cm-tooltip-autocomplete')?.innerText.includes('node_load1')")
}

func testDashboard(t *testing.T, b context.Context) {
	p := openTab(t, b, newStub(t), "/?tab=dashboards", "status of 400")
	p.says("dashboards", "Requests <b>all</b>")
	p.click("[data-testid=dashboards] tbody a")
	p.until("location.search === '?tab=dashboards&board=pack.etcd.requests'")
	panel := func(title, text string) {
		t.Helper()
		p.until(fmt.Sprintf("document.querySelector('[data-panel=%s]')?.innerText.includes(%q)", title, text))
	}
	p.until("document.querySelector('h1').innerText === 'Requests of All'")
	panel("Rate", "<i>b</i> of etcd")
	panel("Rate", "req/s")
	p.until("document.querySelector('[data-panel=Rate] canvas')?.width > 300")
	panel("Members", "3")
	p.until("getComputedStyle(document.querySelector('[data-panel=Members] b')).color === 'rgb(204, 47, 62)'")
	p.until("document.querySelector('[data-panel=Space] text')?.textContent === '42.0 %'")
	panel("About", "<img src=x onerror=alert(1)> of All")
	panel("Heat", "the type “heatmap” are not drawn")
	p.until("document.querySelector('[data-panel=Rate]').getBoundingClientRect().bottom > document.querySelector('[data-panel=About]').getBoundingClientRect().top")
	p.click(".board-section h2 button") // the collapsed row
	p.until("/Member\\s+Value\\s+a\\s+7\\s+b\\s+1,?234/.test(document.querySelector('.kind-table').innerText)")
	p.until("/parse error/.test(document.querySelector('.kind-table').innerText) && !/hidden/.test(document.querySelector('.kind-table').innerText)")
	p.click("[data-testid=variable-job] summary")
	p.click("[data-testid=variable-job] label:nth-child(3) input")
	panel("Rate", "alone of node")
	p.until("location.search === '?tab=dashboards&board=pack.etcd.requests&var-job=node' && document.querySelector('h1').innerText === 'Requests of node'")
	p.click("[data-panel=Rate] .board-ask")
	p.says("query-input", `rate(board_requests{job=~"node"}[60s])`)
}

func testDiagnoses(t *testing.T, b context.Context) {
	p := openTab(t, b, newStub(t), "/?tab=alerts")
	p.until("[...document.querySelectorAll('[data-testid=alerts-table] a')].some((a) => a.innerText === '1 report')")
	p.click("[data-testid=alerts-table] a[href*=diagnoses]")
	p.until("location.search === '?tab=diagnoses&alert=etcdMembersDown' && document.querySelectorAll('[data-report]').length === 1")
	p.click("[data-report] button")
	for _, text := range []string{
		"A member is <b>lost</b>", "10.0.0.2:2379", "refused", "journalctl -u etcd", "changes something", "10.0.0.3:2379 did not answer", "2 of 3", "not known: no permission", "2 more things", "instance 10.0.0.2:2379",
	} {
		p.says("report", text)
	}
	p.until("document.querySelectorAll('[data-testid=report] .next .changes').length === 1")
	p.click("[data-testid=report] .command button")
	p.until("/copied|selected/.test(document.querySelector('[data-testid=report] .command button').innerText)")

	p.click("[data-diagnoser] button")
	p.says("diagnosers", "asking <i>each</i> member")
	p.click("[data-testid=tab-sources]") // it goes on while something else is looked at
	p.click("[data-testid=tab-diagnoses]")
	p.says("diagnosers", "asking <i>each</i> member")
	close(p.stub.found)
	p.until("location.search === '?tab=diagnoses&report=20261121T080000.000Z-b' && document.querySelectorAll('[data-report]').length === 3")
	p.until("document.querySelector('[data-report].open').innerText.includes('a person')")
	p.click("[data-diagnoser] button")
	p.says("diagnosers", "diagnoser.etcd.main is not running")
}

func testQueryError(t *testing.T, b context.Context) {
	p := openTab(t, b, newStub(t), "/?tab=query&expr=sum(", "status of 400")
	p.says("query-error", "1:4: parse error: unclosed left parenthesis")
	p.until("document.querySelector('[data-testid=query-error] pre').innerText === 'sum(\\n   ^'")
	p.until("document.querySelectorAll('[data-testid=query-error]').length === 1")
}

func testUnreachable(t *testing.T, b context.Context) {
	stub := newStub(t)
	p := openTab(t, b, stub, "/?tab=plugins", "Failed to load resource")
	p.says("plugins-table", "4121")
	stub.down.Store(true)
	p.says("banner-unreachable", "no connection")
	p.says("plugins-table", "4121") // what is known stays
	stub.down.Store(false)
	p.click("[data-testid=banner-unreachable] button")
	p.until("!document.querySelector('[data-testid=banner-unreachable]')")
}

func testStoreDown(t *testing.T, b context.Context) {
	stub := newStub(t)
	stub.store.Store(true)
	p := openTab(t, b, stub, "/", "status of 503")
	p.until("document.body.innerText.includes('store.tsdb.main replays its log')")
	stub.store.Store(false)
	p.until("document.querySelector('[data-testid=chart-cpu] canvas')")
}

func testConfigBanner(t *testing.T, b context.Context) {
	stub := newStub(t)
	stub.config.Store(`{"state": "last_applied", "problem": "config.hcl:6:3: unknown attribute \"intervall\"", "appliedUnixMs": "1795240000000", "files": ["config.hcl"]}`)
	p := openTab(t, b, stub, "/?tab=sources")
	p.says("banner-config", "the last applied one runs")
	p.says("banner-config", `config.hcl:6:3: unknown attribute "intervall"`)
}

func testScheme(t *testing.T, b context.Context) {
	p := openTab(t, b, newStub(t), "/")
	background := "getComputedStyle(document.body).backgroundColor"
	p.until(background + " === 'rgb(243, 245, 247)'")
	p.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		dark := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: dark})
		return err
	}))
	p.until(background + " === 'rgb(13, 18, 23)'")
	p.until(ink("chart-load", "#5e9dff", 0.75, 1) + " > 20") // the canvas too
}

func testEmpty(t *testing.T, b context.Context) {
	stub := newStub(t)
	stub.components = "[]"
	p := openTab(t, b, stub, "/?tab=sources")
	p.until("document.body.innerText.includes('No source is configured')")
}

func testHidden(t *testing.T, b context.Context) {
	stub := newStub(t)
	p := openTab(t, b, stub, "/?tab=plugins")
	p.says("plugins-table", "4121")
	hide := `(hidden) => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true }); document.dispatchEvent(new Event('visibilitychange')) }`
	p.evaluate(fmt.Sprintf("(%s)(true), ''", hide))
	hidden := stub.statuses.Load()
	// More than one poll of the page's own clock passes, by the page's own clock.
	p.evaluate("setTimeout(() => document.body.dataset.waited = 'yes', 7000), ''")
	p.until("document.body.dataset.waited")
	if got := stub.statuses.Load(); got > hidden+1 { // one may have been on its way
		t.Errorf("a hidden page asked %d times", got-hidden)
	}
	before := stub.statuses.Load()
	p.evaluate(fmt.Sprintf("(%s)(false), ''", hide))
	for stub.statuses.Load() == before {
		if p.Err() != nil {
			t.Fatal("the page did not look when it became visible")
		}
		time.Sleep(20 * time.Millisecond)
	}
}
