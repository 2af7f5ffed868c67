package policy

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadersOfFacts(t *testing.T) {
	recorded := `{"status":"recorded"}`
	for _, test := range []struct {
		reader     string
		read       func(Facts) any
		name, fact string
		want       any
	}{
		{"ProfilesDirOf", func(f Facts) any { return ProfilesDirOf(f) }, "profiles_dir", `{"status":"unreadable","error":"denied","entries":3,"others":1,"truncated":true}`, ProfilesDir{"unreadable", "denied", 3, 1, true}},
		{"MultiplexOn", func(f Facts) any { return MultiplexOn(f) }, "multiplex", `{"status":"recorded","on":true}`, true},
		{"MultiplexOn", func(f Facts) any { return MultiplexOn(f) }, "multiplex", `{"status":"invalid","on":false}`, false},
		{"ImageVersion", func(f Facts) any { return ImageVersion(f) }, "image", `{"version":"1.2"}`, "1.2"},
		{"ImageVersion", func(f Facts) any { return ImageVersion(f) }, "image", `{"version":12}`, ""},
		{"HostOf", func(f Facts) any { return HostOf(f) }, "host", `{"hostname":"h","boot_id":"b","started_at_unix":7}`, Host{"h", "b", 7}},
		{"OwnerLeaseOf", func(f Facts) any { lease, _ := OwnerLeaseOf(f); return lease }, "owner_lease", `{"status":"recorded","host":"h","id":"i","seen_at_unix":7,"ttl_seconds":30}`, OwnerLease{"recorded", "h", "i", 7, 30}},
		{"DesiredState", func(f Facts) any { return DesiredState(f) }, "prior_state", `{"status":"recorded","desired":"running"}`, "running"},
		{"DesiredState", func(f Facts) any { return DesiredState(f) }, "prior_state", `{"status":"recorded","gateway":"running"}`, ""},
		{"PriorStateOf", func(f Facts) any { return PriorStateOf(f) }, "prior_state", `{"status":"invalid","error":"not JSON"}`, PriorState{Status: "invalid", Error: "not JSON"}},
		{"ServedProfiles", func(f Facts) any { return ServedProfiles(f) }, "prior_state", `{"served_profiles":["a","b"]}`, []string{"a", "b"}},
		{"ServedProfiles", func(f Facts) any { return ServedProfiles(f) }, "prior_state", `{"served_profiles":[]}`, []string{}},
		{"ServedProfiles", func(f Facts) any { return ServedProfiles(f) }, "prior_state", recorded, []string(nil)},
		{"PriorExit", func(f Facts) any { return PriorExit(f) }, "lifecycle", `{"exit":"unclean"}`, "unclean"},
		{"PriorExit", func(f Facts) any { return PriorExit(f) }, "lifecycle", `{"status":"timed_out"}`, "unknown"},
		{"RuntimeFiles", func(f Facts) any { return RuntimeFiles(f) }, "runtime_files", `{"files":{"gateway.pid":{"status":"recorded","sweepable":true,"identity":"i","pid":7}}}`, map[string]RuntimeFile{"gateway.pid": {"recorded", true, "i"}}},
		{"LockHeld", func(f Facts) any { return LockHeld(f) }, "runtime_files", `{"lock":{"status":"recorded","held":true}}`, true},
		{"LockHeld of an unreadable lock", func(f Facts) any { return LockHeld(f) }, "runtime_files", `{"lock":{"status":"unreadable","held":true}}`, false},
		{"Fingerprints", func(f Facts) any { return Fingerprints(f) }, "tokens", `{"tokens":[{"scope":"telegram","fingerprint":"ab","exclusive":true},{"scope":"slack","exclusive":true},{"scope":"openai_api","fingerprint":"cd"}]}`, []string{"telegram ab"}},
		{"SaidOf", func(f Facts) any { return SaidOf(f) }, "prior_state", `{"gateway":"startup_failed","pid":7,"exit_reason":"no port","platforms":{"b":{"error_code":"y"},"a":{"error_code":"x"},"c":{}}}`, Said{"startup_failed", 7, "no port; a: x; b: y"}},
		{"LifecycleOf", func(f Facts) any { return LifecycleOf(f) }, "lifecycle", `{"exit_code":78,"exit_reason":"r","exited_at_unix":9}`, Lifecycle{new(78), "r", 9}},
		{"Claims", func(f Facts) any { return Claims(f) }, "ports", `{"ports":[{"port":8642,"enabled":true},{"port":8644}]}`, []string{"port 8642"}},
	} {
		if diff := cmp.Diff(test.want, test.read(Facts{test.name: json.RawMessage(test.fact)})); diff != "" {
			t.Errorf("%s of %s (-want +got):\n%s", test.reader, test.fact, diff)
		}
		for _, fact := range []string{"", "null", "[]", `{"status":7,"files":7,"lock":7,"tokens":7}`} {
			if diff := cmp.Diff(test.read(Facts{}), test.read(Facts{test.name: json.RawMessage(fact)})); diff != "" {
				t.Errorf("%s of %s (-absent +got):\n%s", test.reader, fact, diff)
			}
		}
	}
}

func TestFactsStatus(t *testing.T) {
	facts := Facts{"overrides": json.RawMessage(`{"status":"unreadable","error":"others could have written it","profiles":{}}`)}
	if status, problem := facts.Status("overrides"); status != StatusUnreadable || problem != "others could have written it" {
		t.Errorf("Status: %q, %q", status, problem)
	}
	if status, problem := facts.Status("absent"); status != "" || problem != "" {
		t.Errorf("Status of an absent fact: %q, %q", status, problem)
	}
}

// The copy has the other intent and otherwise the same facts; the original stays.
func TestWithDesiredState(t *testing.T) {
	for _, test := range []struct{ prior, want string }{
		{`{"status":"recorded","desired":"stopped","pid":12345678901234567890}`, `{"desired":"running","pid":12345678901234567890,"status":"recorded","updated_at_unix":7}`},
		{`{"status":"invalid","error":"not JSON"}`, `{"desired":"running","status":"recorded","updated_at_unix":7}`},
		{`null`, `{"desired":"running","status":"recorded","updated_at_unix":7}`},
	} {
		facts := Facts{"prior_state": json.RawMessage(test.prior), "name": json.RawMessage(`{}`)}
		got := WithDesiredState(facts, "running", Now{UnixNS: 7e9})
		if string(got["prior_state"]) != test.want || string(got["name"]) != "{}" {
			t.Errorf("WithDesiredState of %s: %s, want %s", test.prior, got, test.want)
		}
		if string(facts["prior_state"]) != test.prior {
			t.Errorf("the original became %s", facts["prior_state"])
		}
	}
	if got := DesiredState(WithDesiredState(nil, "stopped", Now{})); got != "stopped" {
		t.Errorf("WithDesiredState of no facts: %q", got)
	}
}
