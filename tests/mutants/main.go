// Command mutants puts mutants of Go functions beside the functions, in the same files: what
// the environment variable MUTANT numbers when the program starts is what runs. One build
// serves all of them (mutant schemata).
//
// It reads the mutants of each file from standard input, as JSON, and writes the new texts of
// the files, and the numbers of the mutants that need builds of their own, since what they
// change is not inside a function.
package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mutant is one change of a file: Find, which is there once, becomes Replace.
type mutant struct {
	Number  int    `json:"number"`
	Find    string `json:"find"`
	Replace string `json:"replace"`
}

// request is what is read from standard input: a folder, and the mutants by the paths of
// files below it.
type request struct {
	Folder  string              `json:"folder"`
	Mutants map[string][]mutant `json:"mutants"`
}

// answer is what is written to standard output.
type answer struct {
	Sources map[string]string `json:"sources"`
	Alone   []int             `json:"alone"`
}

func main() {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// serve answers the one request of in.
func serve(in io.Reader, out io.Writer) error {
	var asked request
	if err := json.NewDecoder(in).Decode(&asked); err != nil {
		return fmt.Errorf("reading the request: %w", err)
	}
	result := answer{Sources: map[string]string{}, Alone: []int{}}
	for i, name := range slices.Sorted(maps.Keys(asked.Mutants)) {
		path := filepath.Join(asked.Folder, name)
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text, alone, err := embed(path, string(source), fmt.Sprintf("mutantChosen%d", i), asked.Mutants[name])
		if err != nil {
			return err
		}
		result.Sources[name] = text
		result.Alone = append(result.Alone, alone...)
	}
	return json.NewEncoder(out).Encode(result)
}

// embed returns the source with the mutants in it, and the numbers of those that are not.
// The chosen one is in a variable of that name, which no other file of the package has.
func embed(path, source, chosen string, mutants []mutant) (string, []int, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, source, parser.SkipObjectResolution)
	if err != nil {
		return "", nil, err
	}
	place := func(pos token.Pos) token.Position { return files.PositionFor(pos, false) }
	var alone []int
	changed := map[*ast.BlockStmt][]variant{}
	all := bodies(file)
	for _, m := range mutants {
		from, to, replace := smallest(source, m)
		i := slices.IndexFunc(all, func(body *ast.BlockStmt) bool {
			return place(body.Lbrace).Offset < from && to <= place(body.Rbrace).Offset
		})
		if i < 0 {
			alone = append(alone, m.Number)
			continue
		}
		text := source[place(all[i].Lbrace).Offset+1:from] + replace + source[to:place(all[i].Rbrace).Offset]
		if !isBody(text) {
			alone = append(alone, m.Number)
			continue
		}
		changed[all[i]] = append(changed[all[i]], variant{m.Number, text})
	}

	var out strings.Builder
	name := place(file.Name.End()).Offset
	fmt.Fprintf(&out, `%s; import mutantos "os"%s`, source[:name], line(place(file.Name.End())))
	written := name
	for _, body := range all {
		variants := changed[body]
		if len(variants) == 0 {
			continue
		}
		begin, end, next := place(body.Lbrace+1), place(body.Rbrace), place(body.Rbrace+1)
		out.WriteString(source[written:begin.Offset])
		out.WriteString(choice(chosen, variants, line(begin)+source[begin.Offset:end.Offset]))
		out.WriteString(line(next))
		written = next.Offset
	}
	fmt.Fprintf(&out, "%s\nvar %s = mutantos.Getenv(\"MUTANT\")\n", source[written:], chosen)
	return out.String(), alone, nil
}

// variant is what is between the braces of a function in a mutant.
type variant struct {
	number int
	body   string
}

// choice runs the chosen one of the variants, or else the original, and closes the function.
// It ends as its branches do, so that a mutant without a return at its end does not compile.
// In the compiler's messages the lines of a mutant are in a file of its name, and the last
// brace, where a return is missed, is in a file with the names of all.
func choice(chosen string, variants []variant, original string) string {
	var out, names strings.Builder
	for _, v := range variants {
		fmt.Fprintf(&out, "if %s == \"%d\" {/*line mutant-%d.go:1*/%s} else ", chosen, v.number, v.number, v.body)
		fmt.Fprintf(&names, "mutant-%d.go ", v.number)
	}
	fmt.Fprintf(&out, "{%s}/*line %s:1*/}", original, strings.TrimSpace(names.String()))
	return out.String()
}

// line lets what follows be at its original place for the compiler.
func line(at token.Position) string {
	return fmt.Sprintf("/*line %s:%d:%d*/", at.Filename, at.Line, at.Column)
}

// bodies lists the functions of a file that are in no other function, in their order.
func bodies(file *ast.File) []*ast.BlockStmt {
	var found []*ast.BlockStmt
	ast.Inspect(file, func(node ast.Node) bool {
		var body *ast.BlockStmt
		switch node := node.(type) {
		case *ast.FuncDecl:
			body = node.Body
		case *ast.FuncLit:
			body = node.Body
		}
		if body != nil {
			found = append(found, body)
		}
		return body == nil
	})
	return found
}

// smallest returns where a mutant changes the source, and into what, without the text at
// both ends that it leaves alone.
func smallest(source string, m mutant) (from, to int, replace string) {
	from = strings.Index(source, m.Find)
	to = from + len(m.Find)
	replace = m.Replace
	for from < to && replace != "" && source[from] == replace[0] {
		from, replace = from+1, replace[1:]
	}
	for from < to && replace != "" && source[to-1] == replace[len(replace)-1] {
		to, replace = to-1, replace[:len(replace)-1]
	}
	return from, to, replace
}

// isBody reports whether the text can be between the braces of a function.
func isBody(text string) bool {
	file, err := parser.ParseFile(token.NewFileSet(), "", "package p; func _() {"+text+"}", parser.SkipObjectResolution)
	return err == nil && len(file.Decls) == 1
}
