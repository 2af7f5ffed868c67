package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	godiff "github.com/google/go-cmp/cmp"

	"hermes-reconcile/policy"
)

// docs/input.md and docs/decision.md are made from the schemas:
// `go test ./cmd/hermes-reconcile -run ReferencePages -update` writes them.
func TestReferencePages(t *testing.T) {
	input, err := inputSchema()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"../../docs/input.md":    inputPage(t, decodeSchema(t, input), exampleFacts(t)),
		"../../docs/decision.md": decisionPage(t, decodeSchema(t, []byte(policy.DecisionSchema))),
	} {
		if *update {
			if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := godiff.Diff(want, string(have)); diff != "" {
			t.Errorf("%s is stale, run: go test ./cmd/hermes-reconcile -run ReferencePages -update (-want +have)\n%s", name, diff)
		}
	}
}

// A docSchema is what a page needs of a JSON Schema.
type docSchema struct {
	Type                 string               `json:"type"`
	Description          string               `json:"description"`
	WrittenBy            string               `json:"x-written-by"`
	Enum                 []string             `json:"enum"`
	Const                any                  `json:"const"`
	Format               string               `json:"format"`
	Minimum              *float64             `json:"minimum"`
	Ref                  string               `json:"$ref"`
	Required             []string             `json:"required"`
	Properties           map[string]docSchema `json:"properties"`
	Items                *docSchema           `json:"items"`
	AdditionalProperties json.RawMessage      `json:"additionalProperties"`
	Defs                 map[string]docSchema `json:"$defs"`
}

