package plan_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/magpie-monitoring/magpie/daemon/internal/plan"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

var update = flag.Bool("update", false, "write what the tests get into their golden files")

// The types that the tests configure. They are made up, but their attributes are of every sort.
type (
	etcdConfig struct {
		Endpoints []string      `hcl:"endpoints" check:"url" doc:"URLs of members." was:"hosts"`
		Username  string        `hcl:"username,optional" doc:"User."`
		Password  sdk.Secret    `hcl:"password,optional" doc:"Password."`
		Mode      string        `hcl:"mode,optional" default:"metrics" check:"oneof=metrics status all" doc:"What to ask for."`
		MaxBody   sdk.Bytes     `hcl:"max_body,optional" default:"4MiB" check:"max=64MiB" doc:"Largest page."`
		Retries   int           `hcl:"retries,optional" default:"3" check:"min=0,max=10" doc:"Attempts."`
		Backoff   time.Duration `hcl:"backoff,optional" default:"1s" doc:"Pause between attempts." deprecated:"it is chosen by itself"`
		TLS       *tlsConfig    `hcl:"tls,block" doc:"TLS." was:"ssl"`
	}
	tlsConfig struct {
		CAFile   string `hcl:"ca_file,optional" doc:"Certificates."`
		CertFile string `hcl:"cert_file,optional" doc:"Certificate to show."`
		Insecure bool   `hcl:"insecure,optional" default:"false" doc:"Accept any certificate."`
	}
	promConfig struct {
		Targets []string       `hcl:"targets,optional" doc:"Addresses."`
		Target  []targetConfig `hcl:"target,block" doc:"A target with labels."`
		Relabel []relabelRule  `hcl:"relabel,block" doc:"A rule for targets." was:"rewrite"`
		sdk.HTTPClient
	}
	targetConfig struct {
		Address string            `hcl:"address,label" doc:"Address."`
		Extra   map[string]string `hcl:"extra_labels,optional" doc:"Labels."`
	}
	relabelRule struct {
		SourceLabels []string `hcl:"source_labels,optional" doc:"Labels."`
		Regex        string   `hcl:"regex,optional" default:"(.*)" check:"regexp" doc:"Regular expression."`
		TargetLabel  string   `hcl:"target_label,optional" doc:"Label."`
		Replacement  string   `hcl:"replacement,optional" default:"$1" doc:"Replacement."`
	}
	tsdbConfig struct {
		Path      string        `hcl:"path,optional" change:"exclusive" doc:"Directory."`
		Retention time.Duration `hcl:"retention,optional" default:"15d" change:"live" doc:"How long to keep."`
		WALSize   sdk.Bytes     `hcl:"wal_size,optional" default:"128MiB" doc:"Size of a segment."`
	}
	sinkConfig struct {
		URL   string     `hcl:"url" check:"url" doc:"Where to write."`
		Token sdk.Secret `hcl:"token,optional" doc:"Token." was:"secret_token" change:"live"`
		Level float64    `hcl:"level,optional" default:"0.5" check:"min=0,max=1" doc:"Compression." change:"live"`
		Auth  authConfig `hcl:"credentials,block" doc:"Who we are."`
	}
	authConfig struct {
		User string `hcl:"user" doc:"User."`
	}
	dropConfig struct {
		Drop []string `hcl:"drop" check:"regexp" doc:"Names to drop."`
	}
	hookConfig struct {
		URL     string                `hcl:"url" check:"url" doc:"Where to post." change:"live"`
		Token   sdk.Secret            `hcl:"token,optional" doc:"Token." change:"live"`
		Headers map[string]sdk.Secret `hcl:"headers,optional" doc:"Headers." change:"live"`
	}
	filesConfig struct {
		Files []string `hcl:"files" doc:"Files."`
	}
	emptyConfig struct{}
)

func offer[C any](t testing.TB, plugin string, typ sdk.Type) plan.Offer {
	t.Helper()
	schema, err := sdk.SchemaOf(reflect.TypeFor[C]())
	if err != nil {
		t.Fatal(err)
	}
	typ.Config = schema
	return plan.Offer{Plugin: plugin, Type: typ}
}

