package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/diff"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/schemas"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/cmd/hermes-reconcile/view/page"
	"hermes-reconcile/engine/explain"
	"hermes-reconcile/engine/gatewaylog"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/engine/status"
	"hermes-reconcile/engine/watch"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego/bundle"
	"hermes-reconcile/rego/check"
	"hermes-reconcile/rego/workbench"
)

// documents has the Go type of each document whose schema is made here, and which commands print
// it.
var documents = map[string]struct {
	value    any
	commands string
}{
	"accepted":   {view.Accepted{}, "watch --accept"},
	"bundle":     {bundle.Info{}, "policy inspect, policy push"},
	"check":      {check.Report{}, "policy check"},
	"comparison": {explain.Comparison{}, "eval --compare"},
	"config":     {view.Configuration{}, "config show"},
	"costs":      {view.CostList{}, "policy bench"},
	"doctor":     {view.Diagnosis{}, "doctor"},
	"error":      {failure{}, "any command that fails, on standard error"},
	"events":     {ledger.Event{}, "events (each line)"},
	"explain":    {explain.Explanation{}, "explain"},
	"files":      {view.Files{}, "policy add, policy fmt, policy init"},
	"forgotten":  {view.Forgotten{}, "policy forget"},
	"log":        {ledger.History{}, "log"},
	"logs":       {gatewaylog.Line{}, "logs (each line)"},
	"match":      {workbench.Match{}, "explain --rule"},
	"page":       {page.Document{}, "report"},
	"recipes":    {view.RecipeList{}, "policy recipes"},
	"report":     {reconcile.Report{}, "apply, pause, register, release, restart, resume, start, stop, unregister"},
	"rescan":     {view.Rescan{}, "rescan"},
	"revision":   {view.AcceptedRevision{}, "policy accept"},
	"rules":      {view.RuleList{}, "policy show"},
	"status":     {status.Document{}, "status"},
	"tests":      {workbench.TestReport{}, "policy test"},
	"version":    {versions{}, "version"},
}

// The schemas are made from the Go types:
// `go test ./cmd/hermes-reconcile -run SchemaFiles -update` writes them.
func TestSchemaFiles(t *testing.T) {
	t.Parallel()
	for name, d := range documents {
		m := &schemaMaker{t: t, root: reflect.TypeOf(d.value), defs: map[string]any{}}
		upToDate(t, filepath.Join("schemas", name+".schema.json"), m.document(name, d.commands))
	}
	if files, err := filepath.Glob("schemas/*.schema.json"); err != nil || len(files) != len(documents) {
		t.Errorf("%d schemas, want %d: %v", len(files), len(documents), err)
	}
}

// upToDate wants a file to have a text, or writes it.
func upToDate(t *testing.T, file string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text := diff.Diff("want", want, file, have); len(text) > 0 {
		t.Errorf("stale, run: go test ./cmd/hermes-reconcile -run SchemaFiles -update\n%s", text)
	}
}

// A schemaMaker derives the JSON Schema of a document from its Go type, and the descriptions
// from the comments of its source.
type schemaMaker struct {
	t    *testing.T
	root reflect.Type
	defs map[string]any
}

