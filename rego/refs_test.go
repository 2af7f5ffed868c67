package rego

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"hermes-reconcile/policy"
)

// What a rule reads is found through loops, variables and helpers.
func TestReads(t *testing.T) {
	t.Parallel()
	tests := []struct {
		why, rule string
		want      []string
	}{
		{"through a loop", `hold contains {"profile": name, "reason": "x"} if {
	some name, profile in input.profiles
	profile.prior_state.desired == "running"
}`, []string{"profiles coder prior_state desired"}},
		{"through a variable", `hold contains {"profile": name, "reason": "x"} if {
	some name, _ in input.profiles
	all := input.profiles
	state := all[name].prior_state
	state.desired == "running"
}`, []string{"profiles coder prior_state desired"}},
		{"through a helper with an argument", `hold contains {"profile": name, "reason": "x"} if {
	some name, profile in input.profiles
	not _wanted(profile)
}

_wanted(one) if one.prior_state.desired == "running"
`, []string{"profiles coder prior_state desired"}},
		{"through a helper without one, and a setting", `hold contains {"profile": name, "reason": "x"} if {
	some name, _ in input.profiles
	_on
	name in data.settings.start_states
}

_on if input.container.command.role == "sleep"
`, []string{"container command role", "settings start_states"}},
		{"through a helper that is called twice", `hold contains {"profile": name, "reason": "x"} if {
	some name, profile in input.profiles
	_missing(profile.restart_hold)
	_missing(profile.prior_state)
}

_missing(fact) if fact.status == "missing"
`, []string{"profiles coder prior_state status", "profiles coder restart_hold status"}},
		{"through a helper with else", `hold contains {"profile": name, "reason": "x"} if {
	some name, profile in input.profiles
	_quiet(profile)
}

_quiet(one) if {
	one.prior_state.status == "missing"
} else if one.prior_state.desired == "stopped"
`, []string{"profiles coder prior_state desired", "profiles coder prior_state status"}},
		{"another profile by name, and up to a variable", `hold contains {"profile": name, "reason": "x"} if {
	some name, profile in input.profiles
	input.profiles.kids.prior_state.status == "missing"
	some file in ["gateway.pid"]
	profile.runtime_files.files[file].sweepable
}`, []string{"profiles coder runtime_files files", "profiles kids prior_state status"}},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			e, err := load(map[string]string{"site.rego": "package reconcile.rules.site\n\n" + test.rule + "\n"})
			if err != nil {
				t.Fatal(err)
			}
			c := policy.Contribution{Set: policy.SetHold, Rule: "reconcile.rules.site", Location: "/etc/policy/site.rego:3"}
			var got []string
			for _, r := range e.Reads(c, "coder") {
				text := strings.Join(r.Path, " ")
				if r.Setting {
					text = "settings " + text
				}
				got = append(got, text)
			}
			slices.Sort(got)
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("reads %q, want %q", got, test.want)
			}
		})
	}
}

// The loader finds which plug-ins' facts a package reads, or that it may read any.
func TestExternalReads(t *testing.T) {
	t.Parallel()
	const hold = `hold contains {"profile": name, "reason": "x"} if {
	some name, profile in input.profiles
	`
	tests := []struct{ why, rule, want string }{
		{"nothing", hold + `profile.prior_state.desired == "running"` + "\n}", "[]"},
		{"of the container", hold + "input.container.external.values.site.region\n}", "[site]"},
		{"how it went", hold + `input.container.external.plugins.site.status != "recorded"` + "\n}", "[site]"},
		{"of the profile", hold + "profile.external.values.rota.on_holiday\n}", "[rota]"},
		{"through a helper", hold + "_away(profile)\n}\n\n_away(one) if one.external.values.rota.on_holiday", "[rota]"},
		{"of two", hold + "all := input.container.external.values\n\tall.site.region == profile.external.values.rota.region\n}", "[rota site]"},
		{"of one that another fact names", hold + "input.container.external.values[name].x\n}", "[*]"},
		{"of one that a setting names", hold + "input.container.external.values[data.settings.plugin].x\n}", "[calendar]"},
		{"of one that an empty setting names", hold + "input.container.external.values[data.settings.none].x\n}", "[]"},
		{"by a builtin", hold + `object.get(profile, ["external", "values", "rota"], {}).on_holiday` + "\n}", "[*]"},
		{"by a whole fact", hold + "some _, values in input.container.external.values\n\tvalues.stop\n}", "[*]"},
		{"for an alarm only", `alarm contains {"reason": "x"} if input.container.external.values.site.region`, "[]"},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			layers := operator(map[string]string{
				"site.rego": "package reconcile.rules.site\n\n" + test.rule + "\n", "data/settings.yaml": "settings: {plugin: calendar, none: \"\"}\n",
			})
			ofProfiles := strings.Replace(schema, `"runtime_files"`, `"external": {"type": "object"}, "runtime_files"`, 1)
			e, err := Load(layers, Options{Schema: []byte(ofProfiles)})
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(e.Status().External["reconcile.rules.site"]); got != test.want {
				t.Errorf("reads %s, want %s", got, test.want)
			}
		})
	}
}
