package language

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
)

type entry struct {
	name, text string
	kind       byte // 0: a file
}

func tarball(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.text)), Typeflag: tar.TypeReg}
		if e.kind != 0 {
			h.Typeflag, h.Linkname, h.Size = e.kind, e.text, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if e.kind == 0 {
			if _, err := w.Write([]byte(e.text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipped(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(0o644)
		if e.kind == tar.TypeSymlink {
			h.SetMode(0o777 | 1<<27) // fs.ModeSymlink
		}
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = f.Write([]byte(e.text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestArchivesGiveTheFilesOfAPack(t *testing.T) {
	t.Parallel()
	entries := []entry{
		{"etcd-1.2/", "", tar.TypeDir}, {"etcd-1.2/main.hcl", "a", 0}, {"etcd-1.2/rules/a.yml", "b", 0}, {"etcd-1.2/dashboards/d.json", "c", 0},
		{"etcd-1.2/README.md", "d", 0}, {"etcd-1.2/.hidden.hcl", "e", 0}, {"etcd-1.2/my.vars.hcl", "f", 0}, {"etcd-1.2/x.hcl.json", "{}", 0},
	}
	for name, archive := range map[string][]byte{"p.tgz": tarball(t, entries...), "p.zip": zipped(t, entries[1:]...)} {
		files, err := OpenArchive("packs/"+name, archive)
		if err != nil {
			t.Fatal(name, err)
		}
		var names []string
		for _, f := range files {
			names = append(names, f.Name)
		}
		if got, want := strings.Join(names, " "), strings.ReplaceAll("packs/X/dashboards/d.json packs/X/main.hcl packs/X/rules/a.yml packs/X/x.hcl.json", "X", name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	flat, err := OpenArchive("p.tgz", tarball(t, entry{"./main.hcl", "a", 0}, entry{"inner/main.hcl", "b", 0}))
	if err != nil || len(flat) != 2 || flat[1].Name != "p.tgz/main.hcl" {
		t.Errorf("%v %v", flat, err)
	}
}

func TestArchivesThatReachOutOrAreTooLargeAreRefused(t *testing.T) {
	t.Parallel()
	many := make([]entry, maxEntries+1)
	for i := range many {
		many[i] = entry{fmt.Sprintf("d/%d.hcl", i), "", 0}
	}
	large := entry{"d/large.hcl", strings.Repeat("a", maxUnpacked+1), 0}
	for want, archive := range map[string][]byte{
		`"../a.hcl" in it is refused`:         tarball(t, entry{"../a.hcl", "", 0}),
		`"a/../../b.hcl" in it is refused`:    tarball(t, entry{"a/../../b.hcl", "", 0}),
		`"/etc/a.hcl" in it is refused`:       tarball(t, entry{"/etc/a.hcl", "", 0}),
		`"a\\b.hcl" in it is refused`:         tarball(t, entry{`a\b.hcl`, "", 0}),
		`"link" is neither`:                   tarball(t, entry{"link", "/etc/passwd", tar.TypeSymlink}),
		`"hard" is neither`:                   tarball(t, entry{"hard", "a", tar.TypeLink}),
		`"fifo" is neither`:                   tarball(t, entry{"fifo", "", tar.TypeFifo}),
		`it holds "a.hcl" twice`:              tarball(t, entry{"a.hcl", "1", 0}, entry{"a.hcl", "2", 0}),
		"more than 1000 entries":              tarball(t, many...),
		"unpacks to more than 16 MiB":         tarball(t, large),
		"it holds no files":                   tarball(t),
		"not compressed by gzip":              []byte("hello"),
		"damaged, or unpacks to more":         tarball(t, entry{"a.hcl", strings.Repeat("x", 10_000), 0})[:60],
		"at most 4 MiB":                       make([]byte, maxArchive+1),
		`zip: "../a.hcl" in it is refused`:    zipped(t, entry{"../a.hcl", "", 0}),
		`zip: "link" is neither`:              zipped(t, entry{"link", "/etc/passwd", tar.TypeSymlink}),
		"zip: unpacks to more than 16 MiB":    zipped(t, large),
		"zip: it is damaged":                  []byte("PK"),
		"zip: it holds more than 1000 entrie": zipped(t, many...),
	} {
		name := "p.tgz"
		said, isZip := strings.CutPrefix(want, "zip: ")
		if isZip {
			name = "p.zip"
		}
		if files, err := OpenArchive(name, archive); err == nil || !strings.Contains(err.Error(), said) {
			t.Errorf("%s: got %v, %d files", want, err, len(files))
		}
	}
}

// Whatever an archive is: no panic, no name that leads out of it, and no more than the bounds.
func FuzzArchive(f *testing.F) {
	f.Add(tarball(f, entry{"a/main.hcl", "source \"host\" \"a\" {}", 0}, entry{"a/rules/x.yml", "groups: []", 0}), false)
	f.Add(tarball(f, entry{"../main.hcl", "", 0}, entry{"l", "x", tar.TypeSymlink}), false)
	f.Add(zipped(f, entry{"a/main.hcl", "source \"host\" \"a\" {}", 0}, entry{"a/d.json", "{}", 0}), true)
	f.Fuzz(func(t *testing.T, archive []byte, isZip bool) {
		name := "packs/p.tgz"
		if isZip {
			name = "packs/p.zip"
		}
		files, err := OpenArchive(name, archive)
		if err != nil && files != nil {
			t.Errorf("%d files, and %v", len(files), err)
		}
		total := 0
		for _, file := range files {
			if total += len(file.Bytes); !strings.HasPrefix(file.Name, name+"/") || strings.Contains(file.Name, "..") && strings.Contains(file.Name, "/../") {
				t.Errorf("%q", file.Name)
			}
		}
		if total > maxUnpacked || len(files) > maxEntries {
			t.Errorf("%d bytes in %d files", total, len(files))
		}
	})
}
