package language_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/magpie-monitoring/magpie/sdk/language"
)

func scope(t testing.TB, offline bool, locals string) *language.Scope {
	t.Helper()
	c, diags := language.Parse([]language.Source{{Name: "a.hcl", Bytes: []byte("locals {\n" + locals + "\n}\n")}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return language.NewScope(c, language.Env{
		Getenv: func(name string) (string, bool) { return "value-of-" + name, name != "UNSET" },
		ReadFile: func(path string) ([]byte, error) {
			if path == "/secret" {
				return []byte("hunter2\r\n"), nil
			}
			return nil, errors.New("no such file")
		},
		Offline: offline,
	})
}

func evaluate(t testing.TB, s *language.Scope, text string) (cty.Value, string) {
	t.Helper()
	expr, diags := hclsyntax.ParseExpression([]byte(text), "a.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	s.Diags = nil
	v, ok := s.Value(expr)
	if ok == s.Diags.HasErrors() {
		t.Fatalf("%s: ok is %v, and the diagnostics are %v", text, ok, s.Diags)
	}
	if !ok {
		return v, s.Diags[0].Detail
	}
	return v, ""
}

func TestFunctionsBehaveAsTerraforms(t *testing.T) {
	t.Parallel()
	s := scope(t, false, `list = ["b", "a", "b"]
		map = { x = 1, y = 2 }`)
	for text, want := range map[string]string{
		`env("A")`:                         `"value-of-A"`,
		`env("UNSET", "d")`:                `"d"`,
		`format("%s-%02d", "a", 3)`:        `"a-03"`,
		`join(",", local.list)`:            `"b,a,b"`,
		`concat(local.list, ["c"])`:        `["b","a","b","c"]`,
		`merge(local.map, { z = 3 })`:      `{"x":1,"y":2,"z":3}`,
		`keys(local.map)`:                  `["x","y"]`,
		`values(local.map)`:                `[1,2]`,
		`length(local.list)`:               `3`,
		`length(local.map)`:                `2`,
		`length("äb")`:                     `2`,
		`lower(upper("aB"))`:               `"ab"`,
		`split(",", "a,b")`:                `["a","b"]`,
		`replace("a.b.c", ".", "-")`:       `"a-b-c"`,
		`trimspace(" a\n")`:                `"a"`,
		`length(toset(local.list))`:        `2`,
		`sort(distinct(local.list))`:       `["a","b"]`,
		`contains(local.list, "a")`:        `true`,
		`lookup({ a = "1" }, "b", "2")`:    `"2"`,
		`flatten([["a"], ["b"]])`:          `["a","b"]`,
		`coalesce(null, "a")`:              `"a"`,
		`trimprefix("abc", "a")`:           `"bc"`,
		`trimsuffix("abc", "c")`:           `"ab"`,
		`[for x in local.list : upper(x)]`: `["B","A","B"]`,
	} {
		v, problem := evaluate(t, s, "jsonencode("+text+")")
		if problem != "" || v.AsString() != want {
			t.Errorf("%s: got %#v %s, want %s", text, v, problem, want)
		}
	}
}

func TestSecretsAreMarkedThroughAllThatIsComputed(t *testing.T) {
	t.Parallel()
	s := scope(t, false, `pw = secret("file:/secret")`)
	for _, text := range []string{`local.pw`, `"x${local.pw}"`, `upper(local.pw)`, `[local.pw]`, `{ a = local.pw }`, `jsonencode({ a = local.pw })`, `toset(["a", local.pw])`, `format("%s", local.pw)`} {
		if v, problem := evaluate(t, s, text); problem != "" || !language.IsSecret(v) {
			t.Errorf("%s: %#v %s", text, v, problem)
		}
	}
	if v, _ := evaluate(t, s, `secret("env:A")`); !v.RawEquals(cty.StringVal("value-of-A").WithMarks(v.Marks())) {
		t.Errorf("the secret of the environment is %#v", v)
	}
	if v, _ := evaluate(t, s, `secret("file:/secret")`); !v.RawEquals(cty.StringVal("hunter2").WithMarks(v.Marks())) {
		t.Errorf("the secret of the file is %#v", v)
	}
}

func TestSecretsAreNotReadOffline(t *testing.T) {
	t.Parallel()
	s := scope(t, true, "")
	for _, text := range []string{`secret("env:UNSET")`, `secret("file:/none")`, `"x${secret("env:UNSET")}"`} {
		v, problem := evaluate(t, s, text)
		if u, _ := v.Unmark(); problem != "" || u.IsKnown() || u.Type() != cty.String || !language.IsSecret(v) {
			t.Errorf("%s: %#v %s", text, v, problem)
		}
	}
	if _, problem := evaluate(t, s, `secret("nowhere")`); !strings.Contains(problem, "is how to say where it is") {
		t.Errorf("the form is not checked: %s", problem)
	}
}

func TestSecretsStayOutOfWhatFunctionsSay(t *testing.T) {
	t.Parallel()
	s := scope(t, false, `pw = secret("file:/secret")`)
	evaluate(t, s, `{ for x in [local.pw, local.pw] : x => 1 }`)
	s.Scrub()
	if text := s.Diags.Error(); strings.Contains(text, "hunter2") || !strings.Contains(text, "(sensitive)") {
		t.Error(text)
	}
}

// Twenty locals that double each other, and loops in loops, would fill the memory.
func TestValuesThatExplodeAreRefused(t *testing.T) {
	t.Parallel()
	var doubling, lists strings.Builder
	doubling.WriteString("a0 = \"0123456789\"\n")
	lists.WriteString("a0 = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n")
	for i := range 60 {
		fmt.Fprintf(&doubling, "a%d = \"${local.a%d}${local.a%d}\"\n", i+1, i, i)
		fmt.Fprintf(&lists, "a%d = [local.a%d, local.a%d]\n", i+1, i, i)
	}
	var hosts strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&hosts, "10.0.%d.%d,", i/250, i%250)
	}
	fine := scope(t, false, fmt.Sprintf("hosts = split(\",\", %q)\nports = [for h in local.hosts : \"${h}:9100\"]\nall = join(\",\", local.ports)", hosts.String()))
	if fine.Diags.HasErrors() {
		t.Errorf("three thousand hosts are too many: %v", fine.Diags)
	}
	large := fmt.Sprintf("text = %q\n", strings.Repeat("x,", 100<<10)) + "list = split(\",\", local.text)\n"
	for name, test := range map[string]struct{ locals, want string }{
		"texts":   {doubling.String(), "beyond 2 MiB"},
		"lists":   {lists.String(), "beyond 2 MiB"},
		"loops":   {large + "a = [for x in local.list : [for y in local.list : x]]", "beyond 2 MiB"},
		"bodies":  {large + "a = [for x in local.list : local.text]", "beyond 2 MiB"},
		"join":    {large + "a = join(local.text, local.list)", "too large"},
		"replace": {large + "a = replace(local.text, \"x\", local.text)", "too large"},
		"format":  {"a = format(\"%999999999d\", 1)", "too large"},
		"numbers": {"b0 = 1e300\nb1 = local.b0 * local.b0\nb2 = \"${local.b1}\"", "beyond 2 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := scope(t, false, test.locals)
			if !strings.Contains(s.Diags.Error(), test.want) {
				t.Errorf("got %.300s", s.Diags.Error())
			}
			if len(s.Diags) > 1 {
				t.Errorf("%d diagnostics: what depends on it is not quiet", len(s.Diags))
			}
		})
	}
}

func TestValuesTogetherAreBounded(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	fmt.Fprintf(&b, "a = %q\n", strings.Repeat("x", 900<<10))
	for i := range 100 {
		fmt.Fprintf(&b, "b%d = \"${local.a}y\"\n", i)
	}
	s := scope(t, false, b.String())
	if !strings.Contains(s.Diags.Error(), "beyond 32 MiB") {
		t.Errorf("got %.300s", s.Diags.Error())
	}
}

func TestLocalsAreEvaluatedOnce(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("a0 = 1\n")
	for i := range 5000 {
		fmt.Fprintf(&b, "a%d = local.a%d + local.a%d - local.a%d\n", i+1, i, i, i)
	}
	began := time.Now()
	s := scope(t, false, b.String())
	if v, problem := evaluate(t, s, "local.a5000"); problem != "" || !v.RawEquals(cty.NumberIntVal(1)) {
		t.Errorf("%#v %s", v, problem)
	}
	t.Log(time.Since(began)) // 3^5000 without memory: it would not end
}
