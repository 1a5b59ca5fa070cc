package language

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// What an archive may be. Nobody knows who made it: what it unpacks to is bounded while it is unpacked, whatever it says of itself.
const (
	maxArchive  = 4 << 20  // bytes as it comes
	maxUnpacked = 16 << 20 // bytes of all files in it
	maxEntries  = 1000     // files and directories
)

// OpenArchive gives the files of a pack in an archive, name.tar.gz, .tgz or .zip, as sources below its name: those that a pack can have, which are *.hcl,
// *.hcl.json, rule files and *.json. A directory that holds everything, as in archives of releases, is left out of the names.
func OpenArchive(name string, archive []byte) (files []Source, err error) {
	if len(archive) > maxArchive {
		return nil, fmt.Errorf("an archive has at most %d MiB", maxArchive>>20)
	}
	u := &unpacking{seen: map[string]bool{}}
	if strings.HasSuffix(name, ".zip") {
		err = u.zip(archive)
	} else {
		err = u.tar(archive)
	}
	if err != nil {
		return nil, err
	}
	if len(u.files) == 0 {
		return nil, errors.New("it holds no files")
	}
	top, _, _ := strings.Cut(u.files[0].Name, "/")
	alone := !slices.ContainsFunc(u.files, func(f Source) bool { return !strings.HasPrefix(f.Name, top+"/") })
	for _, f := range u.files {
		if alone {
			f.Name = strings.TrimPrefix(f.Name, top+"/")
		}
		if base := path.Base(f.Name); !strings.HasPrefix(base, ".") && (strings.HasSuffix(base, ".hcl") || IsRuleFile(base) || isDashboard(base) || strings.HasSuffix(base, ".hcl.json")) && !isValues(base) {
			files = append(files, Source{Name: filepath.Join(name, filepath.FromSlash(f.Name)), Bytes: f.Bytes})
		}
	}
	slices.SortFunc(files, func(a, b Source) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

type unpacking struct {
	files   []Source
	seen    map[string]bool
	entries int
	bytes   int64
}

func (u *unpacking) tar(archive []byte) error {
	unzipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return fmt.Errorf("it is not compressed by gzip: %w", err)
	}
	in := tar.NewReader(&io.LimitedReader{R: unzipped, N: maxUnpacked + 1024*maxEntries}) // with the headers
	for {
		h, err := in.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("it is damaged, or unpacks to more than %d MiB: %w", maxUnpacked>>20, err)
		}
		switch h.Typeflag {
		case tar.TypeReg:
			err = u.file(h.Name, in)
		case tar.TypeDir:
			err = u.entry(h.Name)
		case tar.TypeXGlobalHeader: // what git writes
		default:
			err = fmt.Errorf("%q is neither a file nor a directory: links and devices are refused", shortly(h.Name))
		}
		if err != nil {
			return err
		}
	}
}

func (u *unpacking) zip(archive []byte) error {
	in, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return fmt.Errorf("it is damaged: %w", err)
	}
	if len(in.File) > maxEntries {
		return fmt.Errorf("it holds more than %d entries", maxEntries)
	}
	for _, f := range in.File {
		mode := f.Mode()
		switch {
		case mode.IsDir():
			err = u.entry(f.Name)
		case !mode.IsRegular():
			err = fmt.Errorf("%q is neither a file nor a directory: links and devices are refused", shortly(f.Name))
		default:
			var content io.ReadCloser
			if content, err = f.Open(); err == nil {
				err = errors.Join(u.file(f.Name, content), content.Close())
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// entry checks the name of a file or directory.
func (u *unpacking) entry(name string) error {
	if u.entries++; u.entries > maxEntries {
		return fmt.Errorf("it holds more than %d entries", maxEntries)
	}
	clean := strings.TrimSuffix(strings.TrimPrefix(name, "./"), "/")
	if clean == "" || clean == "." {
		return nil
	}
	if path.IsAbs(clean) || path.Clean(clean) != clean || clean == ".." || strings.HasPrefix(clean, "../") || strings.ContainsAny(clean, "\\:\x00\n\r") || len(clean) > 400 {
		return fmt.Errorf("the name %q in it is refused: names are relative and simple, without .. and \\", shortly(name))
	}
	return nil
}

func (u *unpacking) file(name string, content io.Reader) error {
	if err := u.entry(name); err != nil {
		return err
	}
	name = strings.TrimPrefix(name, "./")
	if name == "" || strings.HasSuffix(name, "/") {
		return fmt.Errorf("the name %q in it is refused: it is none of a file", shortly(name))
	}
	if u.seen[name] {
		return fmt.Errorf("it holds %q twice", shortly(name))
	}
	u.seen[name] = true
	b, err := io.ReadAll(io.LimitReader(content, maxUnpacked-u.bytes+1))
	if err != nil {
		return fmt.Errorf("%q in it is damaged: %w", shortly(name), err)
	}
	if u.bytes += int64(len(b)); u.bytes > maxUnpacked {
		return fmt.Errorf("it unpacks to more than %d MiB", maxUnpacked>>20)
	}
	u.files = append(u.files, Source{Name: name, Bytes: b})
	return nil
}

func shortly(name string) string {
	if len(name) > 80 {
		return strings.ToValidUTF8(name[:80], "") + "…"
	}
	return name
}
