package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed dist/index.html dist/licenses.md dist/assets
var dist embed.FS

// assets are the files of the page, held in memory as they are sent.
type assets struct {
	files map[string]*file // by path below the mount, without the leading slash
}

// file is one file of the page in both of its forms.
type file struct {
	contentType string
	cache       string
	etag        string // of the plain form, without quotes
	plain       []byte
	gzipped     []byte // nil if it would not be smaller
}

// page is the one document; everything else belongs to it.
const page = "index.html"

// loadAssets reads and compresses the files below dist/ (about 1 MB; it takes some 60 ms).
func loadAssets(from fs.FS) (*assets, error) {
	a := &assets{files: map[string]*file{}}
	err := fs.WalkDir(from, "dist", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		name = strings.TrimPrefix(name, "dist/")
		f, err := newFile(name, content)
		a.files[name] = f
		return err
	})
	if err == nil && a.files[page] == nil {
		err = fmt.Errorf("the plugin was built without its page: run `npm ci && npm run build` in plugins/console/ui, then build it again")
	}
	return a, err
}

// contentTypes are those of the files that the build makes. They are not left to the machine's MIME tables: with nosniff a
// wrong one is a page that does not start.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".svg":  "image/svg+xml",
	".md":   "text/plain; charset=utf-8",
}

func newFile(name string, content []byte) (*file, error) {
	sum := sha256.Sum256(content)
	f := &file{contentType: contentTypes[path.Ext(name)], cache: "no-cache", etag: hex.EncodeToString(sum[:12]), plain: content}
	if f.contentType == "" {
		return nil, fmt.Errorf("%s: no content type is known for its extension", name)
	}
	if strings.HasPrefix(name, "assets/") { // the name holds a hash of the content
		f.cache = "public, max-age=31536000, immutable"
	}
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if b.Len() < len(content) {
		f.gzipped = b.Bytes()
	}
	return f, nil
}

// policy is the page's Content-Security-Policy: scripts, data and images from the daemon alone. Styles may be inline, since
// Mantine and CodeMirror make them at run time; images may be data:, as in the editor's underlines.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// ServeHTTP serves the page at the mount itself and its files below. The tabs are in the query string, so every other path
// is a mistake and answered with 404.
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "the console only shows: use GET", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/") // the mount's prefix was stripped, with or without its slash
	if name == "" {
		name = page
	}
	f := a.files[name]
	if f == nil {
		http.Error(w, "the console has no such page; it is at /", http.StatusNotFound)
		return
	}
	f.serve(w, r)
}

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", f.cache)
	h.Set("Vary", "Accept-Encoding")
	content, etag := f.plain, f.etag
	if f.gzipped != nil && acceptsGzip(r.Header.Values("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		content, etag = f.gzipped, etag+"-gz" // another form, another tag
	}
	h.Set("ETag", `"`+etag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// acceptsGzip reads Accept-Encoding (RFC 9110, 12.5.3): gzip, x-gzip or *, unless its weight is zero.
func acceptsGzip(values []string) bool {
	other := false
	for coding := range strings.SplitSeq(strings.Join(values, ","), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		_, q, weighted := strings.Cut(strings.ToLower(weight), "q=")
		wanted := !weighted || strings.Trim(q, " 0.") != ""
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "gzip", "x-gzip":
			return wanted
		case "*":
			other = wanted
		}
	}
	return other
}
