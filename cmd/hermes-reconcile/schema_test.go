package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
)

func compileSchema(t *testing.T, text []byte) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func fits(t *testing.T, schema *jsonschema.Schema, text []byte) {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if err := schema.Validate(document); err != nil {
		t.Errorf("%v\nin\n%s", err, text)
	}
}

// The built-in rules name only existing facts. An ordinary boot does not check this again.
func TestBuiltInRulesFitTheFacts(t *testing.T) {
	if _, err := rego.Load([]rego.Layer{rego.BuiltIn(), {Name: "empty", Files: embed.FS{}}}, rego.Options{Schema: policy.InputSchema}); err != nil {
		t.Fatal(err)
	}
}

// Every fact has a schema that says where each part of it comes from.
func TestSchemasSayWhereEverythingComesFrom(t *testing.T) {
	ofContainer, ofProfile := world.AllSources()
	for _, s := range ofContainer {
		if s.Of != nil { // else its package tests its own schema
			checkSchema(t, s.Name(), asSchema(t, schemaOf(s.Of, s.By, reflect.StructTag(fmt.Sprintf("about:%q", s.About)))))
		}
	}
	for _, s := range ofProfile {
		checkSchema(t, "profile "+s.Name(), asSchema(t, schemaOf(s.Of, s.By, reflect.StructTag(fmt.Sprintf("about:%q", s.About)))))
	}
}

func asSchema(t *testing.T, s schema) (plain map[string]any) {
	t.Helper()
	text, err := json.Marshal(s)
	if err == nil {
		err = json.Unmarshal(text, &plain)
	}
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func checkSchema(t *testing.T, path string, s map[string]any) {
	t.Helper()
	if s["description"] == "" || s["description"] == nil || s["x-written-by"] == nil {
		t.Errorf("%s has no description or writer", path)
	}
	if s["type"] == "object" && s["additionalProperties"] == nil {
		t.Errorf("%s has no additionalProperties", path)
	}
	for key, below := range s {
		switch key {
		case "properties":
			for name, property := range below.(map[string]any) {
				checkSchema(t, path+"."+name, property.(map[string]any))
			}
		case "items":
			checkSchema(t, path+"[]", below.(map[string]any))
		case "additionalProperties":
			if object, ok := below.(map[string]any); ok && len(object) > 0 {
				checkSchema(t, path+".*", object)
			}
		case "type", "description", "x-written-by", "enum", "propertyNames":
		default:
			t.Errorf("%s uses %q, which the check of rules ignores", path, key)
		}
	}
}

// The output of the commands fits the schemas, over a home that contains everything.
func TestDocumentsFitTheirSchemas(t *testing.T) {
	home, scan := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"gateway_state.json":                          `{"desired_state":"running"}`,
		"config.yaml":                                 "gateway: {multiplex_profiles: true}\n",
		"profiles/coder/SOUL.md":                      "",
		"profiles/coder/.env":                         "TELEGRAM_BOT_TOKEN=1:a\nAPI_SERVER_PORT=9000\n",
		"profiles/coder/gateway_state.json":           `{"gateway_state":"degraded","pid":7}`,
		"profiles/coder/gateway.pid":                  `{"pid":7}`,
		"profiles/coder/state/gateway.lifecycle.json": `{"phase":"running"}`,
		"profiles/coder/logs/gateway-exit-diag.log":   "torn",
		"profiles/broken/SOUL.md":                     "",
		"profiles/broken/gateway_state.json":          "[",
		"profiles/Bad Name/SOUL.md":                   "",
		"policy/all.rego":                             everySet,
		"policy/data/settings.yaml":                   "settings: {transient_states: [draining]}\n",
		"profiles/coder/.gateway-planned-stop.json":   `{"target_pid":7}`,
		"profiles/coder/gateway-starts.log":           "1795327200.5\n",
		"profiles/coder/cron/jobs.json":               "[]",
		"profiles/coder/config.yaml":                  "platforms: {slack: {enabled: true}}\n",
		"profiles/not-a-profile/cron/jobs.json":       "[]",
		"logs/gateways/coder/current":                 "",
		"state/reconcile.owner.json":                  "{}",
		"active_profile":                              "coder\n",
		"ESTOP":                                       "stop",
		"profiles/coder/gateway/restart_loop.json":    `{"boots":[]}`,
		"profiles/coder/auth.json":                    "{}",
	} {
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("HERMES_RECONCILE_USER", "0:0")
	t.Setenv("HERMES_RECONCILE_S6__OWNERSHIP", "upstream") // root as the user is an alarm else
	inputText := output(t, "schema", "input")
	decisionText := output(t, "schema", "decision")
	places := []string{"--home", home, "--scandir", scan, "--policy", filepath.Join(home, "policy"), "-o", "json"}

	fits(t, compileSchema(t, inputText), output(t, append([]string{"facts"}, places...)...))
	decisions := output(t, append([]string{"eval", "--dry-run"}, places...)...)
	fits(t, compileSchema(t, decisionText), decisions)

	var d policy.Decisions
	if err := json.Unmarshal(decisions, &d); err != nil {
		t.Fatal(err)
	}
	seen := map[policy.Set]bool{}
	for _, c := range d.Recheck {
		seen[c.Set] = c.At != ""
	}
	for _, p := range d.Profiles {
		for _, c := range p.Contributions {
			seen[c.Set] = true
		}
	}
	for _, set := range policy.Sets {
		if !seen[set] {
			t.Errorf("no contribution to %s in the document, so the schema of its members is not tested", set)
		}
	}
}

// everySet contributes to every set.
const everySet = `package reconcile.rules.all

skip contains {"profile": "broken", "code": "x", "reason": "x"} if input.phase == "boot"

hold contains {"profile": "coder", "code": "x", "until": "2030-01-01T00:00:00Z", "reason": "x"} if input.phase == "boot"

waive contains {"profile": "coder", "rule": "reconcile.rules.multiplex", "reason": "x"} if input.phase == "boot"

start contains {"profile": "coder", "reason": "x"} if input.phase == "boot"

sweep contains {"profile": "coder", "file": "gateway.pid", "reason": "x"} if input.phase == "boot"

restart contains {
	"profile": "coder",
	"budget": {"deaths": 5, "window_seconds": 600},
	"exit_codes": {"78": "never", "oom": "backoff", "SIGTERM": "uncounted", "*": "now"},
	"on_exhaustion": "hold",
	"reset_after_seconds": 900,
	"count_term": true,
	"priority": 2,
	"reason": "x",
} if {
	input.phase == "boot"
}

delay contains {"profile": "coder", "seconds": 1.5, "reason": "x"} if input.phase == "boot"

env contains {"profile": "coder", "name": "A", "value": "b", "reason": "x"} if input.phase == "boot"

seed contains {"profile": "not-a-profile", "state": "stopped", "migrated_from": "x", "reason": "x"} if input.phase == "boot"

alarm contains {"profile": "coder", "reason": "x"} if input.phase == "boot"

recheck contains {"profile": "coder", "code": "x", "after_seconds": 60, "reason": "x"} if input.phase == "boot"
`

// output runs a command that must succeed.
func output(t *testing.T, args ...string) []byte {
	t.Helper()
	var stdout, stderr strings.Builder
	if code := run(context.Background(), args, strings.NewReader(""), &stdout, &stderr); code != cli.ExitDone {
		t.Fatalf("hermes-reconcile %s: exit status %d\n%s%s", strings.Join(args, " "), code, stdout.String(), stderr.String())
	}
	return []byte(stdout.String())
}
