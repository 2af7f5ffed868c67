package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"hermes-reconcile/engine/explain"
	"hermes-reconcile/policy"
)

// homeWith creates the files and points the program at their home.
func homeWith(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("HERMES_RECONCILE_USER", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()))
	t.Setenv("HERMES_RECONCILE_S6__OWNERSHIP", "upstream") // root as the user is an alarm else
	t.Setenv("HERMES_RECONCILE_STATE_DIR", dir+"/state")
	t.Setenv("HERMES_HOME", dir+"/home")
	t.Setenv("S6_PROFILE_GATEWAY_SCANDIR", dir+"/scan")
	return dir
}

// Contributions that are not enforced fit the schemas of the comparison and of the
// explanation.
func TestDocumentsOfTriedRules(t *testing.T) {
	dir := homeWith(t, map[string]string{
		"home/profiles/coder/SOUL.md":            "",
		"home/profiles/coder/gateway_state.json": `{"desired_state": "running"}`,
		"policy/night.rego": "# METADATA\n# custom: {enforce: warn}\npackage reconcile.rules.night\n\n" +
			"hold contains {\"profile\": \"coder\", \"reason\": \"night\"} if input.profiles.coder\n",
	})
	text := output(t, "eval", "-o", "json", "--policy", dir+"/policy")
	fits(t, compileSchema(t, []byte(policy.DecisionSchema)), text)
	var d policy.Decisions
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	enforced := 0
	for _, c := range d.Profiles["coder"].Contributions {
		if c.Counts() {
			enforced++
		}
	}
	if p := d.Profiles["coder"]; p.Action != policy.ActionStart || len(p.Contributions) != 3 || enforced != 2 {
		t.Errorf("%+v, want a start and the built-in restarts, and the hold beside them without effect", p)
	}

	var c explain.Comparison
	if err := json.Unmarshal(output(t, "eval", "-o", "json", "--policy", dir+"/policy", "--compare"), &c); err != nil {
		t.Fatal(err)
	}
	if len(c.Profiles) != 0 || c.Same != 2 {
		t.Errorf("%+v, want no difference by a rule on trial", c)
	}
	var e explain.Explanation
	if err := json.Unmarshal(output(t, "explain", "coder", "-o", "json", "--policy", dir+"/policy"), &e); err != nil {
		t.Fatal(err)
	}
	if len(e.Holds) != 1 || e.Holds[0].State != "not enforced" {
		t.Errorf("holds %+v, want one that is not enforced", e.Holds)
	}
}
