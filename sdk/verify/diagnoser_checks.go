package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// diagnoserChecks ask what is wrong.
var diagnoserChecks = []check{
	{"diagnose/answers", "asked by a person and by an alert, it answers with a diagnosis or a problem that blames the target",
		"what cannot be reached is sdk.Target(err), or a finding", func(s *session) error {
			for _, q := range []sdk.Question{{}, {Alert: &sdk.Alert{Status: sdk.Firing, Labels: map[string]string{"alertname": "VerifyTest"}}}} {
				b, err := json.Marshal(q)
				if err != nil {
					return err
				}
				last, err := s.diagnose(s.ctx, b)
				if err != nil {
					return err
				}
				if p := last.Problem; p != nil && p.Blame == wire.Problem_PLUGIN {
					return fmt.Errorf("it blames the plugin: %s", p.Text)
				}
				if last.Problem == nil && !json.Valid(last.Diagnosis) {
					return errors.New("its diagnosis is no JSON")
				}
			}
			return nil
		}},
	{"diagnose/junk", "what is no question is answered with a problem",
		"answer with a problem", func(s *session) error {
			last, err := s.diagnose(s.ctx, []byte("{"))
			if err == nil && last.Problem == nil {
				err = errors.New("it answers with a diagnosis")
			}
			return err
		}},
	{"diagnose/given-up", "a question that is given up leaves it well",
		"Diagnose heeds its context", func(s *session) error {
			release := s.target.stall()
			defer release()
			for range 3 {
				ctx, cancel := context.WithTimeout(s.ctx, 50*time.Millisecond)
				s.diagnose(ctx, []byte("{}"))
				cancel()
			}
			if len(s.opened) == 0 {
				return errors.New("it does not open")
			}
			return s.closes(s.opened[0])
		}},
}

// diagnose asks, in the component that is open or in a new one, and gives the last event.
func (s *session) diagnose(ctx context.Context, question []byte) (*wire.DiagnoseEvent, error) {
	if len(s.opened) == 0 {
		if _, err := s.open(); err != nil {
			return nil, err
		}
	}
	stream, err := s.rpc.Diagnose(ctx, &wire.DiagnoseRequest{Component: s.opened[0], Question: question})
	if err != nil {
		return nil, s.cause(err)
	}
	for {
		e, err := stream.Recv()
		if err != nil {
			return nil, s.cause(fmt.Errorf("the call ends without a diagnosis or a problem: %w", err))
		}
		s.hear(e)
		if e.Problem != nil || e.Diagnosis != nil {
			return e, nil
		}
	}
}