func (m *schemaMaker) document(name, commands string) []byte {
	s := m.object(m.root)
	s["$schema"], s["title"] = "https://json-schema.org/draft/2020-12/schema", "hermes-reconcile "+name
	s["description"] = "Printed by: " + commands + "."
	if len(m.defs) > 0 {
		s["$defs"] = m.defs
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(s); err != nil {
		m.t.Fatal(err)
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n"))
}

// nullable are the maps and lists that are null when they are not known.
var nullable = map[string]bool{"Package.Contributed": true}

func (m *schemaMaker) of(t reflect.Type) map[string]any {
	switch t {
	case reflect.TypeFor[policy.Version]():
		return map[string]any{"const": policy.SchemaVersion}
	case reflect.TypeFor[policy.Maybe]():
		return map[string]any{"type": []string{"string", "null"}}
	case reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	}
	switch t.Kind() {
	case reflect.Interface:
		return map[string]any{}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Int, reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.String:
		if words := sourceOf(m.t, t).words[t.Name()]; len(words) > 0 {
			return map[string]any{"enum": words}
		}
		return map[string]any{"type": "string"}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": m.of(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": m.of(t.Elem())}
	case reflect.Pointer:
		return m.of(t.Elem())
	case reflect.Struct:
		name := strings.TrimPrefix(t.PkgPath(), "hermes-reconcile/") + "." + t.Name()
		name = strings.ReplaceAll(name, "/", ".")
		if _, known := m.defs[name]; !known {
			m.defs[name] = nil // it may have parts of its own kind
			m.defs[name] = m.object(t)
		}
		return map[string]any{"$ref": "#/$defs/" + name}
	}
	m.t.Fatalf("there is no schema of a %s", t)
	return nil
}

// object is the schema of a struct.
func (m *schemaMaker) object(t reflect.Type) map[string]any {
	properties := map[string]any{}
	required := m.fields(t, properties)
	s := map[string]any{"type": "object", "additionalProperties": false, "properties": properties, "required": required}
	if about := sourceOf(m.t, t).comments[t.Name()]; about != "" {
		s["description"] = about
	}
	return s
}

// fields adds the fields of a struct, and returns the names of those that are always there.
func (m *schemaMaker) fields(t reflect.Type, properties map[string]any) []string {
	required := []string{}
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-" || !field.IsExported():
			continue
		case field.Anonymous && name == "":
			required = append(required, m.fields(field.Type, properties)...)
			continue
		}
		s := m.of(field.Type)
		if options == "" {
			required = append(required, name)
			if field.Type.Kind() == reflect.Pointer || nullable[t.Name()+"."+field.Name] {
				s = map[string]any{"anyOf": []any{s, map[string]string{"type": "null"}}}
			}
		}
		if about := sourceOf(m.t, t).comments[t.Name()+"."+field.Name]; about != "" {
			s["description"] = about
		}
		properties[name] = s
	}
	return required
}

// A source is what the text of a package says of its types.
type source struct {
	comments map[string]string   // of types, and of fields as Type.Field
	words    map[string][]string // the constants of the types that are text
}

var sources = map[string]source{}

// sourceOf reads the package of a type.
func sourceOf(t *testing.T, of reflect.Type) source {
	t.Helper()
	if s, ok := sources[of.PkgPath()]; ok || of.PkgPath() == "" {
		return s
	}
	s := source{comments: map[string]string{}, words: map[string][]string{}}
	dir := filepath.Join("../..", strings.TrimPrefix(of.PkgPath(), "hermes-reconcile"))
	files, err := filepath.Glob(path.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no source of %s: %v", of, err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GenDecl:
				for _, spec := range n.Specs {
					if spec, ok := spec.(*ast.TypeSpec); ok {
						s.addType(spec, n.Doc)
					}
				}
			case *ast.ValueSpec:
				if kind, ok := n.Type.(*ast.Ident); ok && len(n.Values) == 1 {
					if literal, ok := n.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
						word, _ := strconv.Unquote(literal.Value)
						s.words[kind.Name] = append(s.words[kind.Name], word)
					}
				}
			}
			return true
		})
	}
	sources[of.PkgPath()] = s
	return s
}

func (s source) addType(spec *ast.TypeSpec, doc *ast.CommentGroup) {
	say := func(name string, groups ...*ast.CommentGroup) {
		for _, group := range groups {
			s.comments[name] = cmp.Or(s.comments[name], strings.Join(strings.Fields(group.Text()), " "))
		}
	}
	say(spec.Name.Name, spec.Doc, doc)
	if object, ok := spec.Type.(*ast.StructType); ok {
		for _, field := range object.Fields.List {
			for _, name := range field.Names {
				say(spec.Name.Name+"."+name.Name, field.Comment, field.Doc)
			}
		}
	}
}

