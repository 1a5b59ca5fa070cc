package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/magpie-monitoring/magpie/sdk"
)

// cluster is what is measured.
type cluster struct {
	*settings
	client *clientv3.Client
	urls   []string // of all members that can be asked
	http   *http.Client
}

// askFor bounds a question about a member's state.
const askFor = 5 * time.Second

func connect(ctx context.Context, s *settings) (*cluster, error) {
	client, err := s.dial()
	if err != nil {
		return nil, err
	}
	c := &cluster{settings: s, client: client, http: &http.Client{Timeout: askFor, Transport: &http.Transport{TLSClientConfig: s.tls}}}
	asked, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	list, err := client.MemberList(asked)
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("asking %s for the members: %w", strings.Join(s.endpoints, ", "), err)
	}
	for _, m := range list.Members {
		c.urls = append(c.urls, m.ClientURLs[:min(1, len(m.ClientURLs))]...)
	}
	return c, nil
}

func (s *settings) dial() (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: s.endpoints, TLS: s.tls, Username: s.user, Password: s.password, DialTimeout: askFor, Logger: zap.NewNop()})
}

func (c *cluster) close() {
	c.client.Close()
	c.http.CloseIdleConnections()
}

// nearQuota is the share of the quota above which nothing is written for a measurement.
const nearQuota = 0.8

// safe says why the cluster must not be written to: writes is how much would be.
func (c *cluster) safe(ctx context.Context, writes int64) error {
	answered := false
	for _, url := range c.urls {
		asked, cancel := context.WithTimeout(ctx, askFor)
		s, err := c.client.Status(asked, url)
		cancel()
		if err != nil {
			continue // one that is down is no reason: throughput without it is what there is
		}
		answered = true
		for _, e := range s.Errors {
			if strings.Contains(e, "alarm:") {
				return fmt.Errorf("%s has an alarm, %s: repair the cluster first; magpie diagnose says how", url, strings.Join(strings.Fields(e), " "))
			}
		}
		quota := float64(s.DbSizeQuota) // since 3.6
		if quota == 0 {
			quota = c.page(ctx, url)["etcd_server_quota_backend_bytes"]
		}
		if quota <= 0 {
			quota = 2 << 30 // etcd's default
		}
		room := quota - float64(s.DbSize)
		switch {
		case float64(s.DbSize) > nearQuota*quota:
			return fmt.Errorf("the database of %s has %s of a quota of %s: compact and defragment it first", url, sdk.Bytes(s.DbSize), sdk.Bytes(quota))
		case float64(writes) > room/2:
			return fmt.Errorf("up to %s would be written, more than half of the %s that %s has below its quota: give less with -bytes, or a smaller load", sdk.Bytes(writes), sdk.Bytes(room), url)
		}
	}
	if !answered {
		return errors.New("no member answers a status call")
	}
	return nil
}

// watchOver ends the measurement when the cluster must not be written to any more.
func (c *cluster) watchOver(ctx context.Context, abort context.CancelCauseFunc) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(2 * time.Second):
		}
		if err := c.safe(ctx, 0); err != nil && ctx.Err() == nil && !strings.HasPrefix(err.Error(), "no member") {
			abort(err)
		}
	}
}

// Bounds of a metrics page: etcd's have about 200 KiB.
const maxPage = 16 << 20

// page reads the series without labels but le of a member's metrics page, under their names: name_bucket{le="0.001"} too. A
// member that serves none has none.
func (c *cluster) page(ctx context.Context, url string) map[string]float64 {
	values := map[string]float64{}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/metrics", nil)
	if err != nil {
		return values
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return values
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusOK {
		readPage(io.LimitReader(answer.Body, maxPage), values)
	}
	return values
}

func readPage(r io.Reader, values map[string]float64) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 64<<10)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if !ok || strings.HasPrefix(name, "#") || strings.Contains(name, "{") && !strings.Contains(name, `{le="`) {
			continue
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			values[name] = v
		}
	}
}

// The histograms of disks, and below what their 99th percentile should be.
var disks = []struct {
	name, what string
	limit      float64
}{
	{"etcd_disk_wal_fsync_duration_seconds", "fsync of the log", 0.010},
	{"etcd_disk_backend_commit_duration_seconds", "commit of the database", 0.025},
}

// disks reads the pages of all members.
func (c *cluster) disks(ctx context.Context) map[string]map[string]float64 {
	pages := map[string]map[string]float64{}
	for _, url := range c.urls {
		pages[url] = c.page(ctx, url)
	}
	return pages
}

// diskTimes are the 99th percentiles between two readings, the worst member's of each.
func diskTimes(before, after map[string]map[string]float64) (times []diskTime) {
	for _, d := range disks {
		worst := diskTime{What: d.what, Limit: d.limit, Seconds: math.NaN()}
		for url, page := range after {
			p99, n := percentile99(before[url], page, d.name)
			if n >= 10 && !(p99 <= worst.Seconds) { // of fewer it says nothing
				worst.Seconds, worst.Member, worst.Events = p99, url, n
			}
		}
		if worst.Events > 0 {
			times = append(times, worst)
		}
	}
	return times
}

// percentile99 is the upper end of the bucket that the 99th percentile is in: what it is at most.
func percentile99(before, after map[string]float64, name string) (seconds, events float64) {
	grew := func(le string) float64 {
		key := name + `_bucket{le="` + le + `"}`
		return after[key] - before[key]
	}
	events = grew("+Inf")
	best, last := math.Inf(1), 0.0
	for key := range after {
		le, ok := strings.CutPrefix(key, name+`_bucket{le="`)
		if !ok {
			continue
		}
		le = strings.TrimSuffix(le, `"}`)
		v, err := strconv.ParseFloat(le, 64)
		if err != nil || math.IsInf(v, 1) {
			continue
		}
		if last = max(last, v); v < best && grew(le) >= 0.99*events {
			best = v
		}
	}
	if math.IsInf(best, 1) {
		best = last // it was longer than any bucket: at least this
	}
	return best, events
}
