package language

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// maxPacks bounds how deep packs may be in each other.
const maxPacks = 4

// packText is what the files of a pack declare, whoever brings it in.
type packText struct {
	blocks  []*hcl.Block
	locals  map[string]*local
	partial bool // a file could not be parsed
	weight  int  // blocks that it makes each time, those in others too; a KiB is at least one
}

// ofPack are the arguments of a block pack that are none of its variables.
var ofPack = []string{"source", "sha256", "disable", "override", "enabled", "for_each"}

// notInPacks says why a block is not one of a pack.
var notInPacks = map[string]string{
	"daemon": "it is of the daemon as a whole", "http": "it is of the daemon as a whole", "buffer": "it is of the daemon as a whole",
	"route": "who is told of which alerts is for the configuration to say",
}

// IsArchive reports whether a source is a pack in one file, by its name.
func IsArchive(name string) bool {
	return slices.ContainsFunc([]string{".tar.gz", ".tgz", ".zip"}, func(end string) bool { return strings.HasSuffix(name, end) })
}

func isURL(source string) bool { return strings.Contains(source, "://") }

// packPlace is where a pack block's source is: a directory, an archive, or what an archive of that name was fetched from.
type packPlace struct {
	name   string // of the directory or the archive, as sources are named
	source string // as it is written
	sum    string
	at     hcl.Range // of source
	sumAt  hcl.Range
}

// place reads the source of a pack block, which must be plain: files are read before anything is evaluated.
func (c *Config) place(r *Report, b *hcl.Block) (p packPlace, ok bool) {
	body, _ := unmake(b.Body)
	content, _, _ := body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "source"}, {Name: "sha256"}}})
	text := func(name string) (string, hcl.Range, bool) {
		a := content.Attributes[name]
		if a == nil {
			return "", Header(b), true
		}
		at := a.Expr.Range()
		v, diags := a.Expr.Value(nil)
		if diags.HasErrors() || !IsText(v) || v.AsString() == "" {
			r.Error(at, "Not a plain text", "%s of a pack is a text without references: its files are read before anything is evaluated.", name)
			return "", at, false
		}
		return v.AsString(), at, true
	}
	if p.source, p.at, ok = text("source"); !ok {
		return p, false
	}
	if p.sum, p.sumAt, ok = text("sha256"); !ok {
		return p, false
	}
	u, err := url.Parse(p.source)
	switch {
	case p.source == "" && nearSource(body) != nil:
		a := nearSource(body)
		r.Error(a.NameRange, "Unknown argument", "%s has no argument %q. Did you mean \"source\"?", Title(b), a.Name)
		return p, false
	case p.source == "":
		r.Error(Header(b), "Missing argument", "%s needs source, the directory of the pack's files or an archive of them: source = \"./packs/%s\".", Title(b), b.Labels[0])
		return p, false
	case isURL(p.source) && (err != nil || u.Host == "" || !IsArchive(u.Path)):
		r.Error(p.at, "Invalid source", "A pack from the network is an archive: https://…/NAME.tar.gz, .tgz or .zip.")
		return p, false
	case isURL(p.source) && !mayFetch(u):
		r.Error(p.at, "Invalid source", "A pack is fetched over https only.")
		return p, false
	case isURL(p.source):
		p.name = filepath.Clean(u.Host + "/" + u.Path)
	default:
		if p.name, ok = c.beside(p.at.Filename, p.source); !ok {
			r.Error(p.at, "Outside of the archive", "What is in an archive names only what is in it too.")
			return p, false
		}
	}
	if archive := IsArchive(p.name); archive && p.sum == "" {
		r.Error(p.at, "Archive without its sha256", "A pack in an archive is pinned: write sha256 = \"…\", as sha256sum prints it.")
		return p, false
	} else if !archive && p.sum != "" {
		r.Error(p.sumAt, "Only for archives", "A directory has no sha256: remove it, or name an archive.")
		return p, false
	}
	return p, true
}

// nearSource is an argument that was probably meant to be source, nil if there is none.
func nearSource(body hcl.Body) (found *hcl.Attribute) {
	attrs, _ := body.JustAttributes()
	for _, name := range Sorted(attrs) {
		if Closest(name, []string{"source"}) != "" {
			return attrs[name]
		}
	}
	return nil
}

