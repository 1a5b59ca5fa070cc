// Command gen writes what is generated and committed: the code of a .proto file beside it, with the generators pinned in
// go.mod as tools, so that nobody needs protoc; and the manuals of plugins, from their comments and what they say of
// themselves. For Python it writes a module with the descriptor of a .proto file. `make gen` runs it for all.
//
//	go run ./daemon/internal/gen DIR FILE.proto GENERATOR…
//	go run ./daemon/internal/gen -readme PLUGIN…
//	go run ./daemon/internal/gen -python DIR FILE.proto MODULE.py
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	args := os.Args[1:]
	var err error
	switch {
	case len(args) > 1 && args[0] == "-readme":
		err = readmes(args[1:])
	case len(args) == 4 && args[0] == "-python":
		err = pythonDescriptor(args[1], args[2], args[3])
	case len(args) > 2:
		err = generate(args[0], args[1], args[2:])
	default:
		fmt.Fprintln(os.Stderr, "usage: gen DIR FILE.proto GENERATOR…\n       gen -readme PLUGIN…\n       gen -python DIR FILE.proto MODULE.py")
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// compile reads a .proto file, with its comments or without.
func compile(dir, file string, comments protocompile.SourceInfoMode) (files []*descriptorpb.FileDescriptorProto, err error) {
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{dir}}),
		SourceInfoMode: comments,
	}
	compiled, err := compiler.Compile(context.Background(), file)
	for _, f := range compiled {
		files = append(files, protoutil.ProtoFromFileDescriptor(f))
	}
	return files, err
}

func generate(dir, file string, generators []string) error {
	files, err := compile(dir, file, protocompile.SourceInfoStandard)
	if err != nil {
		return err
	}
	for _, g := range generators {
		request, err := proto.Marshal(&pluginpb.CodeGeneratorRequest{
			FileToGenerate: []string{file}, Parameter: proto.String("paths=source_relative"), ProtoFile: files,
		})
		if err != nil {
			return err
		}
		cmd := exec.Command("go", "tool", g)
		cmd.Stdin, cmd.Stderr = bytes.NewReader(request), os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("%s: %w", g, err)
		}
		var response pluginpb.CodeGeneratorResponse
		if err := proto.Unmarshal(out, &response); err != nil {
			return err
		}
		if response.Error != nil {
			return fmt.Errorf("%s: %s", g, *response.Error)
		}
		for _, f := range response.File {
			path := filepath.Join(dir, f.GetName())
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(path, []byte(f.GetContent()), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}
