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

		`[abs(-1), ceil(1.2), floor(1.8), max(1, 2), min(1, 2), pow(2, 3), signum(-2), parseint("ff", 16), sum([1, 2])]`: `[1,2,1,2,1,8,-1,255,3]`,
		`log(8, 2)`: `3`,
		`[chomp("a\n"), indent(2, "a\nb"), title("a b"), strrev("ab"), substr("abc", 1, 1), trim("?a?", "?")]`:                  `["a","a\n  b","A B","ba","b","a"]`,
		`[startswith("ab", "a"), endswith("ab", "a"), strcontains("abc", "b"), alltrue([true, false]), anytrue([true, false])]`: `[true,false,true,false,true]`,
		`formatlist("%s:%d", ["a", "b"], 80)`:                  `["a:80","b:80"]`,
		`regex("[a-z]+", "12ab")`:                              `"ab"`,
		`regexall("[a-z]", "1a2b")`:                            `["a","b"]`,
		`replace("a1b2", "/[0-9]/", "-")`:                      `"a-b-"`,
		`[basename("/a/b"), dirname("/a/b")]`:                  `["b","/a"]`,
		`chunklist([1, 2, 3], 2)`:                              `[[1,2],[3]]`,
		`coalescelist([], ["a"])`:                              `["a"]`,
		`compact(["", "a"])`:                                   `["a"]`,
		`[element(["a", "b"], 3), index(["a", "b"], "b")]`:     `["b",1]`,
		`matchkeys(["x", "y"], ["a", "b"], ["b"])`:             `["y"]`,
		`[one([]), one(["a"])]`:                                `[null,"a"]`,
		`[range(3), reverse([1, 2]), slice(["a", "b"], 1, 2)]`: `[[0,1,2],[2,1],["b"]]`,
		`setproduct(["a", "b"], [1])`:                          `[["a",1],["b",1]]`,
		`[setunion(["a"], ["b"]), setintersection(["a", "b"], ["b"]), setsubtract(["a", "b"], ["b"])]`: `[["a","b"],["b"],["a"]]`,
		`transpose({ a = ["x", "y"] })`: `{"x":["a"],"y":["a"]}`,
		`zipmap(["a"], [1])`:            `{"a":1}`,
		`[base64encode("ab"), base64decode("YWI="), urlencode("a b"), md5("a"), sha1("a")]`: `["YWI=","ab","a+b","0cc175b9c0f1b6a831c399e269772661","86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"]`,
		`[substr(sha256("a"), 0, 8), substr(sha512("a"), 0, 8)]`:                            `["ca978112","1f40fc92"]`,
		`csvdecode("a,b\n1,2")`: `[{"a":"1","b":"2"}]`,
		`jsondecode("[1]")`:     `[1]`,
		`[cidrhost("10.0.0.0/24", 5), cidrhost("10.0.0.0/24", -1), cidrhost("fd00::/64", 2), cidrnetmask("10.0.0.0/20")]`:                              `["10.0.0.5","10.0.0.255","fd00::2","255.255.240.0"]`,
		`[cidrsubnet("10.0.0.0/8", 8, 3), cidrsubnet("fd00::/48", 16, 1)]`:                                                                             `["10.3.0.0/16","fd00:0:0:1::/64"]`,
		`cidrsubnets("10.1.0.0/16", 4, 4, 8, 4)`:                                                                                                       `["10.1.0.0/20","10.1.16.0/20","10.1.32.0/24","10.1.48.0/20"]`,
		`[cidrcontains("10.0.0.0/8", "10.1.0.0/16"), cidrcontains("10.0.0.0/8", "11.0.0.1")]`:                                                          `[true,false]`,
		`[formatdate("YYYY", "2026-01-02T03:04:05Z"), timeadd("2026-01-02T03:04:05Z", "1h"), timecmp("2026-01-02T03:04:05Z", "2026-01-02T03:04:06Z")]`: `["2026","2026-01-02T04:04:05Z",-1]`,
		`[tostring(1), tonumber("1"), tobool("true"), tolist(["a"]), tomap({ a = 1 })]`:                                                                `["1",1,true,["a"],{"a":1}]`,
		`[try(local.map.z, "none"), can(local.map.z)]`:                                                                                                 `["none",false]`,
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
	for _, text := range []string{`local.pw`, `"x${local.pw}"`, `upper(local.pw)`, `[local.pw]`, `{ a = local.pw }`, `jsonencode({ a = local.pw })`, `toset(["a", local.pw])`, `format("%s", local.pw)`, `sensitive("a")`, `sha256(local.pw)`, `try(local.pw, "")`, `[for x in [local.pw] : x]`, `local.pw == "a" ? "b" : "c"`} {
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
	if text := s.Diags.Error(); strings.Contains(text, "hunter2") || !strings.Contains(text, "a secret is part of it") {
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
		"texts":   {doubling.String(), "Value too large"},
		"lists":   {lists.String(), "Value too large"},
		"loops":   {large + "a = [for x in local.list : [for y in local.list : x]]", "Too much to compute"},
		"bodies":  {large + "a = [for x in local.list : local.text]", "Too much to compute"},
		"join":    {large + "a = join(local.text, local.list)", "too large"},
		"replace": {large + "a = replace(local.text, \"x\", local.text)", "too large"},
		"format":  {"a = format(\"%999999999d\", 1)", "too large"},
		"numbers": {"b0 = 1e300\nb1 = local.b0 * local.b0\nb2 = \"${local.b1}\"", "Value too large"},
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
	if !strings.Contains(s.Diags.Error(), "at most 32 MiB, and this one goes beyond") {
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