// beside is a path from where a file is. false: the file is of an archive, and the path leaves that.
func (c *Config) beside(file, path string) (string, bool) {
	name := path
	if !filepath.IsAbs(path) {
		name = filepath.Join(filepath.Dir(file), path)
	}
	archive := c.archiveOf(file)
	return name, archive == "" || name == archive || strings.HasPrefix(name, archive+string(filepath.Separator))
}

// archiveOf is the archive that a file was in, "" if none. c may be nil.
func (c *Config) archiveOf(file string) string {
	for dir := filepath.Dir(file); c != nil && dir != "." && dir != string(filepath.Separator); dir = filepath.Dir(dir) {
		if c.opened[dir] {
			return dir
		}
	}
	return ""
}

// findPacks reads what pack blocks bring in, and notes it for what is said of those files. Archives are opened here.
func (c *Config) findPacks(r *Report, blocks []*hcl.Block, depth int) {
	for _, b := range blocks {
		if b.Type != "pack" {
			continue
		}
		p, ok := c.place(r, b)
		if !ok || depth > maxPacks {
			continue
		}
		if archive, found := c.archives[p.name]; found && !c.checkSum(r, p, archive) {
			continue
		} else if found && !c.opened[p.name] {
			c.opened[p.name] = true
			files, err := OpenArchive(p.name, archive)
			if err != nil {
				r.Error(p.at, "Invalid archive", "%s: %s.", p.name, err)
			}
			for _, f := range files {
				c.add(r, f)
			}
		}
		if c.broughtBy[p.name] == nil {
			c.broughtBy[p.name] = b
			if text := c.packs[p.name]; text != nil {
				c.findPacks(r, text.blocks, depth+1)
			}
		}
		if c.packs[p.name] == nil && c.problems[p.name] == "" && !c.opened[p.name] {
			c.missing = append(c.missing, p)
		}
	}
}

// otherArchive is the problem of an archive whose sha256 is not what was written.
const otherArchive = "its sha256 differs"

func (c *Config) checkSum(r *Report, p packPlace, archive []byte) bool {
	got := sha256.Sum256(archive)
	if strings.EqualFold(p.sum, hex.EncodeToString(got[:])) {
		return true
	}
	r.Error(p.sumAt, "Another archive", "%s has the sha256\n  %x, and this says\n  %s. If it was replaced on purpose, look at what changed and write the new one.", p.name, got, p.sum)
	c.problems[p.name] = cmp.Or(c.problems[p.name], otherArchive)
	return false
}

// textOf is what the files of a directory other than the configuration's own declare.
func (c *Config) textOf(dir string) *packText {
	t := c.packs[dir]
	if t == nil {
		t = &packText{locals: map[string]*local{}}
		c.packs[dir] = t
	}
	return t
}

// collectPack sorts the blocks at the top of a pack's file.
func (c *Config) collectPack(r *Report, dir string, body hcl.Body, src []byte) {
	t := c.textOf(dir)
	t.weight += max(blocksIn(body, src), len(src)>>10)
	all := c.sorted(r, body, t.locals)
	for _, b := range all {
		if why, refused := notInPacks[b.Type]; refused {
			r.Error(Header(b), "Not in a pack", "A pack has no block %s: %s.", b.Type, why)
			continue
		}
		t.blocks = append(t.blocks, b)
	}
	for _, name := range ofPack {
		if l := t.locals["var."+name]; l != nil {
			r.Error(l.at, "Reserved name", "A variable of a pack cannot be called %s, which is an argument of every pack block.", name)
			delete(t.locals, "var."+name)
		}
	}
}

// blocksIn counts the blocks of a file, as far as JSON tells them.
func blocksIn(body hcl.Body, src []byte) (n int) {
	native, ok := body.(*hclsyntax.Body)
	if !ok {
		return bytes.Count(src, []byte("{")) / 2
	}
	for _, b := range native.Blocks {
		n += 1 + blocksIn(b.Body, nil)
	}
	return n
}

// fromPack says of a file of a pack who brings that in, "" of the configuration's own files.
func (c *Config) fromPack(file string) string {
	if filepath.Dir(file) == c.own {
		return ""
	}
	for dir := filepath.Dir(file); ; dir = filepath.Dir(dir) {
		if b := c.broughtBy[dir]; b != nil {
			return fmt.Sprintf("(Brought in by %s at %s.)", Title(b), Place(Header(b)))
		}
		if dir == "." || dir == string(filepath.Separator) {
			return ""
		}
	}
}
