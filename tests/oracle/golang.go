package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"strconv"
)

// parseGo parses Args.Source as one Go file. The answer lists its top-level
// declarations and the values of its string literals in order, and whether gofmt
// would leave it alone: {"declarations": […], "strings": […], "formatted": bool}.
func parseGo(raw json.RawMessage) (any, error) {
	var args struct {
		Source string `json:"source"`
	}
	if err := json.Unmarshal(raw, &args); err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "source.go", args.Source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	formatted, err := format.Source([]byte(args.Source))
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"package":      file.Name.Name,
		"declarations": declarations(file),
		"strings":      literals(file),
		"formatted":    string(formatted) == args.Source,
	}, nil
}

// declarations names what a file declares: "type T", "const C", "func (T) M".
func declarations(file *ast.File) []string {
	names := []string{}
	for _, decl := range file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Recv != nil && len(decl.Recv.List) == 1 {
				names = append(names, fmt.Sprintf("func (%s) %s", receiver(decl.Recv.List[0].Type), decl.Name.Name))
			} else {
				names = append(names, "func "+decl.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				switch spec := spec.(type) {
				case *ast.ImportSpec:
					names = append(names, "import "+spec.Path.Value)
				case *ast.TypeSpec:
					names = append(names, "type "+spec.Name.Name)
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						names = append(names, decl.Tok.String()+" "+name.Name)
					}
				}
			}
		}
	}
	return names
}

// literals lists the values of a file's string literals outside of imports.
func literals(file *ast.File) []string {
	values := []string{}
	ast.Inspect(file, func(node ast.Node) bool {
		if _, isImport := node.(*ast.ImportSpec); isImport {
			return false
		}
		if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if value, err := strconv.Unquote(literal.Value); err == nil {
				values = append(values, value)
			}
		}
		return true
	})
	return values
}

// receiver is the name of a method's receiver type, without its pointer.
func receiver(expr ast.Expr) string {
	if star, ok := expr.(*ast.StarExpr); ok {
		expr = star.X
	}
	if ident, ok := expr.(*ast.Ident); ok {
		return ident.Name
	}
	return "?"
}
