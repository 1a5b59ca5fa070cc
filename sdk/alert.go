package sdk

import (
	"encoding/json"
	"strconv"
	"time"
)

// Notification is one message to one receiver: a group of alerts, as Alertmanager groups them.
type Notification struct {
	GroupKey       string            // names the group; the same in all its notifications
	IdempotencyKey string            // the same when this notification is tried again, or sent by another daemon
	Status         AlertStatus       // Firing while one of the alerts is
	Receiver       string            // address of the notifier
	GroupLabels    map[string]string // those by which the route groups
	CommonLabels   map[string]string // labels that all alerts share
	CommonAnnots   map[string]string // annotations that all alerts share
	Alerts         []Alert           // the group, at most 500
	Truncated      int               // alerts left out
	ExternalURL    string            // where a person finds this daemon
	Title          string            // one line, rendered
	Text           string            // the whole, rendered as plain text
	Diagnoses      []Diagnosed       // that the alerts asked for
	Previous       Receipt           // what the last notification of this group returned, to thread or update
}

// AlertStatus is how an alert, or a group of them, is.
type AlertStatus string

// A group is firing while one of its alerts is.
const (
	Firing   AlertStatus = "firing"
	Resolved AlertStatus = "resolved"
)

// Alert is one alert of a notification.
type Alert struct {
	Status       AlertStatus       // Firing or Resolved
	Labels       map[string]string // what it is about, alertname among them
	Annotations  map[string]string // texts for people, rendered
	StartsAt     time.Time         // since when it fires
	EndsAt       time.Time         // zero while it fires
	GeneratorURL string            // the expression in the console
	Fingerprint  string            // hash of the labels, 16 hex digits
	Value        float64           // of the expression, when it was last looked at
}

// plainAlert is an Alert without its own form in JSON.
type plainAlert Alert

// MarshalJSON writes the value as text: JSON has no NaN and no infinity.
func (a Alert) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		plainAlert
		Value string
	}{plainAlert(a), strconv.FormatFloat(a.Value, 'g', -1, 64)})
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (a *Alert) UnmarshalJSON(b []byte) error {
	var m struct {
		*plainAlert
		Value string
	}
	m.plainAlert = (*plainAlert)(a)
	err := json.Unmarshal(b, &m)
	if err == nil && m.Value != "" {
		a.Value, err = strconv.ParseFloat(m.Value, 64)
	}
	return err
}

// Diagnosed is what a notification says of a diagnosis.
type Diagnosed struct {
	Address  string   // of the diagnoser
	Headline string   // such as "1 critical, 2 warning"
	Worst    Severity // "": nothing was found
	Findings []string // a line each, the worst first
	URL      string   // of the report; "": there is none
}

// Receipt is what a notifier remembers of a message: an ID, such as that of a chat thread.
type Receipt struct{ ID string }