func decodeSchema(t *testing.T, text []byte) docSchema {
	t.Helper()
	var s docSchema
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// byName is the schema of the values of an object with any keys; nil where the keys
// are fixed.
func (s docSchema) byName(t *testing.T) *docSchema {
	t.Helper()
	if len(s.AdditionalProperties) == 0 || s.AdditionalProperties[0] != '{' {
		return nil
	}
	values := decodeSchema(t, s.AdditionalProperties)
	return &values
}

// kind names the type as a reader of Rego would.
func (s docSchema) kind(t *testing.T) string {
	t.Helper()
	switch values := s.byName(t); {
	case s.Ref != "":
		name := strings.TrimPrefix(s.Ref, "#/$defs/")
		return fmt.Sprintf("[%s](#%s)", name, name)
	case s.Items != nil:
		return "list of " + several(s.Items.kind(t))
	case values != nil && values.Type == "" && values.Ref == "" && values.Enum == nil:
		return "object" // of which nothing is known
	case values != nil:
		return several(values.kind(t)) + " by name"
	case s.Type == "" && s.Enum != nil:
		return "string"
	case s.Type == "" && s.Const != nil:
		return "integer"
	}
	return s.Type
}

// several is the plural of a kind.
func several(kind string) string {
	switch {
	case strings.HasSuffix(kind, ")"), strings.HasPrefix(kind, "list"):
		return kind
	case strings.HasSuffix(kind, " by name"):
		return "objects"
	}
	return kind + "s"
}

// A docRow is one line of a table: a place in a document, and what is there.
type docRow struct {
	path   string
	schema docSchema
	always bool // required by the schema
}

// rows lists what is below a schema, depth first. What a list or an object holds has
// a line of its own when there is more to say of it than its type.
func (s docSchema) rows(t *testing.T, path string) []docRow {
	t.Helper()
	var all []docRow
	for _, key := range slices.SortedFunc(maps.Keys(s.Properties), statusFirst) {
		below := path + key
		if path != "" {
			below = path + "." + key
		}
		child := s.Properties[key]
		all = append(all, docRow{below, child, slices.Contains(s.Required, key)})
		all = append(all, child.rows(t, below)...)
	}
	inside := func(part string, child docSchema) {
		if child.Description != "" || child.Enum != nil {
			all = append(all, docRow{path + part, child, false})
		}
		all = append(all, child.rows(t, path+part)...)
	}
	if s.Items != nil {
		inside("[_]", *s.Items)
	}
	if values := s.byName(t); values != nil {
		inside("[name]", *values)
	}
	return all
}

// statusFirst puts how the collection went before what was found.
func statusFirst(a, b string) int {
	first := map[string]int{"status": -2, "error": -1}
	if first[a] != first[b] {
		return first[a] - first[b]
	}
	return strings.Compare(a, b)
}

// words are the values that there are.
func (s docSchema) words() string {
	switch {
	case slices.Equal(s.Enum, statusWords):
		return "[a status](#status)"
	case s.Enum != nil:
		return codedWords(s.Enum)
	case s.Const != nil:
		return fmt.Sprintf("`%v`", s.Const)
	case s.Format != "":
		return s.Format
	case s.Minimum != nil:
		return fmt.Sprintf("at least %v", *s.Minimum)
	}
	return ""
}

var statusWords = []string{
	policy.StatusMissing, policy.StatusUnreadable, policy.StatusInvalid, policy.StatusEmpty,
	policy.StatusRecorded, policy.StatusTimedOut, policy.StatusFailed,
}

func codedWords(words []string) string {
	return "`" + strings.Join(words, "`, `") + "`"
}

var inTable = strings.NewReplacer("|", `\|`, "\n", " ")

const inputPageHead = `# The input document

<!-- Made from the schemas of the facts by a test: go test ./cmd/hermes-reconcile -run ReferencePages -update -->

What rules see as ` + "`input`" + `. ` + "`hermes-reconcile facts`" + ` prints it for the home that is there, ` + "`hermes-reconcile schema input`" + ` is this page as JSON
Schema, and a rule that names anything else is refused. Secrets never enter: names and fingerprints only.

A path in a table is written as in a rule, below the path in the heading: ` + "`[_]`" + ` is each member of a list, ` + "`[name]`" + ` a key that is a name. Of a fact only
` + "`status`" + ` is always there; another key may be absent, and is then undefined in a rule. ` + "`schema_version`" + ` grows when a key changes its meaning or goes away.

## Who can write it

| word | could have been written by |
| --- | --- |
| ` + "`kernel`" + ` | nobody: it is what the kernel says |
| ` + "`image`" + ` | whoever builds the image |
| ` + "`operator`" + ` | whoever starts the container: its command, environment, mounts and configuration |
| ` + "`agent`" + ` | the agent itself, or what runs under its user: everything on the volume |

A fact that the agent can write is a good reason to hold something back, and a poor one to grant something.

## status

Every fact is an object with a ` + "`status`" + `. These are different things, and what they mean is the rule's choice:

| status | means |
| --- | --- |
`

var statusMeanings = map[string]string{
	policy.StatusMissing:    "it is not there",
	policy.StatusUnreadable: "it is there and cannot be read: no permission, a link, no regular file",
	policy.StatusInvalid:    "it was read, or begun, and makes no sense: another syntax, a wrong type, too large",
	policy.StatusEmpty:      "it is there with nothing in it",
	policy.StatusRecorded:   "it was read, and the other keys say what is in it",
	policy.StatusTimedOut:   "it took too long",
	policy.StatusFailed:     "the source itself broke; nothing is known",
}

func inputPage(t *testing.T, s docSchema, example func(scope, fact string) string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(inputPageHead)
	for _, word := range statusWords {
		if statusMeanings[word] == "" {
			t.Errorf("no meaning of the status %s", word)
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", word, statusMeanings[word])
	}
	b.WriteString("\n## The document\n\n")
	b.WriteString("| path | type | words | what it is |\n| --- | --- | --- | --- |\n")
	profile := *s.Properties["profiles"].byName(t)
	for _, key := range slices.Sorted(maps.Keys(s.Properties)) {
		child := s.Properties[key]
		top := []docRow{{path: "input." + key, schema: child}}
		if key != "container" && key != "profiles" {
			top = append(top, child.rows(t, "input."+key)...)
		}
		for _, row := range top {
			kind := row.schema.kind(t)
			if row.path == "input.profiles" {
				kind = "objects by name"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", row.path, kind, row.schema.words(), inTable.Replace(row.schema.Description))
		}
	}
	for _, scope := range []struct {
		title, path, name string
		schema            docSchema
	}{
		{"The container", "input.container", "container", s.Properties["container"]},
		{"Each profile", "input.profiles[p]", "profile", profile},
	} {
		facts := slices.Sorted(maps.Keys(scope.schema.Properties))
		fmt.Fprintf(&b, "\n## %s\n\n| fact | what it is | who can write it |\n| --- | --- | --- |\n", scope.title)
		for _, fact := range facts {
			f := scope.schema.Properties[fact]
			fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", fact, anchor(scope.path+"."+fact), inTable.Replace(f.Description), f.WrittenBy)
		}
		for _, fact := range facts {
			f := scope.schema.Properties[fact]
			fmt.Fprintf(&b, "\n### %s.%s\n\n%s.\n\n", scope.path, fact, sentence(f.Description))
			b.WriteString("| path | type | words | what it is | who can write it |\n| --- | --- | --- | --- | --- |\n")
			for _, row := range f.rows(t, "") {
				if row.schema.Description == "" || row.schema.WrittenBy == "" {
					t.Errorf("%s.%s.%s has no description, or nobody who can write it", scope.path, fact, row.path)
				}
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n",
					row.path, row.schema.kind(t), row.schema.words(), inTable.Replace(row.schema.Description), row.schema.WrittenBy)
			}
			if text := example(scope.name, fact); text != "" {
				fmt.Fprintf(&b, "\n```json\n%s\n```\n", text)
			}
		}
	}
	return b.String()
}

// exampleFacts returns what the shipped example situation has of a fact; of a
// profile's fact, what the profile has that says most.
func exampleFacts(t *testing.T) func(scope, fact string) string {
	t.Helper()
	text, err := os.ReadFile("../../rego/scaffold/situations/mixed.json")
	if err != nil {
		t.Fatal(err)
	}
	var in policy.Input
	if err := json.Unmarshal(text, &in); err != nil {
		t.Fatal(err)
	}
	return func(scope, fact string) string {
		best := in.Container[fact]
		if scope == "profile" {
			best = nil
			for _, name := range slices.Sorted(maps.Keys(in.Profiles)) {
				if value := in.Profiles[name][fact]; len(value) > len(best) {
					best = value
				}
			}
		}
		var value any
		if len(best) == 0 {
			return ""
		}
		if err := json.Unmarshal(best, &value); err != nil {
			t.Fatal(err)
		}
		short, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return string(short)
	}
}

const decisionPageHead = `# The decision document

<!-- Made from policy/decision.schema.json by a test: go test ./cmd/hermes-reconcile -run ReferencePages -update -->

What ` + "`hermes-reconcile eval --output json`" + ` prints. ` + "`hermes-reconcile schema decision`" + ` is this page as JSON Schema. There are no other keys than these.
` + "`schema_version`" + ` grows when a key changes its meaning or goes away.

` + "`[_]`" + ` is each member of a list, ` + "`[name]`" + ` a key that is a name. What is not always there is left out where there is nothing to say.

`

func decisionPage(t *testing.T, s docSchema) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(decisionPageHead)
	decisionTable(t, &b, s)
	for _, name := range slices.Sorted(maps.Keys(s.Defs)) {
		def := s.Defs[name]
		fmt.Fprintf(&b, "\n## %s\n\n", name)
		if def.Description != "" {
			fmt.Fprintf(&b, "%s.\n\n", sentence(def.Description))
		}
		decisionTable(t, &b, def)
	}
	return b.String()
}

// selfSpeaking describes the keys of which the schema does not say what they are.
var selfSpeaking = map[string]string{
	"alarms[_].code":        "which kind of alarm, as a stable word",
	"alarms[_].profile":     "the profile that it is about; none: the container",
	"alarms[_].reason":      "what is the matter, as a sentence",
	"budget":                "how many deaths within how long are borne",
	"budget.deaths":         "how many",
	"budget.window_seconds": "within how long",
	"cause":                 "why, as a sentence",
	"code":                  "why, as a stable word",
	"delay_seconds":         "publish, update: the slot waits that long before its first start",
	"env":                   "what the run script exports",
	"exit_codes":            "what an exit code of the gateway means for the slot, by code",
	"exit_codes[name]":      "`never`: it stays down; `now`: it starts at once; `backoff`: after a pause that grows",
	"migrated_from":         "kept in the state file",
	"on_exhaustion":         "what follows when the budget is used up: `hold` keeps it down, `slow` goes on with pauses",
	"op":                    "what is done",
	"phase":                 "what the program was doing",
	"prior_exit":            "how the last gateway of the profile ended",
	"profile":               "the profile; none: the container",
	"reason":                "why, as a sentence",
	"restart":               "how the slot answers the death of its gateway",
	"schema_version":        "version of this document",
	"seed":                  "the initial state file to write",
	"set":                   "to which set; see [rules.md](rules.md#the-sets)",
	"state":                 "the desired state that is written",
}

func decisionTable(t *testing.T, b *strings.Builder, s docSchema) {
	t.Helper()
	b.WriteString("| key | type | words | always there | what it is |\n| --- | --- | --- | --- | --- |\n")
	for _, row := range s.rows(t, "") {
		always, description := "", row.schema.Description
		if row.always {
			always = "yes"
		}
		if description == "" {
			description = selfSpeaking[row.path]
		}
		if description == "" {
			t.Errorf("nothing says what %s of the decision document is", row.path)
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", row.path, row.schema.kind(t), row.schema.words(), always, inTable.Replace(description))
	}
}

var noAnchor = regexp.MustCompile(`[^a-z0-9_ -]`)

// anchor is the name that a heading gets on the usual hosts.
func anchor(heading string) string {
	return strings.ReplaceAll(noAnchor.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

// sentence makes a description the beginning of a sentence.
func sentence(text string) string {
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + strings.TrimSuffix(text[1:], ".")
}

// No document points to a heading that is not there.
func TestAnchors(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	anchors := map[string]bool{}
	texts := map[string]string{}
	for _, page := range pages {
		name := filepath.Base(page)
		texts[name] = readDoc(t, "docs/"+name)
		for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(texts[name], -1) {
			anchors[name+"#"+anchor(heading[1])] = true
		}
	}
	for name, text := range texts {
		for _, link := range regexp.MustCompile(`\]\(([a-z-]*(?:\.md)?)#([^)]+)\)`).FindAllStringSubmatch(text, -1) {
			if to := cmp.Or(link[1], name) + "#" + link[2]; !anchors[to] {
				t.Errorf("docs/%s points to %s, which is not there", name, to)
			}
		}
	}
}
