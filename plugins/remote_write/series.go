package main

import (
	"encoding/binary"

	"github.com/magpie-monitoring/magpie/sdk"
)

// series is what is kept of a series that is sent: its labels as the protocol in use writes them.
type series struct {
	labels string   // 1.0: the label fields of its TimeSeries
	refs   []uint32 // 2.0: the symbols of its names and values in turn
	family *family  // nil: unknown
	hash   uint32   // decides its shard
}

// family is the metadata of series, and how many of them have it.
type family struct {
	sdk.Family
	help, unit uint32 // symbols
	uses       int
}

// catalogue is what a sender knows of the series that come: memory is about 100 B a live series, and its labels (with 1.0;
// about 200 B) or 4 B for each name and value and every distinct text once (with 2.0). Series that will not come again are
// forgotten.
type catalogue struct {
	symbols  symbols
	families map[sdk.Family]*family
}

// origin is what is kept of a component whose samples come in, in sdk.Origin.Data.
type origin struct{ sdk.Table[*series] }

func originOf(o *sdk.Origin) *origin {
	known, ok := o.Data.(*origin)
	if !ok {
		known = &origin{}
		o.Data = known
	}
	return known
}

// resolve finds a series in the form of a protocol; nil if the daemon never defined it.
func (c *catalogue) resolve(o *sdk.Origin, known *origin, ref sdk.Ref, protocol int) *series {
	var s *series
	if p := known.Get(ref); p != nil {
		s = *p
		if protocol == 1 && s.labels != "" || protocol == 2 && s.refs != nil {
			return s
		}
	}
	def, ok := o.Series(ref)
	if !ok {
		return nil
	}
	if s == nil {
		h := def.Labels.Hash()
		s = &series{hash: uint32(h ^ h>>32)}
		if def.Family != nil {
			s.family = c.family(*def.Family)
		}
		known.Set(ref, s)
	}
	if protocol == 1 {
		c.symbols.release(s.refs)
		s.labels, s.refs = string(appendLabels(nil, def.Labels)), nil
		return s
	}
	s.labels, s.refs = "", make([]uint32, 0, 2*len(def.Labels))
	for _, l := range def.Labels {
		s.refs = append(s.refs, c.symbols.add(l.Name), c.symbols.add(l.Value))
	}
	return s
}

func (c *catalogue) family(f sdk.Family) *family {
	known := c.families[f]
	if known == nil {
		known = &family{Family: f, help: c.symbols.add(f.Help), unit: c.symbols.add(f.Unit)}
		if c.families == nil {
			c.families = map[sdk.Family]*family{}
		}
		c.families[f] = known
	}
	known.uses++
	return known
}

// forget frees series of an origin; refs nil: all.
func (c *catalogue) forget(o *sdk.Origin, refs []sdk.Ref) {
	known, ok := o.Data.(*origin)
	if !ok {
		return
	}
	if refs == nil {
		known.All(func(_ sdk.Ref, s **series) bool { c.free(*s); return true })
		o.Data = nil
	}
	for _, ref := range refs {
		if s := known.Get(ref); s != nil {
			c.free(*s)
			known.Delete(ref)
		}
	}
}

func (c *catalogue) free(s *series) {
	c.symbols.release(s.refs)
	if f := s.family; f != nil {
		if f.uses--; f.uses == 0 {
			c.symbols.release([]uint32{f.help, f.unit})
			delete(c.families, f.Family)
		}
	}
}

// symbols numbers texts; 0 is the empty one.
type symbols struct {
	ids   map[string]uint32
	texts []string
	uses  []uint32
	free  []uint32
}

// add gives a text a number, or counts one more use of it.
func (s *symbols) add(text string) uint32 {
	if text == "" {
		return 0
	}
	id, ok := s.ids[text]
	if ok {
		s.uses[id]++
		return id
	}
	if s.ids == nil {
		s.ids, s.texts, s.uses = map[string]uint32{}, []string{""}, []uint32{1}
	}
	if n := len(s.free); n > 0 {
		id, s.free = s.free[n-1], s.free[:n-1]
		s.texts[id], s.uses[id] = text, 1
	} else {
		id = uint32(len(s.texts))
		s.texts, s.uses = append(s.texts, text), append(s.uses, 1)
	}
	s.ids[text] = id
	return id
}

// release ends one use of each text.
func (s *symbols) release(ids []uint32) {
	for _, id := range ids {
		if id == 0 {
			continue
		}
		if s.uses[id]--; s.uses[id] == 0 {
			delete(s.ids, s.texts[id])
			s.texts[id] = ""
			s.free = append(s.free, id)
		}
	}
}

// appendLabels writes labels as the field 1 of protocol 1.0's TimeSeries.
func appendLabels(b []byte, ls sdk.Labels) []byte {
	for _, l := range ls {
		b = append(b, 1<<3|bytesType)
		b = binary.AppendUvarint(b, uint64(2+uvarintSize(len(l.Name))+len(l.Name)+uvarintSize(len(l.Value))+len(l.Value)))
		b = appendText(b, 1, l.Name)
		b = appendText(b, 2, l.Value)
	}
	return b
}
