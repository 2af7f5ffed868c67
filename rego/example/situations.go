package example

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hermes-reconcile/policy"
)

// roles are the roles of the main command.
var roles = []string{"gateway run", "dashboard", "serve", "gui", "desktop", "chat", "sleep", "other", "none"}

// brokenStatuses are the statuses of a fact that has no other field.
var brokenStatuses = []string{
	policy.StatusMissing, policy.StatusUnreadable, policy.StatusInvalid,
	policy.StatusEmpty, policy.StatusTimedOut, policy.StatusFailed,
}

// A Situation is an input document with a name.
type Situation struct {
	Name  string
	Input policy.Input
}

// Situations returns the shipped situations: a mixed home, an empty one, one for
// every role of the container, one for every way in which all facts can be
// missing, and one with hostile names and texts.
func Situations() []Situation {
	all := []Situation{
		{"a home where nothing is unusual", read("example")},
		{"a mixed home", read("mixed")},
		{"an empty home", emptyHome()},
		{"a hostile home", hostileHome()},
	}
	for _, role := range roles {
		in := read("mixed")
		in.Container["command"] = json.RawMessage(fmt.Sprintf(`{"status": "recorded", "argv": [%q], "role": %q, "no_supervise": false, "source": "s6"}`, role, role))
		all = append(all, Situation{"a container whose role is " + role, in})
	}
	for _, status := range brokenStatuses {
		all = append(all, Situation{"every fact is " + status, brokenHome(status)})
	}
	return all
}

// emptyHome is a blank volume: the root profile alone, without any file.
func emptyHome() policy.Input {
	in := read("example")
	in.Container["profiles_dir"] = json.RawMessage(`{"status": "missing"}`)
	root := in.Profiles["default"]
	for _, fact := range slices.Sorted(maps.Keys(root)) {
		if fact != "name" && fact != "ownership" {
			root[fact] = json.RawMessage(`{"status": "missing"}`)
		}
	}
	root["markers"] = json.RawMessage(`{"status": "recorded", "files": {}}`)
	in.Profiles = map[string]policy.Facts{"default": root}
	return in
}

// brokenHome is the mixed home when no fact could be collected.
func brokenHome(status string) policy.Input {
	in := read("mixed")
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
	in := read("mixed")
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
		"status": "recorded", "source": "process", "secrets": []any{}, "flags": map[string]bool{},
		"vars": map[string]string{"HERMES_RECONCILE_PROFILES": ",,", "HERMES_RECONCILE_FACT_NUMBER": "many", "HERMES_RECONCILE_FACT_TIME": "tomorrow"},
	})
	in.Container["environment"] = vars
	return in
}

// Home returns the mixed home with so many profiles: those of the mixed home over and
// over, each with its own name and tokens.
func Home(size int) policy.Input {
	in := read("mixed")
	models := valuesOf(in.Profiles)
	in.Profiles = make(map[string]policy.Facts, size)
	for n := range size {
		facts := maps.Clone(models[n%len(models)])
		facts["tokens"] = json.RawMessage(fmt.Sprintf(
			`{"status": "recorded", "tokens": [{"scope": "telegram", "fingerprint": "%016x", "source": ".env", "name": "TELEGRAM_BOT_TOKEN", "exclusive": true}], "env_link": false, "config_status": "recorded"}`, n/2))
		name := fmt.Sprintf("p%05d", n)
		if n == 0 {
			name = "default"
		}
		in.Profiles[name] = facts
	}
	return in
}

// Decided returns a verdict with the action for every profile of the input document.
func Decided(in policy.Input, action policy.Action) map[string]policy.Verdict {
	all := make(map[string]policy.Verdict, len(in.Profiles))
	for name := range in.Profiles {
		all[name] = policy.Verdict{Action: action, Code: "example"}
	}
	return all
}

func valuesOf(m map[string]policy.Facts) []policy.Facts {
	var all []policy.Facts
	for _, name := range slices.Sorted(maps.Keys(m)) {
		all = append(all, m[name])
	}
	return all
}
