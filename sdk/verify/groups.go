package verify

import (
	"slices"

	"github.com/magpie-monitoring/magpie/sdk"
)

// groups are all checks but the first of the plugin and of each type, and those that look back at everything that was said. A new
// kind needs nothing but a group here: what every type must do is asked of it at once.
var groups = []group{
	{fits: nil, checks: startChecks},
	{fits: nil, checks: protocolChecks},
	{fits: nil, checks: describeChecks},
	{fits: every, closed: true, checks: schemaChecks},
	{fits: every, closed: true, checks: validateChecks},
	{fits: every, checks: openChecks},
	{fits: every, checks: closeChecks},
	{fits: every, checks: neighbourChecks},
	{fits: every, checks: processChecks},
	{fits: every, checks: cycleChecks},
	{fits: of(sdk.KindSource), checks: sourceChecks},
	{fits: of(sdk.KindSource), checks: sourceLimitChecks},
	{fits: mapping, checks: mapperChecks},
	{fits: deriving, checks: deriverChecks},
	{fits: of(sdk.KindSink, sdk.KindStore), checks: sinkChecks},
	{fits: of(sdk.KindSink, sdk.KindStore), checks: sinkFaultChecks},
	{fits: of(sdk.KindStore), checks: storeChecks},
	{fits: of(sdk.KindNotifier), checks: notifierChecks},
	{fits: of(sdk.KindDiscovery), checks: discoveryChecks},
	{fits: of(sdk.KindService), checks: serviceChecks},
	{fits: of(sdk.KindDiagnoser), checks: diagnoserChecks},
	{fits: of(sdk.KindCoordinator), checks: coordinatorChecks},
	{fits: of(sdk.KindCoordinator), checks: coordinatorFaultChecks},
}

// afterwards are checks of everything that the plugin's processes printed and answered.
var afterwards = saidChecks

func every(*sdk.Type) bool { return true }

func of(kinds ...sdk.Kind) func(*sdk.Type) bool {
	return func(t *sdk.Type) bool { return slices.Contains(kinds, t.Kind) }
}

func mapping(t *sdk.Type) bool { return t.Kind == sdk.KindProcessor && !t.Derives }

func deriving(t *sdk.Type) bool { return t.Kind == sdk.KindProcessor && t.Derives }

// Listed are the names of all checks and what must hold, for documentation.
func Listed() (list [][2]string) {
	add := func(c check) { list = append(list, [2]string{c.name, c.about}) }
	add(startCheck)
	add(opensCheck)
	for _, g := range groups {
		for _, c := range g.checks {
			add(c)
		}
	}
	for _, c := range afterwards {
		add(c)
	}
	return list
}
