package verify

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/language"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

var describeChecks = []check{
	{"describe/same", "Describe answers the same each time, in every process",
		"build the description from what is compiled in, in a fixed order: no maps, no clock, no files", sameDescription},
	{"describe/name", "its name is lower-case letters, digits and underscores",
		"rename it: the name is the second word of a block", func(s *session) error {
			if !validName.MatchString(s.desc.Name) {
				return fmt.Errorf("its name is %q", s.desc.Name)
			}
			return nil
		}},
	{"describe/version", "it says its version, such as 1.4.0",
		"give serve.Main a version of three numbers", func(s *session) error {
			if !validVersion.MatchString(s.desc.Version) {
				return fmt.Errorf("its version is %q", s.desc.Version)
			}
			return nil
		}},
	{"describe/sdk", "it says what it was built with",
		"set the field sdk to the language and the version of the SDK", func(s *session) error {
			if s.desc.Sdk == "" {
				return errors.New("the field sdk is empty")
			}
			return nil
		}},
	{"describe/types", "it offers something, each once, under kinds that there are",
		"a type has a kind of the contract and a name of its own under it", knownTypes},
	{"describe/size", "its description is below 1 MiB and nested at most 16 deep",
		"the daemon keeps it for every plugin: shorten it", sizeOfDescription},
	{"describe/metrics", "what it declares of metrics is documented and can be queried",
		"a metric has a help text, and names of letters, digits, _ and : that are not NaN or Inf", declaredMetrics},
}

var (
	validName    = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	validVersion = regexp.MustCompile(`^v?\d+\.\d+\.\d+([-+.][0-9A-Za-z.+-]+)?$`)
	metricName   = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)
	labelName    = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

func sameDescription(s *session) error {
	first, err := proto.MarshalOptions{Deterministic: true}.Marshal(s.desc)
	if err != nil {
		return err
	}
	other, err := s.start()
	if err != nil {
		return err
	}
	defer other.Kill()
	for i, rpc := range []wire.PluginClient{s.rpc, s.rpc, wire.NewPluginClient(other.Connection())} {
		d, err := rpc.Describe(s.ctx, &wire.DescribeRequest{})
		if err != nil {
			return s.cause(err)
		}
		again, err := proto.MarshalOptions{Deterministic: true}.Marshal(d)
		if err != nil {
			return err
		}
		if string(again) != string(first) {
			return fmt.Errorf("answer %d differs from the first one, of another process: %s", i+2, whatDiffers(s.desc, d))
		}
	}
	return nil
}

func whatDiffers(a, b *wire.Description) string {
	switch {
	case a.Name != b.Name || a.Version != b.Version:
		return "name or version"
	case len(a.Types) != len(b.Types):
		return "the number of types"
	}
	for i := range a.Types {
		if !proto.Equal(a.Types[i], b.Types[i]) {
			return fmt.Sprintf("the type %s %q", b.Types[i].Kind, b.Types[i].Name)
		}
	}
	return "the metrics"
}

func knownTypes(s *session) error {
	known := []sdk.Kind{sdk.KindSource, sdk.KindProcessor, sdk.KindSink, sdk.KindStore, sdk.KindNotifier, sdk.KindDiscovery, sdk.KindService, sdk.KindDiagnoser, sdk.KindCoordinator}
	seen := map[string]bool{}
	for _, t := range s.types {
		of := fmt.Sprintf("%s %q", t.Kind, t.Name)
		switch {
		case !slices.Contains(known, t.Kind):
			return fmt.Errorf("%s: there is no such kind", of)
		case !validName.MatchString(t.Name):
			return fmt.Errorf("%s: the name is to be lower-case letters, digits and underscores", of)
		case seen[of]:
			return fmt.Errorf("%s is offered twice", of)
		}
		seen[of] = true
	}
	if len(s.types) == 0 {
		return errors.New("it offers nothing")
	}
	return nil
}

