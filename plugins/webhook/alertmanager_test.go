package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/plugins/internal/peer"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

func TestARealAlertmanagerSendsTheSame(t *testing.T) {
	t.Parallel()
	hook, theirs := receiver(t, ok)
	api := alertmanager(t, hook)
	start := time.Now().UTC().Truncate(time.Millisecond)
	alerts := []map[string]any{
		{"labels": map[string]string{"alertname": "Down", "job": "etcd", "instance": "a:1"}, "annotations": map[string]string{"summary": "a <is> down", "same": "x"}, "generatorURL": "http://prometheus/graph?a=1&b=2", "startsAt": start, "endsAt": start.Add(time.Hour)},
		{"labels": map[string]string{"alertname": "Down", "job": "etcd", "instance": "b:1"}, "annotations": map[string]string{"same": "x"}, "startsAt": start, "endsAt": start.Add(time.Hour)},
	}
	post(t, api, alerts)
	firing := next(t, theirs, `"status":"firing"`)
	for _, a := range alerts {
		a["endsAt"] = time.Now().UTC().Add(-time.Second)
		a["startsAt"] = start.Add(-time.Minute) // not after its end
	}
	post(t, api, alerts)
	resolved := next(t, theirs, `"status":"resolved","alerts"`)

	for _, want := range []request{firing, resolved} {
		mine, got := receiver(t, ok)
		c := plugintest.Open(t, capability, plugintest.Config{"url": mine})
		if _, err := c.Notify(t.Context(), c.Number, notificationOf(t, want.body)); err != nil {
			t.Fatal(err)
		}
		r := <-got
		if a, b := decoded(t, r.body), decoded(t, want.body); !reflect.DeepEqual(a, b) {
			t.Errorf("Alertmanager sends\n%s\nand we send\n%s", want.body, r.body)
		}
		if r.Method != want.Method || r.Header.Get("Content-Type") != want.Header.Get("Content-Type") {
			t.Errorf("%s %q, Alertmanager: %s %q", r.Method, r.Header["Content-Type"], want.Method, want.Header["Content-Type"])
		}
	}
}

func decoded(t *testing.T, text string) (value any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return value
}

// notificationOf is what the daemon would hand over for what Alertmanager said.
func notificationOf(t *testing.T, text string) (n sdk.Notification) {
	t.Helper()
	var m message
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	n = sdk.Notification{
		Receiver: m.Receiver, Status: m.Status, GroupKey: m.GroupKey, GroupLabels: m.GroupLabels, CommonLabels: m.CommonLabels,
		CommonAnnots: m.CommonAnnotations, ExternalURL: m.ExternalURL, Truncated: m.TruncatedAlerts,
	}
	for _, a := range m.Alerts {
		n.Alerts = append(n.Alerts, sdk.Alert{
			Status: a.Status, Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.StartsAt, EndsAt: a.EndsAt, GeneratorURL: a.GeneratorURL, Fingerprint: a.Fingerprint,
		})
	}
	return n
}

// next waits for a message that holds a text.
func next(t *testing.T, got chan request, part string) request {
	t.Helper()
	for timeout := time.After(time.Minute); ; {
		select {
		case r := <-got:
			if strings.Contains(r.body, part) {
				return r
			}
		case <-timeout:
			t.Fatalf("no message with %s in a minute", part)
		}
	}
}

func alertmanager(t *testing.T, hook string) (api string) {
	t.Helper()
	return peer.Alertmanager(t, fmt.Sprintf(`
route: {receiver: hook, group_by: [alertname, job], group_wait: 1ms, group_interval: 1s, repeat_interval: 1h}
receivers: [{name: hook, webhook_configs: [{url: %q}]}]
`, hook)).URL
}

// post hands alerts to Alertmanager.
func post(t *testing.T, api string, alerts any) {
	t.Helper()
	body, err := json.Marshal(alerts)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post(api+"/api/v2/alerts", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatal(response.Status)
	}
}
