package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/manual"
)

// readmes builds plugins as make does, asks them what they offer, and writes the manual of each beside its sources.
func readmes(names []string) error {
	var binaries []string
	for _, name := range names {
		binaries = append(binaries, "bin/plugins/"+name)
	}
	build := exec.Command("make", append([]string{"--no-print-directory"}, binaries...)...)
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("building the plugins: %w", err)
	}
	sockets, err := os.MkdirTemp("", "gen")
	if err != nil {
		return err
	}
	defer os.RemoveAll(sockets)
	for i, name := range names {
		if strings.HasPrefix(name, "magpie-") {
			if err := commandReadme(name); err != nil {
				return err
			}
			continue
		}
		d, err := client.Describe(context.Background(), client.Options{Path: binaries[i], SocketDir: sockets})
		if err != nil {
			return err
		}
		dir := filepath.Join("plugins", name)
		about, err := manual.PackageComment(dir)
		if err != nil {
			return err
		}
		if about == nil {
			return fmt.Errorf("%s has no package comment, which would be its manual", dir)
		}
		example, err := os.ReadFile(filepath.Join(dir, "example.hcl"))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "README.md"), []byte(manual.Markdown("make gen", d.Name, d.Types, d.Metrics, about, string(example))), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// commandReadme writes the manual of a command, a program beside the plugins: its package comment is all of it.
func commandReadme(name string) error {
	dir := filepath.Join("plugins", name)
	about, err := manual.PackageComment(dir)
	if err != nil {
		return err
	}
	if about == nil {
		return fmt.Errorf("%s has no package comment, which would be its manual", dir)
	}
	text := manual.Markdown("make gen", strings.Replace(name, "-", " ", 1), nil, nil, about, "")
	return os.WriteFile(filepath.Join(dir, "README.md"), []byte(text), 0o644)
}