func sizeOfDescription(s *session) error {
	if n := proto.Size(s.desc); n > 1<<20 {
		return fmt.Errorf("it has %d bytes", n)
	}
	for _, t := range s.types {
		if depth(t.Config) > 16 {
			return fmt.Errorf("%s %q is nested %d deep", t.Kind, t.Name, depth(t.Config))
		}
	}
	return nil
}

func depth(s sdk.Schema) (n int) {
	for _, b := range s.Blocks {
		n = max(n, depth(b.Body))
	}
	return n + 1
}

func declaredMetrics(s *session) error {
	seen := map[string]bool{}
	for _, m := range s.desc.Metrics {
		switch {
		case !queryable(m.Name):
			return fmt.Errorf("PromQL cannot name the metric %q", m.Name)
		case strings.TrimSpace(m.Help) == "":
			return fmt.Errorf("the metric %s has no help text", m.Name)
		case seen[m.Name]:
			return fmt.Errorf("the metric %s is declared twice", m.Name)
		}
		seen[m.Name] = true
		names := map[string]bool{}
		for _, l := range m.Labels {
			if !labelName.MatchString(l) || strings.HasPrefix(l, "__") || names[l] {
				return fmt.Errorf("the metric %s has the label %q", m.Name, l)
			}
			names[l] = true
		}
	}
	if len(s.desc.Metrics) == 0 {
		return skip("it declares none")
	}
	return nil
}

// queryable reports whether PromQL reads a name as one, and not as a number.
func queryable(name string) bool {
	lower := strings.ToLower(name)
	return metricName.MatchString(name) && lower != "nan" && lower != "inf"
}

// schemaChecks are of what a block of a type takes; they start nothing.
var schemaChecks = []check{
	{"schema/documented", "the type, every attribute and every block says what it is for",
		`give the field a doc tag, and the type sdk.Doc("…")`, documented},
	{"schema/names", "names are lower-case, and each is there once",
		"rename the attribute; the old name can stay in a was tag", func(s *session) error { return walk(s.t.Config, "", namesOf) }},
	{"schema/core", "no core attribute is declared",
		"rename it: " + strings.Join(sdk.Reserved, ", ") + " belong to every block", coreAttributes},
	{"schema/types", "types, units and checks are those of the language, and fit each other",
		"see Schema in package sdk for what there is", func(s *session) error { return walk(s.t.Config, "", typesOf) }},
	{"schema/defaults", "every default has its attribute's type and passes its own checks",
		"change the default or the check", func(s *session) error { return walk(s.t.Config, "", defaultsOf) }},
	{"schema/changes", "live is said only where the type can be reconfigured",
		"implement sdk.Reconfigurer, or leave change out", changesOf},
	{"schema/secrets", "what sounds like a secret is one",
		"give the field the type sdk.Secret, or another name; a path to a secret ends in _file", func(s *session) error { return walk(s.t.Config, "", secretsOf) }},
}

// walk visits every level of a schema.
func walk(s sdk.Schema, path string, visit func(s sdk.Schema, path string) error) error {
	if err := visit(s, path); err != nil {
		return err
	}
	for _, b := range s.Blocks {
		if err := walk(b.Body, path+b.Name+".", visit); err != nil {
			return err
		}
	}
	return nil
}

func documented(s *session) error {
	if strings.TrimSpace(s.t.Doc) == "" {
		return errors.New("the type says nothing of itself")
	}
	return walk(s.t.Config, "", func(x sdk.Schema, path string) error {
		for _, a := range x.Attributes {
			if strings.TrimSpace(a.Doc) == "" {
				return fmt.Errorf("the attribute %s%s has no documentation", path, a.Name)
			}
		}
		for _, b := range x.Blocks {
			if strings.TrimSpace(b.Doc) == "" {
				return fmt.Errorf("the block %s%s has no documentation", path, b.Name)
			}
		}
		return nil
	})
}

