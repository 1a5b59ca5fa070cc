package main

import (
	"slices"

	"github.com/magpie-monitoring/magpie/plugins/internal/protobuf"
)

// request reads an ExportMetricsServiceRequest.
func (in *intake) request(raw []byte) error {
	m := protobuf.Read(raw)
	for m.Next() {
		if m.Tag == 1<<3|asBytes {
			if err := in.resourceMetrics(m.Bytes); err != nil {
				return err
			}
		}
	}
	return errOf(&m)
}

// resourceMetrics reads twice: fields may come in any order, and what a point belongs to must be known first.
func (in *intake) resourceMetrics(raw []byte) error {
	var of []byte
	m := protobuf.Read(raw)
	for m.Next() {
		if m.Tag == 1<<3|asBytes {
			of = m.Bytes
		}
	}
	if m.Err != nil {
		return errMalformed
	}
	r, err := in.resourceOf(of)
	if err != nil {
		return err
	}
	r.latest = 0
	m = protobuf.Read(raw)
	for m.Next() {
		if m.Tag == 2<<3|asBytes {
			if err = in.scopeMetrics(r, m.Bytes); err != nil {
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
	m := protobuf.Read(raw)
	for m.Next() {
		switch m.Tag {
		case 1<<3 | asBytes:
			of = m.Bytes
		case 3<<3 | asBytes:
			schema = m.Bytes
		}
	}
	if m.Err != nil {
		return errMalformed
	}
	s, err := in.scopeOf(r, of, schema)
	if err != nil {
		return err
	}
	key := string(in.key) // as scopeOf left it
	m = protobuf.Read(raw)
	for m.Next() {
		if m.Tag == 2<<3|asBytes {
			if err = in.metric(&place{resource: r, scope: s}, m.Bytes); err != nil {
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
	m := protobuf.Read(raw)
	for m.Next() {
		switch m.Tag {
		case 1<<3 | asBytes:
			name = m.Bytes
		case 2<<3 | asBytes:
			help = m.Bytes
		case 3<<3 | asBytes:
			unit = m.Bytes
		case 5<<3 | asBytes, 7<<3 | asBytes, 9<<3 | asBytes, 10<<3 | asBytes, 11<<3 | asBytes:
			at.kind, data = kinds[m.Tag], m.Bytes
		}
	}
	if m.Err != nil {
		return errMalformed
	}
	if data == nil {
		return nil // a metric without data has no points
	}
	points, temporality := 0, uint64(0)
	m = protobuf.Read(data)
	for m.Next() {
		switch m.Tag {
		case 1<<3 | asBytes:
			points++
		case 2<<3 | asVarint:
			temporality = m.Bits
		case 3<<3 | asVarint:
			if at.kind == upDown && m.Bits != 0 {
				at.kind = counter
			}
		}
	}
	if m.Err != nil {
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
	m := protobuf.Read(data)
	for m.Next() {
		if m.Tag != 1<<3|asBytes {
			continue
		}
		var err error
		switch at.kind {
		case histogram:
			err = in.histogram(at, m.Bytes)
		case exponential:
			err = in.exponential(at, m.Bytes)
		case summary:
			err = in.summary(at, m.Bytes)
		default:
			err = in.number(at, m.Bytes)
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
