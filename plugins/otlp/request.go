package main

import "slices"

// request reads an ExportMetricsServiceRequest.
func (in *intake) request(raw []byte) error {
	m := message{rest: raw}
	for m.next() {
		if m.tag == 1<<3|asBytes {
			if err := in.resourceMetrics(m.bytes); err != nil {
				return err
			}
		}
	}
	return m.err()
}

// resourceMetrics reads twice: fields may come in any order, and what a point belongs to must be known first.
func (in *intake) resourceMetrics(raw []byte) error {
	var of []byte
	m := message{rest: raw}
	for m.next() {
		if m.tag == 1<<3|asBytes {
			of = m.bytes
		}
	}
	if m.bad {
		return errMalformed
	}
	r, err := in.resourceOf(of)
	if err != nil {
		return err
	}
	r.latest = 0
	m = message{rest: raw}
	for m.next() {
		if m.tag == 2<<3|asBytes {
			if err = in.scopeMetrics(r, m.bytes); err != nil {
				break
			}
		}
	}
	if len(r.scopes) == 0 {
		in.release(r.infoRef)
		delete(in.resources, string(of))
	} else if err == nil {
		in.targetInfo(r)
	}
	return err
}

func (in *intake) scopeMetrics(r *resource, raw []byte) error {
	var of, schema []byte
	m := message{rest: raw}
	for m.next() {
		switch m.tag {
		case 1<<3 | asBytes:
			of = m.bytes
		case 3<<3 | asBytes:
			schema = m.bytes
		}
	}
	if m.bad {
		return errMalformed
	}
	s, err := in.scopeOf(r, of, schema)
	if err != nil {
		return err
	}
	key := string(in.key) // as scopeOf left it
	m = message{rest: raw}
	for m.next() {
		if m.tag == 2<<3|asBytes {
			if err = in.metric(&place{resource: r, scope: s}, m.bytes); err != nil {
				break
			}
		}
	}
	if len(s.metrics) == 0 {
		delete(r.scopes, key)
	}
	return err
}

// kinds are the tags of a metric's data.
var kinds = map[uint64]kind{5<<3 | asBytes: gauge, 7<<3 | asBytes: upDown, 9<<3 | asBytes: histogram, 10<<3 | asBytes: exponential, 11<<3 | asBytes: summary}

func (in *intake) metric(at *place, raw []byte) error {
	var name, help, unit, data []byte
	m := message{rest: raw}
	for m.next() {
		switch m.tag {
		case 1<<3 | asBytes:
			name = m.bytes
		case 2<<3 | asBytes:
			help = m.bytes
		case 3<<3 | asBytes:
			unit = m.bytes
		case 5<<3 | asBytes, 7<<3 | asBytes, 9<<3 | asBytes, 10<<3 | asBytes, 11<<3 | asBytes:
			at.kind, data = kinds[m.tag], m.bytes
		}
	}
	if m.bad {
		return errMalformed
	}
	if data == nil {
		return nil // a metric without data has no points
	}
	points, temporality := 0, uint64(0)
	m = message{rest: data}
	for m.next() {
		switch m.tag {
		case 1<<3 | asBytes:
			points++
		case 2<<3 | asVarint:
			temporality = m.bits
		case 3<<3 | asVarint:
			if at.kind == upDown && m.bits != 0 {
				at.kind = counter
			}
		}
	}
	if m.bad {
		return errMalformed
	}
	if points == 0 {
		return nil
	}
	switch hasTemporality := at.kind != gauge && at.kind != summary; {
	case hasTemporality && temporality == 1:
		at.delta = true
	case hasTemporality && temporality != 2:
		in.reject(noTemporality, points)
		return nil
	}
	var err error
	if at.metric, err = in.metricOf(at.scope, name, unit, help, at.kind); err != nil {
		in.reject(badName, points)
		return nil
	}
	at.tags = tagsOf(at.kind)
	key := ""
	if len(at.metric.points) == 0 {
		key = string(in.key) // as metricOf left it
	}
	err = in.points(at, data)
	if len(at.metric.points) == 0 {
		delete(at.scope.metrics, key)
	}
	return err
}

func (in *intake) points(at *place, data []byte) error {
	m := message{rest: data}
	for m.next() {
		if m.tag != 1<<3|asBytes {
			continue
		}
		var err error
		switch at.kind {
		case histogram:
			err = in.histogram(at, m.bytes)
		case exponential:
			err = in.exponential(at, m.bytes)
		case summary:
			err = in.summary(at, m.bytes)
		default:
			err = in.number(at, m.bytes)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// targetInfo says what is known of a resource, once a request, at the time of its newest point.
func (in *intake) targetInfo(r *resource) {
	if r.info == nil || r.latest == 0 {
		return
	}
	if r.infoRef == nil {
		s, reason := in.define(slices.Clone(r.info), targetInfo)
		if reason != "" {
			return
		}
		r.infoRef = s
	}
	in.samples = append(in.samples, sample{r.infoRef.ref, 1, int64(r.latest / 1e6)})
}
