package client

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/magpie-monitoring/magpie/sdk/wire"
)

func TestWhatAPluginAnswersIsCleanedThrough(t *testing.T) {
	t.Parallel()
	clean := func(s string) string { return strings.ReplaceAll(s, "hush", "(sensitive)") }
	for _, m := range []proto.Message{
		&wire.Problem{Text: "a hush", Fix: "hush", Stack: "hush", Path: []*wire.Step{{At: &wire.Step_Key{Key: "hush"}}}},
		&wire.HealthReport{Components: []*wire.ComponentHealth{{Text: "hush", Errors: map[string]uint64{"hush": 1, "other": 2}, LastError: &wire.Problem{Text: "hush"}}}},
		&wire.ValidateResponse{Diagnostics: []*wire.Diagnostic{{Text: "x hush y"}}},
		&wire.Targets{Targets: []*wire.Target{{Address: "hush:80", Labels: map[string]string{"a": "hush", "hush": "b"}}}},
		&wire.OpenEvent{Progress: "hush"},
		&wire.QueryResponse{Problem: &wire.Problem{Text: "hush"}},
	} {
		before := proto.Clone(m)
		cleanMessage(m, clean)
		if text := m.(interface{ String() string }).String(); strings.Contains(text, "hush") || !strings.Contains(text, "(sensitive)") {
			t.Errorf("%s", text)
		}
		if proto.Equal(m, before) {
			t.Errorf("%s was not changed", m)
		}
	}
	h := &wire.ComponentHealth{Errors: map[string]uint64{"hush": 1, "other": 2}}
	if cleanMessage(h, clean); h.Errors["(sensitive)"] != 1 || h.Errors["other"] != 2 || len(h.Errors) != 2 {
		t.Error(h)
	}
}
