package language_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/magpie-monitoring/magpie/sdk/language"
)

// packed makes an archive of files, name and text by turns.
func packed(t *testing.T, files ...string) (archive []byte, sum string) {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for i := 0; i < len(files); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1])), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), fmt.Sprintf("%x", sha256.Sum256(b.Bytes()))
}

// written writes files into a directory of the test, name and text by turns.
func written(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// read gives the addresses that a directory declares, the names of what it takes to declare them, and what is wrong with it.
func read(t *testing.T, dir string) (addresses, names []string, wrong string) {
	t.Helper()
	sources, err := language.ReadAll(dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sources {
		names = append(names, strings.TrimPrefix(s.Name, dir+"/"))
	}
	c, diags := language.Parse(sources)
	d := language.NewDecoder(language.NewScope(c, language.Env{Getenv: os.LookupEnv, Offline: true}))
	d.Declare()
	for _, b := range d.Expanded() {
		if b.Type != "pack" {
			addresses = append(addresses, language.Address(b))
		}
	}
	var text strings.Builder
	if err := language.WriteDiagnostics(&text, c, append(diags, d.Diags...), false); err != nil {
		t.Fatal(err)
	}
	return addresses, names, strings.ReplaceAll(text.String(), dir+"/", "")
}

func TestPacksTravelWithTheirFiles(t *testing.T) {
	t.Parallel()
	dir := written(t,
		"config.hcl", `pack "a" {
			source = "./packs/a"
			n      = 1
		}`,
		"packs/a/main.hcl", `variable "n" {}
			source "host" "x" { for_each = toset(["k${var.n}"]) }
			rules "r" { files = ["rules/*.yml"] }
			dashboard "d" { file = "d.json" }
			pack "b" { source = "../b" }`,
		"packs/a/ignored.vars.hcl", "n = 2",
		"packs/a/rules/x.yml", "groups: []",
		"packs/a/d.json", `{"title": "D", "panels": []}`,
		"packs/b/main.hcl.json", `{"source": {"host": {"y": {}}}, "dashboard": {"e": {"file": "e.json"}}}`,
		"packs/b/e.json", `{}`,
	)
	addresses, names, wrong := read(t, dir)
	if want := []string{`pack.a.source.host.x["k1"]`, "pack.a.rules.r", "pack.a.dashboard.d", "pack.a.pack.b.source.host.y", "pack.a.pack.b.dashboard.e"}; wrong != "" || !slices.Equal(addresses, want) {
		t.Errorf("got %q\n%s", addresses, wrong)
	}
	if want := []string{"config.hcl", "packs/a/main.hcl", "packs/b/main.hcl.json", "packs/a/rules/x.yml", "packs/a/d.json", "packs/b/e.json"}; !slices.Equal(names, want) {
		t.Errorf("got %q", names)
	}
}

func TestAnArchiveIsOpenedOnlyIfItIsTheOneThatWasMeant(t *testing.T) {
	t.Parallel()
	archive, sum := packed(t, "etcd-1.2/main.hcl", "source \"host\" \"x\" {}\nrules \"r\" { files = [\"r/*.yml\"] }\npack \"in\" { source = \"./inner\" }\n",
		"etcd-1.2/r/a.yml", "groups: []", "etcd-1.2/inner/m.hcl", "source \"host\" \"y\" {}\npack \"out\" { source = \"../../out\" }\ndashboard \"d\" { file = \"/etc/passwd.json\" }\n")
	config := func(sum string) string {
		return "pack \"a\" {\n  source = \"etcd-1.2.tgz\"\n  sha256 = \"" + sum + "\"\n}\n"
	}
	dir := written(t, "config.hcl", config(sum), "etcd-1.2.tgz", string(archive), "out/main.hcl", "source \"host\" \"z\" {}\n")
	addresses, names, wrong := read(t, dir)
	if want := []string{"pack.a.source.host.x", "pack.a.rules.r", "pack.a.pack.in.source.host.y", "pack.a.pack.in.dashboard.d"}; !slices.Equal(addresses, want) {
		t.Errorf("got %q", addresses)
	}
	if !slices.Equal(names, []string{"config.hcl", "etcd-1.2.tgz"}) {
		t.Errorf("got %q: what an archive holds is in it already, and what is outside is not read for it", names)
	}
	if !strings.HasPrefix(wrong, "etcd-1.2.tgz/inner/m.hcl:2:23: error: Outside of the archive\n") || strings.Count(wrong, "error:") != 1 || !strings.Contains(wrong, `(Brought in by pack "in" at etcd-1.2.tgz/main.hcl:3:1.)`) {
		t.Error(wrong)
	}

	other := strings.Repeat("0", 64)
	dir = written(t, "config.hcl", config(other), "etcd-1.2.tgz", string(archive))
	addresses, _, wrong = read(t, dir)
	if len(addresses) != 0 || !strings.HasPrefix(wrong, "config.hcl:3:12: error: Another archive\n") || !strings.Contains(wrong, sum) || strings.Count(wrong, other) != 2 {
		t.Errorf("%q\n%s", addresses, wrong)
	}

	dir = written(t, "config.hcl", config(fmt.Sprintf("%x", sha256.Sum256([]byte("text")))), "etcd-1.2.tgz", "text")
	if _, _, wrong = read(t, dir); !strings.Contains(wrong, "config.hcl:2:12: error: Invalid archive") || !strings.Contains(wrong, "not compressed by gzip") {
		t.Error(wrong)
	}
}

// It changes the environment, where the cache is.
func TestAnArchiveFromTheNetworkIsFetchedOnce(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	archive, sum := packed(t, "main.hcl", "source \"host\" \"x\" {}\n")
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch r.URL.Path {
		case "/a.tgz":
			w.Write(archive)
		case "/away.tgz":
			http.Redirect(w, r, "http://packs.example/a.tgz", http.StatusFound)
		case "/large.tgz":
			w.Write(make([]byte, 5<<20))
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	config := func(path, sum string) string {
		return fmt.Sprintf("pack \"a\" {\n  source = %q\n  sha256 = %q\n}\n", server.URL+path, sum)
	}
	for range 2 {
		if addresses, _, wrong := read(t, written(t, "config.hcl", config("/a.tgz", sum))); wrong != "" || !slices.Equal(addresses, []string{"pack.a.source.host.x"}) {
			t.Errorf("got %q\n%s", addresses, wrong)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the server was asked %d times", n)
	}
	for _, wrong := range [][3]string{
		{"/gone.tgz", sum[:63] + "x", "config.hcl:2:12: error: No such pack"}, {"/gone.tgz", strings.Repeat("1", 64), "404 Not Found"},
		{"/away.tgz", strings.Repeat("2", 64), "it leads to http://packs.example/a.tgz, which is not fetched"}, {"/large.tgz", strings.Repeat("3", 64), "larger than 4 MiB"},
		{"/a.tgz", strings.Repeat("4", 64), "Another archive"},
	} {
		if addresses, _, got := read(t, written(t, "config.hcl", config(wrong[0], wrong[1]))); len(addresses) != 0 || !strings.Contains(got, wrong[2]) || strings.Count(got, "error:") != 1 {
			t.Errorf("%q\n%s", addresses, got)
		}
	}
	off := written(t, "config.hcl", strings.Replace(config("/gone.tgz", sum), "{", "{\n  enabled = false", 1))
	if _, _, wrong := read(t, off); wrong != "" {
		t.Error(wrong)
	}
}

func TestPacksThatAreNotThereAreSaidAtTheirPlace(t *testing.T) {
	t.Parallel()
	dir := written(t, "config.hcl", "pack \"a\" { source = \"./nowhere\" }\npack \"b\" { source = \"./file\" }\npack \"c\" { source = \"./empty\" }\n", "file", "x", "empty/README.md", "")
	_, _, wrong := read(t, dir)
	for _, want := range []string{
		"config.hcl:1:21: error: No such pack", "./nowhere cannot be read: there is none.", "./file cannot be read: it is a file",
		"config.hcl:3:21: error: No such pack", "is a directory without *.hcl files",
	} {
		if !strings.Contains(wrong, want) {
			t.Errorf("%q is not said:\n%s", want, wrong)
		}
	}
}

// What a pack makes is bounded as a whole, however often it is brought in.
func TestPacksInPacksAreBounded(t *testing.T) {
	t.Parallel()
	files := []string{"config.hcl", "pack \"p\" {\n  for_each = toset([for i in range(100) : tostring(i)])\n  source   = \"./p1\"\n}\n"}
	for i := 1; i <= 6; i++ {
		files = append(files, fmt.Sprintf("p%d/main.hcl", i), fmt.Sprintf("source \"host\" \"h\" { for_each = toset([for i in range(30) : tostring(i)]) }\npack \"p\" {\n  for_each = toset([\"a\", \"b\", \"c\"])\n  source   = \"../p%d\"\n}\n", i+1))
	}
	addresses, _, wrong := read(t, written(t, files...))
	if len(addresses) > 6000 || !strings.Contains(wrong, "Too many blocks") {
		t.Errorf("%d blocks\n%.2000s", len(addresses), wrong)
	}
	deep := []string{"config.hcl", `pack "p" { source = "./p1" }`}
	for i := 1; i <= 6; i++ {
		deep = append(deep, fmt.Sprintf("p%d/main.hcl", i), fmt.Sprintf("pack \"p\" { source = \"../p%d\" }", i+1))
	}
	if _, _, wrong := read(t, written(t, deep...)); !strings.Contains(wrong, "Packs are at most 4 deep in each other.") || strings.Count(wrong, "error:") != 1 {
		t.Error(wrong)
	}
}
