package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/magpie-monitoring/magpie/sdk"
)

// answer is how asking a member went.
type answer struct {
	failed     error // no metrics page: up is 0
	incomplete error // the page came, but not all else
	sick       error // /health says no, or nothing: a finding, told as etcd_health 0
}

// ask collects one member. The page decides up, as a scrape would; the status and the health are asked meanwhile.
func (s *source) ask(ctx context.Context, m *member, writer string, t *sdk.Batch) (a answer) {
	if m.listed {
		t.Set(memberInfo, 1, clip(m.name), hex(m.id))
		t.Set(memberStarted, number(m.started))
		t.Set(memberLearner, number(m.learner))
	}
	var logErr error
	if s.cfg.Log.of(m) {
		if logErr = s.log.set(t); logErr != nil {
			logErr = sdk.At(&s.cfg.Log.Path, fmt.Errorf("%s: log: %w", m.instance, logErr))
		}
	}
	k := s.kept[m.instance]
	if m.problem != nil {
		k.page.forget(t)
		return answer{failed: fmt.Errorf("%s: %w", m.instance, m.problem), incomplete: logErr}
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout/2)
	defer cancel()
	var (
		meanwhile         sync.WaitGroup
		status            *etcdserverpb.StatusResponse
		statusErr         error
		healthy           bool
		sick, healthError error
		passed            []check
		probeErr          error
	)
	place := s.cfg.metricsURL(m)
	meanwhile.Go(func() {
		statusErr = sdk.Recover("the status", func() (err error) {
			status, err = s.clients.status(ctx, m.url)
			return err
		})
	})
	meanwhile.Go(func() {
		healthError = sdk.Recover("the health", func() (err error) {
			healthy, sick, err = askHealth(ctx, s.http, place)
			return err
		})
	})
	meanwhile.Go(func() {
		sdk.Recover("the health checks", func() error { passed = checks(ctx, s.http, place); return nil })
	})
	meanwhile.Go(func() {
		sdk.Recover("the URLs", func() error { k.look(ctx, s.clients, s.http, m); return nil })
	})
	if s.probe != nil {
		meanwhile.Go(func() {
			probeErr = sdk.Recover("the probe", func() error {
				err := s.probe.read(ctx, m, &k.probed)
				if err == nil && m.url == writer {
					err = s.probe.write(ctx, m, &k.probed)
				}
				return err
			})
		})
	}
	pageErr := k.page.collect(ctx, s.http, place, t)
	meanwhile.Wait()
	t.Set(statusSuccess, number(statusErr == nil))
	if statusErr == nil {
		setStatus(t, status)
	}
	if healthError == nil {
		t.Set(health, number(healthy))
	}
	for _, c := range passed {
		t.Set(healthCheck, number(c.well), c.path, c.name)
	}
	k.set(t)
	k.probed.set(t)
	hashErr := s.data.set(t, m.instance)
	if pageErr != nil {
		return answer{failed: fmt.Errorf("%s: %w", m.instance, pageErr), incomplete: logErr}
	}
	a.incomplete = logErr
	if statusErr != nil {
		a.incomplete = join(a.incomplete, fmt.Errorf("%s: status: %w", m.instance, statusErr))
	}
	if healthError != nil {
		a.incomplete = join(a.incomplete, fmt.Errorf("%s: health: %w", m.instance, healthError))
	}
	if probeErr != nil {
		a.incomplete = join(a.incomplete, fmt.Errorf("%s: %w", m.instance, probeErr))
	}
	if isDenied(hashErr) {
		a.incomplete = join(a.incomplete, sdk.Fix(sdk.At(&s.cfg.HashInterval, fmt.Errorf("%s: hashes: %w: HashKV needs the role root", m.instance, hashErr)), "Give the user the role root, or leave hash_interval out."))
	}
	if sick != nil {
		a.sick = fmt.Errorf("%s: health: %w", m.instance, sick)
	}
	return a
}

// askHealth asks /health, which answers 200 or, with a reason, 503 (etcd: server/etcdserver/api/etcdhttp/health.go; the
// reason since 3.5). A member that does not answer is not healthy; what is no answer of etcd's is an error.
func askHealth(ctx context.Context, client *http.Client, url string) (healthy bool, sick, err error) {
	response, err := get(ctx, client, url+"/health")
	if err != nil {
		return false, silence{err}, nil
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusServiceUnavailable {
		return false, nil, sdk.Target(fmt.Errorf("/health answers %s", response.Status))
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return false, silence{sdk.Target(err)}, nil
	}
	var says struct {
		Health string `json:"health"`
		Reason string `json:"reason"`
	}
	if err := json.Unmarshal(body, &says); err != nil {
		return false, nil, sdk.Target(fmt.Errorf("/health answers %.80q, which is not etcd's JSON", body))
	}
	if says.Health == "true" {
		return true, nil, nil
	}
	if says.Reason == "" {
		says.Reason = "no reason given"
	}
	return false, sdk.Target(fmt.Errorf("not healthy: %.200s", says.Reason)), nil
}

// silence is why a member is not healthy that did not answer, as opposed to one that says no.
type silence struct{ error }

func (s silence) Unwrap() error { return s.error }

// get makes a request; the time limit of ctx reads as such.
func get(ctx context.Context, client *http.Client, url string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "text/plain;version=0.0.4;q=1, */*;q=0.1")
	response, err := client.Do(request)
	if err != nil {
		return nil, unanswered(ctx, err)
	}
	return response, nil
}

// unanswered blames the target for an error of a request, shortly if it is that its time was up.
func unanswered(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
		return sdk.Target(errNoAnswer)
	}
	return sdk.Target(err)
}
