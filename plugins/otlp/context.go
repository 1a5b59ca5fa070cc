package main

import (
	"github.com/magpie-monitoring/magpie/plugins/internal/protobuf"
	"github.com/magpie-monitoring/magpie/sdk"
)

// What is known of a sender, by the bytes that it sends: it repeats resource, scope, metric and attributes in every
// request, and from the second time on they cost a lookup each. A context that ends up without a point is forgotten at once,
// so there are never more of them than series.

type resource struct {
	job, instance string
	promoted      sdk.Labels
	info          sdk.Labels // of target_info, nil: none
	infoRef       *series
	latest        uint64 // newest point of the current request, ns
	scopes        map[string]*scope
}

type scope struct {
	labels  sdk.Labels // otel_scope_…
	metrics map[string]*metric
}

type metric struct {
	family *sdk.Family
	points map[string]*point
}

// point is one stream of data points: the series that it becomes, and what a delta needs.
type point struct {
	series []*series // one for a number; of a histogram and a summary: count, sum, then one for each edge
	edges  []float64 // bounds of buckets with +Inf, or quantiles
	used   uint32    // the intake's minute
	last   uint64    // time of the last delta, ns
	totals []float64 // what the deltas add up to, parallel to series
	total  *expHistogram
	shown  uint64 // time of the newest exemplar, ns
}

// series is a ref, and how many points share it: different bytes can become the same labels.
type series struct {
	ref   sdk.Ref
	key   [2]uint64
	users int
}

// resourceOf finds or reads a Resource.
func (in *intake) resourceOf(raw []byte) (*resource, error) {
	if r := in.resources[string(raw)]; r != nil {
		return r, nil
	}
	list, err := readAttributes(raw, 1<<3|asBytes)
	if err != nil {
		return nil, err
	}
	r := &resource{scopes: map[string]*scope{}}
	var namespace string
	own, hasName := 0, false
	for _, a := range list {
		if identity(a.key) {
			own++
		}
		switch a.key {
		case "service.name":
			r.job, hasName = a.value, true
		case "service.namespace":
			namespace = a.value + "/"
		case "service.instance.id":
			r.instance = a.value
		}
	}
	if hasName {
		r.job = namespace + r.job
	}
	if r.promoted, err = in.names.labels(list, func(key string) bool { return !in.names.all && !in.names.promote[key] }); err != nil {
		r.promoted = nil // the name of an attribute is none: the points are worth more than it
	}
	if in.cfg.TargetInfo && own < len(list) && (r.job != "" || r.instance != "") {
		if info, err := in.names.labels(list, identity); err == nil {
			info = info.Set("job", r.job)
			info = info.Set("instance", r.instance)
			r.info = info.Set(sdk.NameLabel, targetInfo.Name)
		}
	}
	if r.job == "" {
		r.job = in.settings.Job
	}
	in.resources[string(raw)] = r
	return r, nil
}

var targetInfo = &sdk.Family{Name: "target_info", Type: sdk.GaugeType, Help: "Target metadata"}

// scopeOf finds or reads an InstrumentationScope. Where its labels are not asked for, all scopes of a resource are one.
func (in *intake) scopeOf(r *resource, raw, schema []byte) (*scope, error) {
	if !in.cfg.ScopeLabels {
		raw, schema = nil, nil
	}
	in.key = append(append(in.key[:0], schema...), 0xff)
	in.key = append(in.key, raw...)
	if s := r.scopes[string(in.key)]; s != nil {
		return s, nil
	}
	s := &scope{metrics: map[string]*metric{}}
	var name, version string
	m := protobuf.Read(raw)
	for m.Next() {
		switch m.Tag {
		case 1<<3 | asBytes:
			name = string(m.Bytes)
		case 2<<3 | asBytes:
			version = string(m.Bytes)
		}
	}
	if m.Err != nil {
		return nil, errMalformed
	}
	if name != "" {
		list, err := readAttributes(raw, 3<<3|asBytes)
		if err != nil {
			return nil, err
		}
		for _, a := range list {
			if label, err := in.names.label.Build("otel_scope_" + a.key); err == nil {
				s.labels = s.labels.Set(label, a.value)
			}
		}
		s.labels = s.labels.Set("otel_scope_name", name)
		s.labels = s.labels.Set("otel_scope_version", version)
		s.labels = s.labels.Set("otel_scope_schema_url", string(schema))
	}
	r.scopes[string(in.key)] = s
	return s, nil
}

// metricOf finds a metric or names it.
func (in *intake) metricOf(s *scope, name, unit, help []byte, k kind) (*metric, error) {
	in.key = append(append(in.key[:0], name...), 0xff)
	in.key = append(append(append(in.key, unit...), 0xff), byte(k))
	if m := s.metrics[string(in.key)]; m != nil {
		return m, nil
	}
	family, err := in.names.family(string(name), string(unit), string(help), k)
	if err != nil {
		return nil, err
	}
	m := &metric{family, map[string]*point{}}
	s.metrics[string(in.key)] = m
	return m, nil
}

// labelsOf are the labels of a point without its name: attributes, what the resource and the scope add.
func (in *intake) labelsOf(at *place, attributes []byte) (sdk.Labels, error) {
	list, err := readAttributes(attributes, at.tags.attributes)
	if err != nil {
		return nil, err
	}
	ls, err := in.names.labels(list, nil)
	if err != nil {
		return nil, err
	}
	for _, l := range at.resource.promoted {
		if ls.Get(l.Name) == "" {
			ls = ls.Set(l.Name, l.Value)
		}
	}
	for _, l := range [2]sdk.Label{{Name: "job", Value: at.resource.job}, {Name: "instance", Value: at.resource.instance}} {
		if l.Value != "" {
			ls = ls.Set(l.Name, l.Value)
		}
	}
	for _, l := range at.scope.labels {
		ls = ls.Set(l.Name, l.Value)
	}
	return ls, nil
}

// sample is one value on its way into the batch.
type sample struct {
	ref   sdk.Ref
	value float64
	ms    int64
}

// place is where in a request a data point stands.
type place struct {
	resource *resource
	scope    *scope
	metric   *metric
	kind     kind
	delta    bool
	tags     pointTags
}
