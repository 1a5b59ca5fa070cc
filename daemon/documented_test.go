package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// What other programs see is explained where it stands: every exported symbol of these packages, and of those that authors write
// against every field too.

var documented = map[string]bool{ // true: fields too
	"sdk": true, "sdk/serve": true, "sdk/plugintest": true,
	"sdk/verify": false, "sdk/client": false, "sdk/wire": false, "sdk/report": false, "sdk/template": false, "sdk/clock": false, "sdk/language": false,
}

func TestEveryExportedSymbolHasItsManual(t *testing.T) {
	for dir, fields := range documented {
		files, err := filepath.Glob(filepath.Join("..", dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", dir, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, file, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if ast.IsGenerated(f) {
				continue
			}
			for _, what := range undocumented(f, fields) {
				t.Errorf("%s: %s has no comment", set.Position(what.at), what.name)
			}
		}
	}
}

type symbol struct {
	name string
	at   token.Pos
}

// undocumented lists what a file exports without a word about it.
func undocumented(f *ast.File, fields bool) (list []symbol) {
	note := func(at token.Pos, format string, args ...any) {
		list = append(list, symbol{fmt.Sprintf(format, args...), at})
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			receiver := receiverOf(d)
			if d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver)) && d.Doc == nil && !obvious(d) {
				note(d.Pos(), "%s", strings.TrimPrefix(receiver+"."+d.Name.Name, "."))
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.ValueSpec:
					for _, n := range s.Names {
						if n.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
							note(n.Pos(), "%s", n.Name)
						}
					}
				case *ast.TypeSpec:
					if !s.Name.IsExported() {
						continue
					}
					if d.Doc == nil && s.Doc == nil {
						note(s.Pos(), "%s", s.Name.Name)
					}
					for _, field := range undocumentedFields(s.Type) {
						if fields && !regexp.MustCompile(`\b`+field.name+`\b`).MatchString(d.Doc.Text()+s.Doc.Text()) {
							note(field.at, "%s.%s", s.Name.Name, field.name)
						}
					}
				}
			}
		}
	}
	return list
}

// undocumentedFields are those of a struct without a comment or a doc tag, and the methods of an interface without one. The type's
// comment may name them in their place.
func undocumentedFields(of ast.Expr) (list []symbol) {
	var in *ast.FieldList
	switch x := of.(type) {
	case *ast.StructType:
		in = x.Fields
	case *ast.InterfaceType:
		if len(x.Methods.List) > 1 { // of a single method the type's comment speaks
			in = x.Methods
		}
	}
	if in == nil {
		return nil
	}
	for _, f := range in.List {
		if f.Doc != nil || f.Comment != nil || f.Tag != nil && reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("doc") != "" {
			continue
		}
		for _, n := range f.Names {
			if n.IsExported() {
				list = append(list, symbol{n.Name, n.Pos()})
			}
		}
	}
	return list
}

// receiverOf is the name of a method's type, "" of a function.
func receiverOf(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	name := d.Recv.List[0].Type
	for {
		switch x := name.(type) {
		case *ast.StarExpr:
			name = x.X
		case *ast.IndexExpr:
			name = x.X
		case *ast.IndexListExpr:
			name = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// obvious are the methods whose meaning every reader of Go knows.
func obvious(d *ast.FuncDecl) bool {
	return d.Recv != nil && (d.Name.Name == "Error" || d.Name.Name == "Unwrap")
}
