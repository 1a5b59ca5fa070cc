package wire

import (
	"encoding/binary"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Limits of a record, as FORMAT.md has them.
const (
	maxRecordText = 256 << 10
	maxAttributes = 64 << 10
	maxLevel      = 24
	leastRecord   = 6 // bytes of an empty one, its length included
)

// appendRecord writes the bytes of an entry of RECORDS; the milliseconds of its time stand beside it.
func appendRecord(b []byte, r *sdk.Record) []byte {
	b = append(b, byte(r.Level))
	b = binary.AppendUvarint(b, uint64(r.Time.Nanosecond()%1_000_000))
	b = appendText(appendText(b, r.Name), r.Text)
	b = binary.AppendUvarint(b, uint64(len(r.Attributes)))
	for _, l := range r.Attributes {
		b = appendText(appendText(b, l.Name), l.Value)
	}
	return b
}

func readRecord(entry []byte, r *sdk.Record) error {
	c := cursor{b: entry}
	r.Level = sdk.Level(c.byte())
	r.Time = time.Unix(0, int64(c.uvarint(999_999)))
	r.Name, r.Text = c.text(maxName), c.text(maxRecordText)
	n := c.uvarint(maxLabels)
	if r.Level > maxLevel {
		c.fail("a record has the level %d", r.Level)
	}
	r.Attributes = c.sortedLabels(n, maxAttributes)
	if c.err == nil && c.pos != len(entry) {
		c.fail("a record has %d bytes, and %d are read", len(entry), c.pos)
	}
	return c.err
}

// sortedLabels reads n labels that are sorted, without empty names, of at most so many bytes.
func (c *cursor) sortedLabels(n uint64, most int) sdk.Labels {
	if n > uint64(len(c.b)-c.pos)/2 {
		c.fail("%d labels do not fit", n)
	}
	if c.err != nil || n == 0 {
		return nil
	}
	labels := make(sdk.Labels, 0, n)
	last, start := "", c.pos
	for range n {
		l := sdk.Label{Name: c.text(maxName), Value: c.text(uint64(most))}
		if c.err == nil && l.Name <= last {
			c.fail("labels are not sorted, or one is empty (%.40q)", l.Name)
		}
		if c.err != nil {
			return nil
		}
		last = l.Name
		labels = append(labels, l)
	}
	if c.pos-start > most+6*int(n) {
		c.fail("labels of %d bytes, and the most is %d", c.pos-start, most)
	}
	return labels
}

// records reads the records of a RECORDS frame whose series are defined.
func (o *origin) records(f *Frame) (sdk.Run, error) {
	run := sdk.Run{Origin: o.Origin, Base: f.Base}
	err := f.eachEntry(func(ref sdk.Ref, at int64, entry []byte) error {
		r := &sdk.Record{}
		if err := readRecord(entry, r); err != nil || o.series.Get(ref) == nil {
			return err
		}
		r.Time = time.UnixMilli(at).Add(time.Duration(r.Time.Nanosecond()))
		run.Refs, run.Records, run.Times = append(run.Refs, ref), append(run.Records, r), append(run.Times, at)
		return nil
	})
	return run, err
}
