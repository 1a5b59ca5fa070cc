package main

import (
	"encoding/json"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// message is what Alertmanager's webhook sends (alertmanager: notify/webhook/webhook.go Message, template/template.go
// Data), with the documented keys of version "4". Maps and lists are never null.
type message struct {
	Receiver          string            `json:"receiver"`
	Status            sdk.AlertStatus   `json:"status"` // firing while one of the alerts is
	Alerts            []alert           `json:"alerts"`
	GroupLabels       map[string]string `json:"groupLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	ExternalURL       string            `json:"externalURL"`
	Version           string            `json:"version"`
	GroupKey          string            `json:"groupKey"`
	TruncatedAlerts   int               `json:"truncatedAlerts"`
	Diagnoses         []diagnosis       `json:"diagnoses,omitempty"` // Magpie's own
}

type diagnosis struct {
	Address  string       `json:"address"`
	Headline string       `json:"headline"`
	Worst    sdk.Severity `json:"worst,omitempty"`
	Findings []string     `json:"findings"`
	URL      string       `json:"url,omitempty"`
}

type alert struct {
	Status       sdk.AlertStatus   `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"` // 0001-01-01T00:00:00Z while it fires
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

// encode writes a notification with at most limit alerts; 0: all.
func encode(n sdk.Notification, limit int) ([]byte, error) {
	m := message{
		Receiver: n.Receiver, Status: n.Status, Alerts: []alert{}, GroupLabels: object(n.GroupLabels), CommonLabels: object(n.CommonLabels),
		CommonAnnotations: object(n.CommonAnnots), ExternalURL: n.ExternalURL, Version: "4", GroupKey: n.GroupKey, TruncatedAlerts: n.Truncated,
	}
	if limit > 0 && len(n.Alerts) > limit {
		m.TruncatedAlerts += len(n.Alerts) - limit
		n.Alerts = n.Alerts[:limit]
	}
	for _, a := range n.Alerts {
		m.Alerts = append(m.Alerts, alert{
			Status: a.Status, Labels: object(a.Labels), Annotations: object(a.Annotations), StartsAt: a.StartsAt.UTC(), EndsAt: a.EndsAt.UTC(),
			GeneratorURL: a.GeneratorURL, Fingerprint: a.Fingerprint,
		})
	}
	for _, d := range n.Diagnoses {
		m.Diagnoses = append(m.Diagnoses, diagnosis(d))
	}
	return json.Marshal(m)
}

func object(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
