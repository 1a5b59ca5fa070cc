package plan_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/daemon/internal/plan"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// A file of 1 MiB may take this much, whatever is in it. The time is that of the promise, 1 s, for a machine that is half as fast.
const (
	hostileTime   = 2 * time.Second
	hostileMemory = 256 << 20
)

// hostile are configurations that somebody made to take time and memory.
func hostile() map[string]string {
	const mib = 1 << 20
	fill := func(begin, part, end string) string {
		return begin + strings.Repeat(part, (mib-len(begin)-len(end)-1)/len(part)) + end
	}
	numbered := func(begin, part, end string) string {
		var b strings.Builder
		b.WriteString(begin)
		for i := 0; b.Len()+len(part)+10+len(end) < mib; i++ {
			b.WriteString(strings.ReplaceAll(part, "#", fmt.Sprint(i)))
		}
		return b.String() + end
	}
	few := func(n int, begin, part, end string) string { // as many as are allowed
		var b strings.Builder
		b.WriteString(begin)
		for i := range n {
			b.WriteString(strings.ReplaceAll(part, "#", fmt.Sprint(i)))
		}
		return b.String() + end
	}
	text := strings.Repeat("x,", 200<<10)
	list := fmt.Sprintf("locals {\n  text = %q\n  list = split(\",\", substr(local.text, 0, 200000))\n}\n", text)
	h := map[string]string{
		"blocks":                numbered("", "source \"host\" \"h#\" {}\n", ""),
		"same blocks":           fill("", "source \"host\" \"h\" {}\n", ""),
		"unknown types":         numbered("", "source \"h#\" \"h\" {}\n", ""),
		"unknown blocks":        numbered("", "b# {}\n", ""),
		"attributes":            numbered("source \"host\" \"h\" {\n", "a#=1\n", "}\n"),
		"nested blocks":         fill("source \"prometheus\" \"h\" {\n", "relabel {}\n", "}\n"),
		"nested with args":      fill("source \"prometheus\" \"h\" {\n", "relabel { regex = \"(\" }\n", "}\n"),
		"targets":               numbered("source \"prometheus\" \"h\" {\n", "target \"#\" {}\n", "}\n"),
		"locals":                numbered("locals {\n", "a#=1\n", "}\n"),
		"wrong locals":          numbered("locals {\n", "a#=b\n", "}\n"),
		"chained locals":        numbered("locals {\na0=1\n", "b#=local.a0\n", "}\n"),
		"variables":             numbered("", "variable \"v#\" {}\n", ""),
		"list":                  fill("locals {\n a = [", "1,", "]\n}\n"),
		"list of lists":         fill("locals {\n a = [", "[],", "]\n}\n"),
		"map":                   numbered("locals {\n a = {\n", "a#=1\n", "}\n}\n"),
		"templates":             fill("locals {\n a = \"", "${1}", "\"\n}\n"),
		"interpolations":        fill("locals {\n b = 1\n a = \"", "${local.b}", "\"\n}\n"),
		"operators":             fill("locals {\n a = [", "1+1,", "]\n}\n"),
		"calls":                 fill("locals {\n a = [", "abs(1),", "]\n}\n"),
		"unknown calls":         fill("locals {\n a = [", "f(1),", "]\n}\n"),
		"comments":              fill("", "# c\n", ""),
		"newlines":              fill("", "\n", ""),
		"dashes":                fill("# ", "-", "\n"),
		"brackets":              fill("locals {\n a = ", "[", "\n}\n"),
		"quotes":                fill("locals {\n a = ", "\"", "\n}\n"),
		"one long string":       fill("locals {\n a = \"", "x", "\"\n}\n"),
		"one long name":         fill("locals {\n ", "x", " = 1\n}\n"),
		"escapes":               fill("locals {\n a = \"", "\\n", "\"\n}\n"),
		"heredocs":              numbered("locals {\n", "a# = <<X\nx\nX\n", "}\n"),
		"long heredoc":          fill("locals {\n a = <<X\n", "x\n", "X\n}\n"),
		"indented heredoc":      fill("locals {\n a = <<-X\n", " x\n", " X\n}\n"),
		"rules":                 numbered("store \"tsdb\" \"m\" {}\n", "alert \"a#\" { expr = \"up\" }\n", ""),
		"wrong rules":           numbered("store \"tsdb\" \"m\" {}\n", "alert \"a#\" { expr = \"up{\" }\n", ""),
		"long rule":             fill("store \"tsdb\" \"m\" {}\nalert \"a\" { expr = \"up", " + up", "\" }\n"),
		"nested rule":           "store \"tsdb\" \"m\" {}\nalert \"a\" { expr = \"" + strings.Repeat("(", 60<<10) + "\" }\n",
		"many long rules":       numbered("store \"tsdb\" \"m\" {}\n", "alert \"a#\" { expr = \""+strings.Repeat("up + ", 12<<10)+"up\" }\n", ""),
		"templates of rules":    numbered("store \"tsdb\" \"m\" {}\n", "alert \"a#\" {\n expr = \"up\"\n annotations = { x = \"{{ $value }}\" }\n}\n", ""),
		"routes":                fill("route {\n", "route { match = \"a=b\" }\n", "}\n"),
		"nested routes":         strings.Repeat("route {\n", 60) + strings.Repeat("}\n", 60),
		"pipelines":             numbered("store \"tsdb\" \"m\" {}\nsource \"host\" \"h\" {}\n", "pipeline \"p#\" {\n from=[source]\n to=[store]\n}\n", ""),
		"many references":       numbered("store \"tsdb\" \"m\" {}\n", "source \"host\" \"h#\" {}\npipeline \"p#\" {\n from=[source]\n to=[store]\n}\n", ""),
		"wrong references":      numbered("store \"tsdb\" \"m\" {}\n", "source \"host\" \"h#\" {}\npipeline \"p#\" {\n from=[source.host.x#]\n to=[store]\n}\n", ""),
		"reference list":        fill("source \"host\" \"h\" {}\nstore \"tsdb\" \"m\" {}\npipeline \"p\" {\n to=[store]\n from=[", "source,", "]\n}\n"),
		"wrong list":            fill("source \"host\" \"h\" {}\nstore \"tsdb\" \"m\" {}\npipeline \"p\" {\n to=[store]\n from=[", "sorce.x.y,", "]\n}\n"),
		"labels":                numbered("source \"host\" \"h\" { labels = {\n", "a#=\"1\"\n", "}\n}\n"),
		"wrong labels":          numbered("source \"host\" \"h\" { labels = {\n", "__a#=1\n", "}\n}\n"),
		"regexps":               fill("processor \"relabel\" \"r\" { drop = [", "\"(a+)+\",", "]\n}\n"),
		"regexps repeated":      fill("processor \"relabel\" \"r\" { drop = [", "\"((a{9}){9}){9}\",", "]\n}\n"),
		"endpoints":             fill("source \"etcd\" \"e\" { endpoints = [", "\"x\",", "]\n}\n"),
		"for_each":              "source \"host\" \"h\" {\n for_each = toset([for i in range(1000) : \"${i}\"])\n labels = { n = each.key }\n}\n",
		"for_each sources":      numbered("locals {\n k = toset([for i in range(1000) : \"${i}\"])\n}\n", "source \"host\" \"h#\" { for_each = local.k }\n", ""),
		"for_each rules":        numbered("store \"tsdb\" \"m\" {}\nlocals {\n k = toset([for i in range(1000) : \"${i}\"])\n}\n", "alert \"h#\" {\n for_each = local.k\n expr = \"up\"\n}\n", ""),
		"dynamic":               fill("locals {\n k = range(1000)\n}\nsource \"prometheus\" \"h\" {\n", "dynamic \"relabel\" {\n for_each = local.k\n content {}\n}\n", "}\n"),
		"dynamic in dynamic":    "locals {\n k = range(1000)\n}\nroute {\n dynamic \"route\" {\n for_each = local.k\n content {\n dynamic \"route\" {\n for_each = local.k\n content {}\n}\n}\n}\n}\n",
		"dynamic large":         list + "source \"prometheus\" \"h\" {\n dynamic \"target\" {\n for_each = local.list\n labels = [local.text]\n content {}\n }\n}\n",
		"loops":                 fill(list+"locals {\n a = [", "[for x in local.list : x],", "]\n}\n"),
		"loops in loops":        list + "locals {\n a = [for x in local.list : [for y in local.list : [for z in local.list : z]]]\n}\n",
		"loop that groups":      list + "locals {\n a = { for x in local.list : x => x... }\n b = [for k, v in local.a : [for w in v : local.text]]\n}\n",
		"splats":                fill(list+"locals {\n a = [", "local.list[*],", "]\n}\n"),
		"comparisons":           fill(list+"locals {\n a = [", "local.list == local.list,", "]\n}\n"),
		"conditions":            fill(list+"locals {\n a = [", "true ? local.list : [],", "]\n}\n"),
		"length of text":        fill(list+"locals {\n a = [", "length(local.text),", "]\n}\n"),
		"sorts":                 fill(list+"locals {\n a = [", "sort(local.list),", "]\n}\n"),
		"distinct":              list + "locals {\n a = distinct(local.list)\n}\n",
		"sets":                  fill(list+"locals {\n a = [", "toset(local.list),", "]\n}\n"),
		"upper":                 fill(list+"locals {\n a = [", "upper(local.text),", "]\n}\n"),
		"hashes":                fill(list+"locals {\n a = [", "sha512(local.text),", "]\n}\n"),
		"regexall":              list + "locals {\n a = regexall(\"" + strings.Repeat("(", 50) + strings.Repeat(")", 50) + "\", local.text)\n}\n",
		"regex":                 fill(list+"locals {\n a = [", "can(regex(\"(x*,*)*y\", local.text)),", "]\n}\n"),
		"json":                  list + "locals {\n a = jsondecode(\"" + strings.Repeat("[", 200<<10) + "\")\n}\n",
		"json list":             "locals {\n a = jsondecode(\"[" + strings.Repeat("1,", 100<<10) + "1]\")\n}\n",
		"json objects":          "locals {\n a = jsondecode(\"[" + strings.Repeat("{\\\"a\\\":1},", 60<<10) + "1]\")\n}\n",
		"csv":                   "locals {\n a = csvdecode(\"a,b\\n" + strings.Repeat("1,2\\n", 120<<10) + "\")\n}\n",
		"csv columns":           "locals {\n a = csvdecode(\"" + strings.Repeat("1,", 120<<10) + "\\n\")\n}\n",
		"ranges":                fill("locals {\n a = [", "range(1000),", "]\n}\n"),
		"products":              fill("locals {\n a = [", "setproduct(range(300), range(300)),", "]\n}\n"),
		"formats":               fill("locals {\n a = [", "format(\"%999d\", 1),", "]\n}\n"),
		"format stars":          "locals {\n a = format(\"%*d\", 999999999, 1)\n}\n",
		"indents":               fill("locals {\n a = [", "indent(100000, \"a\\nb\"),", "]\n}\n"),
		"powers":                fill("locals {\n a = [", "pow(9, 999),", "]\n}\n"),
		"large products":        "locals {\n a0 = 1e300\n" + numberedLocals(200, "  a%[2]d = local.a%[1]d * local.a%[1]d\n") + "}\n",
		"doubling":              "locals {\n a0 = \"0123456789\"\n" + numberedLocals(60, "  a%[2]d = \"${local.a%[1]d}${local.a%[1]d}\"\n") + "}\n",
		"doubling lists":        "locals {\n a0 = [1,2,3,4,5,6,7,8]\n" + numberedLocals(60, "  a%[2]d = [local.a%[1]d, local.a%[1]d]\n") + "}\n",
		"try":                   fill("locals {\n a = [", "try(b.c, 1),", "]\n}\n"),
		"moved":                 numbered("", "moved {\n from=source.host.a#\n to=source.host.b#\n}\n", ""),
		"moved in a chain":      numbered("source \"host\" \"a\" {}\n", "moved {\n from=source.host.a#\n to=source.host.a1#\n}\n", ""),
		"packs":                 numbered("", "pack \"p#\" { source = \"./p#\" }\n", ""),
		"allowed packs":         few(3900, "", "pack \"p#\" { source = \"./p\" }\n", ""),
		"allowed pack refs":     few(1950, "store \"tsdb\" \"m\" {}\n", "pack \"p#\" { source = \"./p\" }\npipeline \"p#\" {\n from=[pack.p#.source.host.x, pack.q#.source]\n to=[store]\n}\n", ""),
		"allowed overrides":     few(3900, "pack \"p\" {\n source = \"./p\"\n", "override \"alert\" \"a#\" {}\n", "}\n"),
		"allowed dashboards":    few(3900, "", "dashboard \"p#\" { file = \"p#.json\" }\n", ""),
		"allowed moved packs":   few(1950, "", "pack \"p#\" { source = \"./p\" }\nmoved {\n from=pack.a#\n to=pack.p#\n}\n", ""),
		"allowed blocks":        few(3900, "", "source \"host\" \"h#\" {\n labels = { a = \"#\" }\n}\n", "store \"tsdb\" \"m\" {}\n"),
		"allowed rules":         few(3900, "store \"tsdb\" \"m\" {}\n", "alert \"a#\" {\n expr = \"up == 0 and on (x) rate(y[5m]) > #\"\n annotations = { x = \"{{ $value }}\" }\n}\n", ""),
		"allowed wrong rules":   few(3900, "store \"tsdb\" \"m\" {}\n", "alert \"a#\" { expr = \"up{\" }\n", ""),
		"allowed references":    few(1950, "store \"tsdb\" \"m\" {}\n", "source \"host\" \"h#\" {}\npipeline \"p#\" {\n from=[source]\n to=[store]\n}\n", ""),
		"allowed pipelines":     few(1950, "store \"tsdb\" \"m\" {}\n", "source \"host\" \"h#\" {}\npipeline \"p#\" {\n from=[source.host.h#]\n to=[store]\n}\n", ""),
		"allowed nested":        few(3900, "source \"prometheus\" \"h\" {\n", "relabel { regex = \"(\" }\n", "}\n"),
		"allowed unknown":       few(3900, "", "b# {}\n", ""),
		"allowed moves":         few(3900, "", "moved {\n from=source.host.a#\n to=source.host.a1#\n}\n", ""),
		"allowed variables":     few(3900, "", "variable \"v#\" { default = # }\n", ""),
		"allowed locals":        few(24_500, "locals {\n", "a#=1\n", "}\n"),
		"allowed wrong names":   few(24_500, "locals {\n", "a#=b\n", "}\n"),
		"allowed attributes":    few(24_500, "source \"host\" \"h\" {\n", "a#=1\n", "}\n"),
		"allowed map":           few(24_500, "locals {\n a = {\n", "a#=1\n", "}\n}\n"),
		"allowed list":          few(120_000, "locals {\n a = [", "1,", "]\n}\n"),
		"allowed calls":         few(40_000, "locals {\n a = [", "abs(1),", "]\n}\n"),
		"allowed urls":          few(80_000, "source \"etcd\" \"e\" { endpoints = [", "\"x\",", "]\n}\n"),
		"allowed regexps":       few(50_000, "processor \"relabel\" \"r\" { drop = [", "\"(a+)+\",", "]\n}\n"),
		"allowed large regexps": few(30_000, "processor \"relabel\" \"r\" { drop = [", "\"((a{9}){9}){9}\",", "]\n}\n"),
		"allowed for_each":      few(6, "locals {\n k = toset([for i in range(990) : tostring(i)])\n}\n", "source \"host\" \"h#\" { for_each = local.k }\n", "store \"tsdb\" \"m\" {}\n"),
		"allowed alerts":        few(6, "store \"tsdb\" \"m\" {}\nlocals {\n k = toset([for i in range(990) : tostring(i)])\n}\n", "alert \"h#\" {\n for_each = local.k\n expr = \"up\"\n}\n", ""),
		"allowed dynamic":       few(6, "locals {\n k = range(990)\n}\nsource \"prometheus\" \"h\" {\n", "dynamic \"relabel\" {\n for_each = local.k\n content {}\n}\n", "}\nstore \"tsdb\" \"m\" {}\n"),
		"allowed sorts":         few(100, list+"locals {\n a = [", "sort(local.list),", "]\n}\n"),
		"allowed hashes":        few(200, list+"locals {\n a = [", "sha512(local.text),", "]\n}\n"),
		"allowed regex":         few(200, list+"locals {\n a = [", "can(regex(\"(x*,*)*y\", local.text)),", "]\n}\n"),
		"allowed texts":         few(200, list+"locals {\n a = [", "upper(local.text),", "]\n}\n"),
		"allowed lengths":       few(200, list+"locals {\n a = [", "length(local.text),", "]\n}\n"),
		"allowed sets":          few(200, list+"locals {\n a = [", "toset(local.list),", "]\n}\n"),
		"allowed products":      few(1000, "locals {\n a = [", "setproduct(range(300), range(300)),", "]\n}\n"),
		"JSON allowed blocks":   few(24_000, `{"source":{"host":{`, `"h#":{},`, `"z":{}}}}`),
		"JSON allowed list":     few(99_000, `{"locals":{"a":[`, "1,", "1]}}"),
		"JSON allowed texts":    few(24_000, `{"locals":{"a":[`, `"${abs(1)}",`, "1]}}")[:] + "",
		"JSON list":             fill(`{"locals":{"a":[`, "1,", "1]}}"),
		"JSON objects":          fill(`{"locals":{"a":[`, `{"b":1},`, "1]}}"),
		"JSON templates":        fill(`{"locals":{"a":[`, `"${1}",`, "1]}}"),
		"JSON blocks":           numbered(`{"source":{"host":{`, `"h#":{},`, `"z":{}}}}`),
		"JSON splats":           `{"locals":{"l":[` + strings.Repeat("1,", 50000) + `1]},"locals":[` + strings.TrimSuffix(numbered("", `{"a#":"${local.l[*]}"},`, "")[:700<<10], ",") + `]}`,
		"JSON same":             fill(`{"source":{"host":{`, `"h":{},`, `"z":{}}}}`),
	}
	return h
}