// Each command prints with --output json what its schema says. The schemas allow no other key.
func TestEveryDocumentFitsItsSchema(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running", "writer=stopped")
	l.untilNow("coder", policy.NowUp)
	l.write("home/profiles/talker/SOUL.md", "", 0o644)
	l.write("home/logs/gateways/talker/current", "2026-11-22 06:00:12.871000000  hello\nwithout a time\n", 0o644)
	rules := filepath.Join(l.base, "rules")
	seen := map[string]bool{}
	try := func(document string, code int, command string, args ...string) {
		t.Helper()
		seen[document] = true
		var stdout, stderr strings.Builder
		words := slices.Concat(strings.Fields(command), args, l.places, []string{"-o", "json"})
		if have := run(t.Context(), words, strings.NewReader(""), &stdout, &stderr); have != code {
			t.Errorf("%s: exit %d, want %d\n%s%s", command, have, code, stdout.String(), stderr.String())
		}
		schema, err := schemas.Of(document)
		if err != nil {
			t.Fatal(err)
		}
		compiled := compileSchema(t, schema)
		text := stdout.String()
		if document == "error" {
			text = stderr.String()
		}
		decoder := json.NewDecoder(strings.NewReader(text))
		n := 0
		for ; decoder.More(); n++ {
			var one json.RawMessage
			if err := decoder.Decode(&one); err != nil {
				t.Fatalf("%s: %v in\n%s", command, err, text)
			}
			fits(t, compiled, one)
		}
		if n == 0 {
			t.Errorf("%s prints nothing", command)
		}
	}
	try("files", cli.ExitDone, "policy init", "--dry-run", rules)
	try("files", cli.ExitDone, "policy init", rules)
	try("files", cli.ExitDone, "policy add pin_up", rules)
	try("files", cli.ExitDone, "policy fmt --diff", rules)
	try("tests", cli.ExitDone, "policy test --coverage", rules)
	try("check", cli.ExitDone, "policy check", rules)
	try("rules", cli.ExitDone, "policy show")
	try("recipes", cli.ExitDone, "policy recipes")
	try("costs", cli.ExitDone, "policy bench --sizes 1,2")
	output(t, "policy", "build", rules, "-o", rules+".tar.gz")
	try("bundle", cli.ExitDone, "policy inspect", rules+".tar.gz")
	try("forgotten", cli.ExitDone, "policy forget --dry-run")
	try("comparison", cli.ExitDone, "eval --compare", "--policy", rules)
	try("decision", cli.ExitDone, "eval --dry-run")
	try("decision", cli.ExitDone, "apply --dry-run")
	try("input", cli.ExitDone, "facts")
	try("report", cli.ExitDone, "stop coder")
	try("report", cli.ExitDone, "start writer --dry-run")
	try("report", cli.ExitDone, "start writer")
	try("report", cli.ExitDone, "apply")
	try("status", cli.ExitDone, "status")
	try("page", cli.ExitDone, "report")
	try("explain", cli.ExitDone, "explain coder")
	try("match", cli.ExitDone, "explain coder --rule prior_intent")
	try("log", cli.ExitDone, "log --all")
	try("events", cli.ExitDone, "events")
	try("logs", cli.ExitDone, "logs talker")
	try("doctor", cli.ExitProfile, "doctor")
	try("config", cli.ExitDone, "config show")
	try("rescan", cli.ExitDone, "rescan --dry-run")
	try("version", cli.ExitDone, "version")
	try("decision", cli.ExitDone, "boot")
	l.write("run/"+watch.StateFile, `{"blocked":["coder"]}`, 0o600)
	try("accepted", cli.ExitDone, "watch --accept --dry-run")
	l.write("run/"+watch.BundlesFile, `[{"source":"oci://registry.example.com/policy:prod","refused":"41"}]`, 0o600)
	try("revision", cli.ExitDone, "policy accept 41 --dry-run")
	try("error", cli.ExitUsage, "explain nobody")
	for _, name := range schemas.Names() {
		if !seen[name] {
			t.Errorf("no command of this test prints %s", name)
		}
	}
}
