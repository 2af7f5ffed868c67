package ledger_test

import (
	"encoding/json"
	"strings"
	"testing"

	"hermes-reconcile/engine/hometest"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// The digest of a fact leaves out what differs although nothing was changed.
func TestFactDigests(t *testing.T) {
	digests := func(fact, value string) string {
		if !json.Valid([]byte(value)) {
			t.Fatalf("%s is no JSON", value)
		}
		return ledger.FactDigests(policy.Facts{fact: []byte(value)})[fact]
	}
	for _, same := range [][3]string{
		{"environment", `{"status":"recorded","source":"process","vars":{"PUID":"1"}}`, `{"status":"recorded","source":"process+directory","vars":{"PUID":"1"}}`},
		{"config", `{"status":"recorded","changed_unix":12,"job_count":1}`, `{"status":"recorded","job_count":1}`},
		{"prior_state", `{"status":"recorded","desired":"running","pid":41,"start_time":7,"updated_at_unix":1}`, `{"status":"recorded","desired":"running","pid":9000,"start_time":8}`},
		{"prior_state", `{"platforms":{"x":{"state":"retrying","retrying_since_unix":1}}}`, `{"platforms":{"x":{"state":"retrying","retrying_since_unix":2}}}`},
		{"lifecycle", `{"exit":"clean","exited_at_unix":1}`, `{"exit":"clean"}`},
		{"markers", `{"files":{".env":{"kind":"file","size":1},"state.db":{"kind":"file","size":9,"modified_unix":5}}}`, `{"files":{".env":{"kind":"file","size":1},"state.db":{"kind":"file","size":10,"modified_unix":6}}}`},
		{"markers", `{"files":{"auth.json":{"kind":"file","size":1},"state.db":{"kind":"file","size":9}}}`, `{"files":{}}`},
		{"external", `{"plugins":{"a":{"status":"recorded","duration_ms":5},"b":{"duration_ms":7}}}`, `{"plugins":{"a":{"status":"recorded","duration_ms":6},"b":{"duration_ms":8}}}`},
		{"external", `{"duration_ms":5,"status":"recorded"}`, `{"status":"recorded"}`},
	} {
		if digests(same[0], same[1]) != digests(same[0], same[2]) {
			t.Errorf("%s: %s and %s differ", same[0], same[1], same[2])
		}
	}
	for _, other := range [][3]string{
		{"environment", `{"source":"process","vars":{"PUID":"1"}}`, `{"source":"process","vars":{"PUID":"2"}}`},
		{"multiplex", `{"source":".env"}`, `{"source":"managed"}`},
		{"prior_state", `{"desired":"running","pid":41,"x":1}`, `{"desired":"stopped","pid":41,"x":1}`},
		{"prior_state", `{"desired":"\"pid\":1,x"}`, `{"desired":"\"pid\":2,x"}`},
		{"prior_state", `{"pid":41,"unexpected":["a"]}`, `{"pid":41,"unexpected":["b"]}`},
		{"markers", `{"files":{".env":{"size":1},"state.db":{"size":9}}}`, `{"files":{".env":{"size":2},"state.db":{"size":9}}}`},
		{"markers", `{"files":{"state.db":{"size":9},"SOUL.md":{"size":1}}}`, `{"files":{"state.db":{"size":9},"SOUL.md":{"size":2}}}`},
		{"external", `{"plugins":{"a":{"status":"recorded","duration_ms":5}}}`, `{"plugins":{"a":{"status":"failed","duration_ms":5}}}`},
	} {
		if digests(other[0], other[1]) == digests(other[0], other[2]) {
			t.Errorf("%s: %s and %s are the same", other[0], other[1], other[2])
		}
	}
	if got := ledger.FactDigests(policy.Facts{"previous": []byte(`{}`), "disk": []byte(`{}`)}); len(got) != 0 {
		t.Errorf("a fact that always differs has a digest: %v", got)
	}
}

// FuzzBootLog: for any text of the agent, a record is one line with one word for each key.
func FuzzBootLog(f *testing.F) {
	for _, text := range append(hometest.Hostile(), "running", "", "a b", `a"b`, "a=b", "\\", "None", "é", "\xff") {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, state, name string) {
		d := policy.Decisions{Profiles: map[string]policy.Decision{
			name: {Action: policy.ActionStart, PriorState: policy.Maybe(state), PriorExit: policy.Maybe(state), Code: state},
		}}
		for _, skip := range []bool{false, true} {
			if skip {
				d.Skip = []policy.Contribution{{Code: state, Reason: name}}
			}
			text := string(ledger.Pass{Decisions: d}.BootLog())
			if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") || strings.ContainsFunc(strings.TrimSpace(text), func(r rune) bool { return r < 0x20 || r > 0x7e }) {
				t.Errorf("%q of %q is %q", state, name, text)
			}
			if !skip && state == "running" && strings.Count(text, " action=") != 1+strings.Count(policy.Word(name), " action=") {
				t.Errorf("%q of %q is %q", state, name, text)
			}
		}
	})
}