func offers(t testing.TB) []plan.Offer {
	return []plan.Offer{
		offer[etcdConfig](t, "etcd", sdk.Type{Kind: sdk.KindSource, Name: "etcd", Job: "etcd"}),
		offer[promConfig](t, "prometheus", sdk.Type{Kind: sdk.KindSource, Name: "prometheus", Discovers: true, Streams: true}),
		offer[emptyConfig](t, "host", sdk.Type{Kind: sdk.KindSource, Name: "host", Job: "node"}),
		offer[tsdbConfig](t, "tsdb", sdk.Type{Kind: sdk.KindStore, Name: "tsdb", Live: true}),
		offer[sinkConfig](t, "remote", sdk.Type{Kind: sdk.KindSink, Name: "remote_write", Live: true}),
		offer[dropConfig](t, "relabel", sdk.Type{Kind: sdk.KindProcessor, Name: "relabel"}),
		offer[hookConfig](t, "webhook", sdk.Type{Kind: sdk.KindNotifier, Name: "webhook", Live: true}),
		offer[emptyConfig](t, "log", sdk.Type{Kind: sdk.KindNotifier, Name: "log"}),
		offer[filesConfig](t, "prometheus", sdk.Type{Kind: sdk.KindDiscovery, Name: "file"}),
		offer[emptyConfig](t, "console", sdk.Type{Kind: sdk.KindService, Name: "console"}),
		offer[emptyConfig](t, "acme_redis", sdk.Type{Kind: sdk.KindSource, Name: "redis"}),
		offer[emptyConfig](t, "redis", sdk.Type{Kind: sdk.KindSource, Name: "redis"}),
	}
}

var environment = map[string]string{"SITE": "fra1", "PORT": "8", "TOKEN": "env-canary", "NOT_A_NUMBER": "x", "MAGPIE_VAR_from_env": "8", "MAGPIE_VAR_list_from_env": `["a", "b"]`}

func env() plan.Env {
	return plan.Env{
		Getenv: func(name string) (string, bool) { v, ok := environment[name]; return v, ok },
		ReadFile: func(path string) ([]byte, error) {
			if path == "/run/secrets/etcd" {
				return []byte("file-canary\n"), nil
			}
			return nil, os.ErrNotExist
		},
		HMACKey: []byte("key"), PluginDirs: []string{"/usr/lib/magpie/plugins"},
	}
}

// TestGolden reads each archive of testdata/config: its *.hcl and *.json files, and those named as flags are, are the configuration, and what is expected
// follows. Those under old/ are the configuration that runs, for the plan.
func TestGolden(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob("../../testdata/config/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no golden files: ", err)
	}
	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want := *a
			a.Files = nil
			var sources, old []language.Source
			for _, f := range want.Files {
				name, isOld := strings.CutPrefix(f.Name, "old/")
				if !strings.HasSuffix(name, ".hcl") && !strings.HasSuffix(name, ".json") && !strings.HasPrefix(name, "-var ") && !language.IsRuleFile(name) {
					f.Data = []byte(golden(t, f.Name, old, sources))
				} else if isOld {
					old = append(old, language.Source{Name: name, Bytes: f.Data})
				} else {
					if strings.HasPrefix(name, "-var ") {
						f.Data = bytes.TrimSpace(f.Data)
					}
					sources = append(sources, language.Source{Name: name, Bytes: f.Data})
				}
				a.Files = append(a.Files, f)
			}
			got := txtar.Format(a)
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if !*update && string(got) != string(txtar.Format(&want)) {
				t.Errorf("got:\n%s", got)
			}
		})
	}
}

func golden(t *testing.T, what string, old, sources []language.Source) string {
	desired, cfg, text := build(t, sources)
	if what == "diagnostics" {
		return text
	}
	if strings.Contains(text, "error:") {
		t.Fatalf("the configuration has errors:\n%s", text)
	}
	var b strings.Builder
	address, ofPack := strings.CutPrefix(what, "show ")
	switch {
	case ofPack:
		b.WriteString(language.ShowOf(desired.Bodies(), address))
	case what == "show":
		b.WriteString(plan.Show(desired))
	case what == "plan":
		running, _, _ := build(t, old)
		if err := plan.Diff(running, desired).Print(&b, false); err != nil {
			t.Fatal(err)
		}
	default:
		t.Fatalf("%s is not something to expect", what)
	}
	_ = cfg
	return b.String()
}

func build(t testing.TB, sources []language.Source) (*plan.Desired, *language.Config, string) {
	t.Helper()
	cfg, diags := language.Parse(sources)
	desired, more := plan.Build(cfg, offers(t), env())
	var b strings.Builder
	if err := language.WriteDiagnostics(&b, cfg, append(diags, more...), false); err != nil {
		t.Fatal(err)
	}
	return desired, cfg, b.String()
}
