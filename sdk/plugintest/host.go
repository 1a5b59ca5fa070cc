package plugintest

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// State is what a component keeps with Host.Put. Handed to several openings it is what a daemon keeps for an address: the next
// one finds what the last one has put.
type State struct {
	// Refuse, if it is there, is asked before each Get ("get") and Put ("put") of a component's: an error is the answer. It may
	// take its time.
	Refuse func(call, key string) error

	mu   sync.Mutex
	kept map[string][]byte
}

func (s *State) refuse(call, key string) error {
	if s.Refuse == nil {
		return nil
	}
	return s.Refuse(call, key)
}

// Get is what is kept under a key.
func (s *State) Get(key string) (value []byte, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, found = s.kept[key]
	return slices.Clone(value), found
}

// Put keeps a value, as if the component had.
func (s *State) Put(key string, value []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		s.kept = map[string][]byte{}
	}
	s.kept[key] = slices.Clone(value)
}

// Keeping has the component's Get and Put work on a state; without it each opening has one of its own.
func Keeping(s *State) Option { return func(o *opening) { o.state = s } }

// Answering has the component's queries answered, or refused with an error; without it there is no store.
func Answering(query func(sdk.Query) (*sdk.Result, error)) Option {
	return func(o *opening) { o.query = query }
}

// maxValue is how large a value may be: the daemon refuses larger ones.
const maxValue = 1 << 20

// answer is the daemon's side of Host.
func (o *opening) answer(t testing.TB) func(context.Context, *wire.HostCall) *wire.HostReply {
	return func(_ context.Context, call *wire.HostCall) *wire.HostReply {
		switch c := call.Call.(type) {
		case *wire.HostCall_Get:
			if err := o.state.refuse("get", c.Get.Key); err != nil {
				return &wire.HostReply{Problem: wire.ToProblem(err)}
			}
			value, found := o.state.Get(c.Get.Key)
			return &wire.HostReply{Found: found, Value: value}
		case *wire.HostCall_Put:
			if len(c.Put.Value) > maxValue {
				return refused("a value has at most 1 MiB")
			}
			if err := o.state.refuse("put", c.Put.Key); err != nil {
				return &wire.HostReply{Problem: wire.ToProblem(err)}
			}
			o.state.Put(c.Put.Key, c.Put.Value)
			return &wire.HostReply{}
		case *wire.HostCall_Query:
			if o.query == nil {
				return refused("there is no store: give the test one with plugintest.Answering")
			}
			return &wire.HostReply{Result: wire.ToResult(o.query(wire.FromQuery(c.Query)))}
		}
		t.Errorf("the plugin asks what this SDK does not know: %v", call)
		return refused("unknown")
	}
}

func refused(text string) *wire.HostReply {
	return &wire.HostReply{Problem: &wire.Problem{Blame: wire.Problem_HOST, Text: text}}
}
