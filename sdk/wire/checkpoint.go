package wire

// Keys of checkpoints.
const (
	SourceKey = "source" // what a source goes on with
	StateKey  = "state"  // what a processor goes on with
	CursorKey = "cursor" // of a processor's place in the log
)

// MaxCheckpoint bounds the value of a checkpoint.
const MaxCheckpoint = 8 << 20

// maxPart is how much of a value one frame holds.
const maxPart = 512 << 10

// AppendCheckpoint appends the CHECKPOINT frames of a value.
func AppendCheckpoint(dst []byte, stream uint32, key string, value []byte) []byte {
	parts := max(1, (len(value)+maxPart-1)/maxPart)
	for i := range parts {
		part := value[i*maxPart : min(len(value), (i+1)*maxPart)]
		body := le.AppendUint32(appendText(nil, key), uint32(len(part)))
		dst = appendFrame(dst, Header{Kind: Checkpoint, Stream: stream, Layout: uint32(i), N: uint32(parts)}, body, part)
	}
	return dst
}

// Checkpoint is a part of a checkpoint: f.Layout says which of f.N. It lies in the frame's memory.
func (f *Frame) Checkpoint() (key string, part []byte, err error) {
	c := cursor{b: f.Body}
	key = c.text(64)
	if c.err == nil && len(c.b)-c.pos >= 4 {
		n := le.Uint32(c.b[c.pos:])
		if rest := c.b[c.pos+4:]; uint64(n) <= uint64(len(rest)) && f.Layout < f.N && f.N <= MaxCheckpoint/maxPart {
			return key, rest[:n:n], nil
		}
	}
	if c.fail("part %d of %d of a checkpoint", f.Layout, f.N); c.err != nil {
		err = c.err
	}
	return "", nil, err
}

// Checkpoints gathers the parts of checkpoints. Memory: MaxCheckpoint for a key that is being gathered.
type Checkpoints struct {
	key  string
	next uint32
	of   uint32
	got  []byte
}

// Add takes a CHECKPOINT frame; whole is true when it was the last part of a value, which is the caller's. Parts of one
// value follow each other: others make it start over.
func (p *Checkpoints) Add(f *Frame) (key string, value []byte, whole bool, err error) {
	key, part, err := f.Checkpoint()
	if err != nil {
		return "", nil, false, err
	}
	if f.Layout == 0 {
		p.key, p.next, p.of, p.got = key, 0, f.N, nil
	}
	if key != p.key || f.Layout != p.next || f.N != p.of {
		p.next, p.got = 0, nil
		return key, nil, false, nil // its first parts are gone with a damaged stretch
	}
	p.got = append(p.got, part...)
	if p.next++; p.next < p.of {
		return key, nil, false, nil
	}
	value, p.next, p.got = p.got, 0, nil
	return key, value, true, nil
}
