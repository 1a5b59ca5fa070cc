package engine

import (
	"github.com/magpie-monitoring/magpie/daemon/internal/plan"
	"github.com/magpie-monitoring/magpie/daemon/internal/telemetry"
)

type alerting struct{ e *Engine }

func newAlerting(e *Engine) *alerting           { return &alerting{e} }
func (a *alerting) set(*plan.Desired)           {}
func (a *alerting) stop()                       {}
func (a *alerting) metrics() []telemetry.Metric { return nil }