func numberedLocals(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i, i+1)
	}
	return b.String()
}

// TestMain: as its own child, the test binary loads one of the hostile configurations, as the daemon would, and its parent looks at what
// that took.
func TestMain(m *testing.M) {
	if name := os.Getenv("LOAD_HOSTILE"); name != "" {
		language.RoomForGarbage() // as commands and the daemon have
		loadHostile(name)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func loadHostile(path string) {
	sources, err := language.Read(path)
	if err != nil {
		panic(err)
	}
	cfg, diags := language.Parse(sources)
	t := &testing.B{}
	d, more := plan.Build(cfg, offers(t), env())
	if err := language.WriteDiagnostics(io.Discard, cfg, append(diags, more...), false); err != nil {
		panic(err)
	}
	if !diags.HasErrors() && !more.HasErrors() {
		_ = plan.Diff(d, d).Print(io.Discard, false)
	}
	if len(diags)+len(more) > 0 && os.Getenv("LOAD_VERBOSE") != "" {
		list := cfg.Diagnostics(append(diags, more...))
		fmt.Printf("%d remarks, the first: %s: %.100s\n", len(diags)+len(more), list[0].Summary, list[0].Detail)
	}
}

func TestNoFileTakesLong(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	texts := hostile()
	for i, name := range language.Sorted(texts) {
		if os.Getenv("MAGPIE_SOAK") == "" && i%10 != 0 {
			continue // make soak has them all
		}
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.hcl")
			if strings.HasPrefix(name, "JSON") {
				path = filepath.Join(t.TempDir(), "a.hcl.json")
			}
			if err := os.WriteFile(path, []byte(texts[name]), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(self, "-test.run=^$")
			cmd.Env = append(os.Environ(), "LOAD_HOSTILE="+path)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%.2000s", err, out)
			}
			u := cmd.ProcessState.SysUsage().(*syscall.Rusage)
			took, memory := cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime(), u.Maxrss<<10
			t.Logf("%s: %d ms CPU, %d MiB %s", name, took.Milliseconds(), memory>>20, out)
			if took > hostileTime && os.Getenv("MAGPIE_SOAK") != "" || memory > hostileMemory { // what takes how long is asked of a machine that does nothing else
				t.Errorf("it took %s of CPU and %d MiB", took.Round(time.Millisecond), memory>>20)
			}
		})
	}
}
