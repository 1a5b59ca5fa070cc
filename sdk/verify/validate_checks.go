package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// validateChecks ask about configurations, and open nothing.
var validateChecks = []check{
	{"validate/example", "every block of its example is valid",
		"change the example, or what Validate says of it", exampleIsValid},
	{"validate/empty", "a configuration without anything is answered",
		"what is missing is a diagnostic or a problem, never a broken call", func(s *session) error {
			_, err := s.validate([]byte("{}"))
			return err
		}},
	{"validate/junk", "what is no JSON is answered with a problem",
		"answer with a problem that blames the configuration", func(s *session) error {
			for _, text := range []string{"{", "[]", "\x00\xff", `{"a":`, `"text"`} {
				if r, err := s.validate([]byte(text)); err != nil {
					return err
				} else if !refused(r) {
					return fmt.Errorf("%q is taken as a configuration", text)
				}
			}
			return nil
		}},
	{"validate/wrong-type", "a value of the wrong type is refused, and the attribute named",
		"check types before use, and answer with the path of the attribute", wrongTypes},
	{"validate/unknown-name", "a name that it does not know breaks nothing",
		"ignore it, or answer with a diagnostic", func(s *session) error {
			_, err := s.validate([]byte(`{"no_such_attribute":1,"no_such_block":{"a":[1]}}`))
			return err
		}},
	{"validate/deep", "a value nested ten thousand deep breaks nothing",
		"limit the depth of what is decoded", func(s *session) error {
			_, err := s.validate([]byte(`{"a":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + "}"))
			return err
		}},
	{"validate/paths", "what it points at is in its schema",
		"a path consists of names of the schema, indexes and keys", pathsExist},
	{"validate/unknown-type", "asked about a type that it does not offer, it answers with a problem",
		"look the kind and the type up, and answer with a problem", unknownType},
	{"validate/same", "the same configuration gets the same answer",
		"ask nothing but the configuration: no clock, no network, no order of a map", sameVerdict},
	{"validate/traces", "it leaves nothing behind",
		"Validate opens no files and connections, and starts no goroutines and threads", leavesNothing},
}

func refused(r *wire.ValidateResponse) bool {
	return r.Problem != nil || slices.ContainsFunc(r.Diagnostics, func(d *wire.Diagnostic) bool { return !d.Warning })
}

// exampleIsValid decodes every block as the daemon does, and asks the plugin.
func exampleIsValid(s *session) error {
	e := s.o.Shown
	if e == nil {
		e = s.o.Example
	}
	if e == nil && s.t.Example == "" {
		return skip("there is no example")
	}
	if e == nil {
		e = &Example{Name: "nothing.hcl"}
	}
	blocks, err := e.blocks(*s.t, s.surroundings())
	if err != nil {
		return err
	}
	if s.t.Example != "" { // what it carries for its manual
		more, err := (&Example{s.t.Name + ".hcl", []byte(s.t.Example)}).blocks(*s.t, s.surroundings())
		if err != nil {
			return err
		}
		blocks = append(blocks, more...)
	}
	if len(blocks) == 0 {
		return skip("%s has no block of it", e.Name)
	}
	for _, b := range blocks {
		r, err := s.validate(b.config)
		if err != nil {
			return err
		}
		if r.Problem != nil {
			return fmt.Errorf("%s: %s", b.title, r.Problem.Text)
		}
		for _, d := range r.Diagnostics {
			if !d.Warning {
				return fmt.Errorf("%s: %s: %s", b.title, wire.FromPath(d.Path), d.Text)
			}
		}
	}
	return nil
}

// example is the configuration to start from: that of the example, or none.
func (s *session) values() map[string]any {
	m := map[string]any{}
	if len(s.blocks) > 0 {
		json.Unmarshal(s.blocks[0].config, &m)
	}
	return m
}

func with(m map[string]any, name string, value any) []byte {
	old, there := m[name]
	m[name] = value
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	if delete(m, name); there {
		m[name] = old
	}
	return b
}

// misfits are values that no type of a group takes.
func misfit(a sdk.Attribute) any {
	switch {
	case strings.HasPrefix(a.Type, "list"), strings.HasPrefix(a.Type, "set"):
		return map[string]any{"a": "b"}
	case strings.HasPrefix(a.Type, "map"), strings.HasPrefix(a.Type, "object"):
		return []any{1}
	case a.Type == "any":
		return nil
	}
	return []any{map[string]any{"deep": true}}
}

func wrongTypes(s *session) error {
	values := s.values()
	tried := false
	for _, a := range s.t.Config.Attributes {
		wrong := misfit(a)
		if wrong == nil {
			continue
		}
		tried = true
		r, err := s.validate(with(values, a.Name, wrong))
		if err != nil {
			return fmt.Errorf("%s with a value of another type: %w", a.Name, err)
		}
		if !refused(r) {
			return fmt.Errorf("%s is %s, and %v is taken for one", a.Name, a.Type, wrong)
		}
		if !names(r, a.Name) {
			return fmt.Errorf("%s has a value of another type, and what is said does not name it: %v%v", a.Name, r.Problem.GetText(), r.Diagnostics)
		}
	}
	if !tried {
		return skip("it has no attributes")
	}
	return nil
}

// names reports whether an answer names an attribute, by its path or in its text.
func names(r *wire.ValidateResponse, name string) bool {
	if p := r.Problem; p != nil && (len(p.Path) > 0 && p.Path[0].GetName() == name || strings.Contains(p.Text, name)) {
		return true
	}
	return slices.ContainsFunc(r.Diagnostics, func(d *wire.Diagnostic) bool {
		return len(d.Path) > 0 && d.Path[0].GetName() == name || strings.Contains(d.Text, name)
	})
}

// pathsExist tries values at the edges of what the schema allows, and looks where the answers point.
func pathsExist(s *session) error {
	values := s.values()
	look := func(config []byte) error {
		r, err := s.validate(config)
		if err != nil {
			return err
		}
		paths := []sdk.Path{wire.FromPath(r.Problem.GetPath())}
		for _, d := range r.Diagnostics {
			paths = append(paths, wire.FromPath(d.Path))
			if strings.TrimSpace(d.Text) == "" {
				return errors.New("a diagnostic has no text")
			}
		}
		for _, p := range paths {
			if !leadsInto(p, s.t.Config) {
				return fmt.Errorf("%s is nothing that the schema has", p)
			}
		}
		return nil
	}
	if err := look([]byte("{}")); err != nil {
		return err
	}
	for _, a := range s.t.Config.Attributes {
		edges := []any{misfit(a)}
		switch a.Type {
		case "string":
			if edges = append(edges, "", "\x00", strings.Repeat("x", 70_000), "://"); a.Unit != sdk.Plain {
				edges = []any{-1, 0, int64(1) << 62}
			}
		case "number":
			edges = append(edges, -1, 0, 1e18)
		case "list(string)":
			edges = append(edges, []any{}, []any{"", "["})
		}
		for _, e := range edges {
			if err := look(with(values, a.Name, e)); err != nil {
				return fmt.Errorf("with a strange %s: %w", a.Name, err)
			}
		}
	}
	return nil
}

// leadsInto reports whether a path names something of a schema.
func leadsInto(p sdk.Path, s sdk.Schema) bool {
	for len(p) > 0 && p[0].Name == "" {
		p = p[1:]
	}
	if len(p) == 0 {
		return true
	}
	if slices.ContainsFunc(s.Attributes, func(a sdk.Attribute) bool { return a.Name == p[0].Name }) {
		return !slices.ContainsFunc(p[1:], func(x sdk.Step) bool { return x.Name != "" })
	}
	for _, b := range s.Blocks {
		if b.Name == p[0].Name {
			return leadsInto(p[1:], b.Body) || len(p) > 1 && slices.Contains(b.Labels, p[len(p)-1].Name)
		}
	}
	return false
}

func unknownType(s *session) error {
	for _, of := range [][2]string{{string(s.t.Kind), "no_such_type"}, {"no_such_kind", s.t.Name}, {"", ""}} {
		r, err := s.rpc.Validate(s.ctx, &wire.ConfigRequest{Kind: of[0], Type: of[1], Config: []byte("{}")})
		if err != nil {
			return s.cause(err)
		}
		if !refused(r) {
			return fmt.Errorf("it finds nothing wrong with a %s %q", of[0], of[1])
		}
	}
	return nil
}

func sameVerdict(s *session) error {
	config := []byte("{}")
	if len(s.blocks) > 0 {
		config = s.blocks[0].config
	}
	first, err := s.validate(config)
	if err != nil {
		return err
	}
	for range 3 {
		again, err := s.validate(config)
		if err != nil {
			return err
		}
		if !proto.Equal(first, again) {
			return fmt.Errorf("at first it says %v, and then %v", first, again)
		}
	}
	return nil
}

func leavesNothing(s *session) error {
	config := []byte("{}")
	if len(s.blocks) > 0 {
		config = s.blocks[0].config
	}
	ask := func(n int) (holding, error) {
		for range n {
			if _, err := s.validate(config); err != nil {
				return holding{}, err
			}
		}
		return holdingOf(s.process.Pid, s.dir)
	}
	before, err := ask(5)
	if err != nil {
		return err
	}
	after, err := ask(50)
	if err != nil {
		return err
	}
	if after.fds-before.fds >= 25 || after.threads-before.threads >= 25 || after.files-before.files >= 25 {
		return fmt.Errorf("after 50 calls it holds %s, and held %s", after, before)
	}
	return nil
}
