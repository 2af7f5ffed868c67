package rego

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"hermes-reconcile/policy"
)

// exampleRoles are the roles of the main command that the examples try.
var exampleRoles = []string{"gateway run", "dashboard", "serve", "gui", "desktop", "chat", "sleep", "other", "none"}

// brokenStatuses are those of a fact that has nothing but its status.
var brokenStatuses = []string{
	policy.StatusMissing, policy.StatusUnreadable, policy.StatusInvalid,
	policy.StatusEmpty, policy.StatusTimedOut, policy.StatusFailed,
}

// Examples returns the shipped situations: a mixed home, an empty one, one for
// every role of the container, one for every way in which all facts can be
// missing, and one with hostile names and texts.
func Examples() []Situation {
	all := []Situation{
		{"a home where nothing is unusual", exampleInput("example")},
		{"a mixed home", exampleInput("mixed")},
		{"an empty home", emptyHome()},
		{"a hostile home", hostileHome()},
	}
	for _, role := range exampleRoles {
		in := exampleInput("mixed")
		in.Container["command"] = json.RawMessage(fmt.Sprintf(`{"status": "recorded", "argv": [%q], "role": %q, "no_supervise": false, "source": "s6"}`, role, role))
		all = append(all, Situation{"a container whose role is " + role, in})
	}
	for _, status := range brokenStatuses {
		all = append(all, Situation{"every fact is " + status, brokenHome(status)})
	}
	return all
}

// emptyHome is a blank volume: the root profile alone, and nothing of it.
func emptyHome() policy.Input {
	in := exampleInput("example")
	in.Container["profiles_dir"] = json.RawMessage(`{"status": "missing"}`)
	root := in.Profiles["default"]
	for _, fact := range sortedKeys(root) {
		if fact != "name" && fact != "ownership" {
			root[fact] = json.RawMessage(`{"status": "missing"}`)
		}
	}
	root["markers"] = json.RawMessage(`{"status": "recorded", "files": {}}`)
	in.Profiles = map[string]policy.Facts{"default": root}
	return in
}

// brokenHome is the mixed home when no fact could be found out.
func brokenHome(status string) policy.Input {
	in := exampleInput("mixed")
	broken := json.RawMessage(fmt.Sprintf(`{"status": %q, "error": "an example"}`, status))
	for _, facts := range append([]policy.Facts{in.Container}, valuesOf(in.Profiles)...) {
		for fact := range facts {
			facts[fact] = broken
		}
	}
	if status == policy.StatusInvalid { // a directory is never that
		in.Container["profiles_dir"] = json.RawMessage(`{"status": "unreadable"}`)
	}
	return in
}

// hostileHome is the mixed home with what an agent could write into its files:
// numbers and times as words, control characters, names that lead elsewhere.
func hostileHome() policy.Input {
	in := exampleInput("mixed")
	nasty := "running\n\u001b[31m profile=root %s ../../etc \u202e" + strings.Repeat("x", 200)
	state, _ := json.Marshal(map[string]any{
		"status": "recorded", "desired": nasty, "gateway": nasty, "exit_reason": nasty, "active_agents": -1,
		"updated_at_unix": 0, "platforms": map[string]any{nasty: map[string]any{"state": nasty}},
	})
	ports := json.RawMessage(`{"status": "recorded", "ports": [{"platform": "api_server", "port": 8642, "source": "default", "enabled": true}, {"platform": "webhook", "port": 8642, "source": ".env", "enabled": true}], "derived": 9200, "api_server_enabled": true, "api_server_key": true, "config_status": "invalid"}`)
	for name, facts := range maps.Clone(in.Profiles) {
		facts["prior_state"], facts["ports"] = state, ports
		if name == "writer" {
			for _, other := range []string{"-", "..", "a\nb", strings.Repeat("n", 300), "profiles/default"} {
				in.Profiles[other] = facts
			}
		}
	}
	vars, _ := json.Marshal(map[string]any{
		"status": "recorded", "source": "process", "invalid_flags": []string{nasty}, "secrets": []any{}, "flags": map[string]bool{},
		"vars": map[string]string{"HERMES_RECONCILE_PROFILES": ",,", "HERMES_RECONCILE_FACT_NUMBER": "many", "HERMES_RECONCILE_FACT_TIME": "tomorrow"},
	})
	in.Container["environment"] = vars
	return in
}

func valuesOf(m map[string]policy.Facts) []policy.Facts {
	var all []policy.Facts
	for _, name := range sortedKeys(m) {
		all = append(all, m[name])
	}
	return all
}