func namesOf(s sdk.Schema, path string) error {
	seen := map[string]bool{}
	add := func(name string) error {
		if !validName.MatchString(name) {
			return fmt.Errorf("%s%s is not lower-case letters, digits and underscores", path, name)
		}
		if seen[name] {
			return fmt.Errorf("%s%s is there twice", path, name)
		}
		seen[name] = true
		return nil
	}
	for _, a := range s.Attributes {
		if err := add(a.Name); err != nil {
			return err
		}
	}
	for _, b := range s.Blocks {
		for _, name := range append([]string{b.Name}, b.Labels...) {
			if name != b.Name && validName.MatchString(name) {
				continue // a label is in the block
			}
			if err := add(name); err != nil {
				return err
			}
		}
	}
	for _, a := range s.Attributes {
		if a.Was != "" && seen[a.Was] {
			return fmt.Errorf("%s%s was called %s, and there is another one of that name now", path, a.Name, a.Was)
		}
	}
	return nil
}

func coreAttributes(s *session) error {
	for _, a := range s.t.Config.Attributes {
		if slices.Contains(sdk.Reserved, a.Name) {
			return fmt.Errorf("it declares %s", a.Name)
		}
	}
	for _, b := range s.t.Config.Blocks {
		if slices.Contains(sdk.Reserved, b.Name) {
			return fmt.Errorf("it declares the block %s", b.Name)
		}
	}
	return nil
}

func typesOf(s sdk.Schema, path string) error {
	for _, a := range s.Attributes {
		if err := checkAttribute(a); err != nil {
			return fmt.Errorf("%s%s: %w", path, a.Name, err)
		}
	}
	return nil
}

func defaultsOf(s sdk.Schema, path string) error {
	for _, a := range s.Attributes {
		if a.Required && a.HasDefault {
			return fmt.Errorf("%s%s is required, and has a default", path, a.Name)
		}
		if !a.HasDefault || checkAttribute(a) != nil {
			continue
		}
		if err := checkDefault(a); err != nil {
			return fmt.Errorf("the default of %s%s, %q: %w", path, a.Name, a.Default, err)
		}
	}
	return nil
}

func changesOf(s *session) error {
	return walk(s.t.Config, "", func(x sdk.Schema, path string) error {
		for _, a := range x.Attributes {
			switch {
			case a.Change != "" && a.Change != sdk.Live && a.Change != sdk.Replace && a.Change != sdk.Exclusive:
				return fmt.Errorf("a change of %s%s costs %q, which is nothing that there is", path, a.Name, a.Change)
			case a.Change == sdk.Live && !s.t.Live:
				return fmt.Errorf("%s%s is taken live, and the type cannot be reconfigured", path, a.Name)
			}
		}
		return nil
	})
}

// harmless are endings of names that sound like a secret and hold none.
var harmless = regexp.MustCompile(`(?i)(_file|_files|_path|_url|_name|_id|_label|_labels|_header|_ttl|_timeout|_size|_max|_min|_by)$|^(key|keys|basic_auth|auth|username|token_|private_)|keep|passthrough|bypass|author|monkey|keyspace|key_`)

func secretsOf(s sdk.Schema, path string) error {
	for _, a := range s.Attributes {
		if !a.Sensitive && a.Unit == sdk.Plain && a.Type == "string" && language.SoundsSecret(a.Name) && !harmless.MatchString(a.Name) {
			return fmt.Errorf("%s%s is shown to everyone who may see the plan", path, a.Name)
		}
	}
	return nil
}

// sensitive are the paths of the secrets of a schema.
func sensitive(s sdk.Schema) (paths []string) {
	walk(s, "", func(x sdk.Schema, path string) error {
		for _, a := range x.Attributes {
			if a.Sensitive {
				paths = append(paths, path+a.Name)
			}
		}
		return nil
	})
	return paths
}
