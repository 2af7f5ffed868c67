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
	input := policy.InputSchema
	for name, want := range map[string]string{
		"../../docs/input.md":    inputPage(t, decodeSchema(t, input), exampleFacts(t)),
		"../../docs/decision.md": decisionPage(t, decodeSchema(t, []byte(policy.DecisionSchema))),
		"../../docs/commands.md": commandsPage(newRoot()),
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

// A docSchema holds the parts of a JSON Schema that a page shows.
type docSchema struct {
	Type                 docType              `json:"type"`
	Description          string               `json:"description"`
	WrittenBy            string               `json:"x-written-by"`
	Enum                 []any                `json:"enum"`
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

// A docType is the type of a value in words.
type docType string

func (d *docType) UnmarshalJSON(text []byte) error {
	var one string
	several := []string{}
	if err := json.Unmarshal(text, &one); err != nil {
		if err := json.Unmarshal(text, &several); err != nil {
			return err
		}
	}
	*d = docType(cmp.Or(one, strings.Join(several, " or ")))
	return nil
}

func decodeSchema(t *testing.T, text []byte) docSchema {
	t.Helper()
	var s docSchema
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// byName returns the schema of the values of an object with free keys, or nil if the
// keys are fixed.
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
		return "object" // its keys are unknown
	case values != nil:
		return several(values.kind(t)) + " by name"
	case s.Type == "" && s.Enum != nil:
		return "string"
	case s.Type == "" && s.Const != nil:
		return "integer"
	}
	return string(s.Type)
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

// A docRow is one line of a table: a path in a document and its schema.
type docRow struct {
	path   string
	schema docSchema
	always bool // required by the schema
}

// rows lists the paths below a schema, depth first. The members of a list or an object
// have a line of their own when they have more than a type.
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

// statusFirst orders status and error before the other keys.
func statusFirst(a, b string) int {
	first := map[string]int{"status": -2, "error": -1}
	if first[a] != first[b] {
		return first[a] - first[b]
	}
	return strings.Compare(a, b)
}

// words lists the possible values.
func (s docSchema) words() string {
	switch {
	case codedWords(s.Enum) == codedWords(statusWords):
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

func codedWords[T any](words []T) string {
	var coded []string
	for _, word := range words {
		if any(word) == nil {
			coded = append(coded, "`null`")
		} else {
			coded = append(coded, fmt.Sprintf("`%v`", word))
		}
	}
	return strings.Join(coded, ", ")
}

var inTable = strings.NewReplacer("|", `\|`, "\n", " ")

const inputPageHead = `# The input document

<!-- Made from the schemas of the facts by a test: go test ./cmd/hermes-reconcile -run ReferencePages -update -->

After this page you can look up every fact that a rule may use, its type, its origin, and who could have written it.

Rules see this document as ` + "`input`" + `. ` + "`hermes-reconcile facts`" + ` prints it for the present home, and ` + "`hermes-reconcile schema input`" + ` prints this page as JSON
Schema. The program refuses a rule that names anything else. Secrets never enter: the document has names and fingerprints only.

Tables write a path as a rule does, below the path of the heading. ` + "`[_]`" + ` is each member of a list, ` + "`[name]`" + ` a key that is a name. Only the ` + "`status`" + ` of a fact
is always present. Another key may be absent, and is then undefined in a rule. ` + "`schema_version`" + ` grows when a key changes its meaning or goes away.

## Who can write it

| word | could have been written by |
| --- | --- |
| ` + "`kernel`" + ` | no user: the kernel reports it |
| ` + "`image`" + ` | the builder of the image |
| ` + "`operator`" + ` | the person who starts the container: its command, environment, mounts and configuration |
| ` + "`agent`" + ` | the agent, or any program under its user: everything on the volume |

A fact that the agent can write is a good reason to hold a profile, and a poor reason to grant anything.

## status

Every fact is an object with a ` + "`status`" + `. The statuses are different, and the rule decides what each of them means:

| status | meaning |
| --- | --- |
`

var statusMeanings = map[string]string{
	policy.StatusMissing:    "it does not exist",
	policy.StatusUnreadable: "it exists and cannot be read: no permission, a link, not a regular file",
	policy.StatusInvalid:    "it was read, wholly or in part, and is invalid: wrong syntax, a wrong type, too large",
	policy.StatusEmpty:      "it exists and is empty",
	policy.StatusRecorded:   "it was read, and the other keys have its content",
	policy.StatusTimedOut:   "it took too long",
	policy.StatusFailed:     "the source itself failed, and nothing is known",
}

func inputPage(t *testing.T, s docSchema, example func(scope, fact string) string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(inputPageHead)
	for _, word := range statusWords {
		if statusMeanings[word] == "" {
			t.Errorf("the status %s has no meaning", word)
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
					t.Errorf("%s.%s.%s has no description or no writer", scope.path, fact, row.path)
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

// exampleFacts returns a function that finds a fact in the shipped example situation. For a
// fact of a profile, the function returns the longest value.
func exampleFacts(t *testing.T) func(scope, fact string) string {
	t.Helper()
	text, err := os.ReadFile("../../rego/example/situations/mixed.json")
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

After this page you can read or parse a decision and its plan, key by key.

` + "`hermes-reconcile eval --output json`" + ` prints this document. ` + "`hermes-reconcile schema decision`" + ` prints this page as JSON Schema. The document has no other
keys. ` + "`schema_version`" + ` grows when a key changes its meaning or goes away.

` + "`[_]`" + ` is each member of a list, ` + "`[name]`" + ` a key that is a name. A key that is not always present is left out when it has no value.

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

// selfSpeaking describes the keys that the schema does not describe.
var selfSpeaking = map[string]string{
	"alarms[_].code":        "the kind of alarm, as a stable word",
	"alarms[_].profile":     "the profile of the alarm; absent: the container",
	"alarms[_].reason":      "the problem, as a sentence",
	"budget":                "the tolerated deaths",
	"budget.deaths":         "their number",
	"budget.window_seconds": "the time in which they count",
	"cause":                 "the reason, as a sentence",
	"code":                  "the reason, as a stable word",
	"delay_seconds":         "publish, update: how long the slot waits before its first start",
	"env":                   "the variables that the run script exports",
	"exit_codes":            "what the slot does after each ending of the gateway: an exit code, a signal such as `SIGKILL`, `oom`, or `*` for the others",
	"exit_codes[name]":      "`never`: stay down; `now`: start at once; `backoff`: start after a growing pause; `uncounted`: start at once, and it is no death",
	"migrated_from":         "a field of the state file",
	"on_exhaustion":         "the effect of a used-up budget: `hold` keeps the gateway down, `slow` continues with growing pauses",
	"op":                    "the kind of operation",
	"phase":                 "what the program was doing",
	"profile":               "the profile; absent: the container",
	"reason":                "the reason, as a sentence",
	"restart":               "what the slot does when its gateway ends",
	"schema_version":        "version of this document",
	"seed":                  "the initial state file to write",
	"set":                   "the set; see [rules.md](rules.md#the-sets)",
	"state":                 "the desired state to write",
}

func decisionTable(t *testing.T, b *strings.Builder, s docSchema) {
	t.Helper()
	b.WriteString("| key | type | words | always present | what it is |\n| --- | --- | --- | --- | --- |\n")
	for _, row := range s.rows(t, "") {
		always, description := "", row.schema.Description
		if row.always {
			always = "yes"
		}
		if description == "" {
			description = selfSpeaking[row.path]
		}
		if description == "" {
			t.Errorf("the key %s of the decision document has no description", row.path)
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", row.path, row.schema.kind(t), row.schema.words(), always, inTable.Replace(description))
	}
}

var noAnchor = regexp.MustCompile(`[^a-z0-9_ -]`)

// anchor returns the name that the usual hosts give to a heading.
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

// Every link to a heading leads to an existing heading.
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
				t.Errorf("docs/%s points to %s, which does not exist", name, to)
			}
		}
	}
}
