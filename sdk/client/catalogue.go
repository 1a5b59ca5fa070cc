package client

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Plugin is a binary in a plugin directory and what it says that it offers.
type Plugin struct {
	Name   string `json:"name"` // of the file
	Path   string `json:"path"`
	SHA256 string `json:"sha256,omitempty"`
	Description
	Err error `json:"-"` // it could not be described
}

// Catalogue knows the plugins in some directories. What a binary offers is asked once and kept under the binary's hash.
type Catalogue struct {
	Dirs  []string // the first one that has a name wins
	Cache string   // a directory; "": nothing is kept
	Env   []string
	Run   string // for sockets

	mu      sync.Mutex
	seen    map[string]Plugin   // by path and the file's identity
	reports map[string]reported // by path
	hashes  hashes
}

// Plugins lists all plugins by name. Unknown binaries are started, several at a time, and asked.
func (c *Catalogue) Plugins(ctx context.Context) ([]Plugin, error) {
	paths, err := c.find()
	if err != nil {
		return nil, err
	}
	plugins := make([]Plugin, len(paths))
	limit := make(chan struct{}, 8)
	var asking sync.WaitGroup
	for i, path := range paths {
		asking.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			plugins[i] = c.describe(ctx, path)
		})
	}
	asking.Wait()
	there := map[string]bool{}
	for _, path := range paths {
		there[path] = true
	}
	c.hashes.save(c.Cache, there)
	return plugins, ctx.Err()
}

// find lists the executables, sorted by name.
func (c *Catalogue) find() (paths []string, err error) {
	names := map[string]bool{}
	for _, dir := range c.Dirs {
		entries, err := os.ReadDir(dir)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("plugin directory: %w", err)
		}
		for _, e := range entries {
			info, err := os.Stat(filepath.Join(dir, e.Name()))
			if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 || strings.HasPrefix(e.Name(), "magpie-") || strings.HasSuffix(e.Name(), VerifiedSuffix) || names[e.Name()] {
				continue
			}
			names[e.Name()] = true
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	slices.SortFunc(paths, func(a, b string) int { return strings.Compare(filepath.Base(a), filepath.Base(b)) })
	return paths, nil
}

func (c *Catalogue) describe(ctx context.Context, path string) Plugin {
	p := Plugin{Name: filepath.Base(path), Path: path}
	info, err := os.Stat(path)
	if err != nil {
		p.Err = err
		return p
	}
	identity, _ := identify(info)
	identity = path + " " + identity
	c.mu.Lock()
	known, ok := c.seen[identity]
	c.mu.Unlock()
	if ok {
		return known
	}
	if p.SHA256, p.Err = c.hashes.of(c.Cache, path, info); p.Err == nil && !c.load(&p) {
		p.Description, p.Err = Describe(ctx, Options{Path: path, Env: c.Env, SocketDir: c.Run})
		if p.Err == nil {
			c.save(&p)
		}
	}
	if p.Err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.seen == nil {
			c.seen = map[string]Plugin{}
		}
		c.seen[identity] = p
	}
	return p
}

// Describe starts a plugin to ask what it offers, and ends it.
func Describe(ctx context.Context, o Options) (d Description, err error) {
	process, err := Launch(ctx, o)
	if err != nil {
		return d, err
	}
	defer process.Stop(ctx)
	described, err := process.Describe(ctx)
	if err != nil {
		return d, fmt.Errorf("plugin %s does not say what it offers: %w", filepath.Base(o.Path), err)
	}
	return *described, nil
}

// cached is the file under a binary's hash; the SDK's version of the format is part of the name.
func (c *Catalogue) cached(p *Plugin) string {
	return filepath.Join(c.Cache, "describe-3-"+p.SHA256+".json")
}

func (c *Catalogue) load(p *Plugin) bool {
	if c.Cache == "" {
		return false
	}
	b, err := os.ReadFile(c.cached(p))
	return err == nil && json.Unmarshal(b, &p.Description) == nil && p.Description.Name != ""
}

// save keeps a description; a cache that cannot be written costs time only.
func (c *Catalogue) save(p *Plugin) {
	if c.Cache == "" || os.MkdirAll(c.Cache, 0o700) != nil {
		return
	}
	b, err := json.Marshal(p.Description)
	if err != nil {
		return
	}
	writeFile(c.cached(p), b)
}
