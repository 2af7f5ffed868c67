package explain

import (
	"encoding/json"
	"testing"

	"hermes-reconcile/policy"
)

// setFact changes one fact and leaves the original alone.
func TestSetFact(t *testing.T) {
	in := policy.Input{
		Container: policy.Facts{"multiplex": json.RawMessage(`{"on":true,"n":12345678901234567890}`)},
		Profiles:  map[string]policy.Facts{"coder": {"prior_state": json.RawMessage(`{"status":"missing"}`)}},
	}
	for _, test := range []struct {
		path []string
		want string
		ok   bool
	}{
		{[]string{"container", "multiplex", "on"}, `{"n":12345678901234567890,"on":false}`, true},
		{[]string{"container", "multiplex", "on", "deeper"}, "", false},
		{[]string{"container", "none", "on"}, "", false},
		{[]string{"now", "minute"}, "", false},
	} {
		got, ok := setFact(in, test.path, false)
		if ok != test.ok || ok && string(got.Container["multiplex"]) != test.want {
			t.Errorf("%v: %s, %v; want %s, %v", test.path, got.Container["multiplex"], ok, test.want, test.ok)
		}
	}
	got, ok := setFact(in, []string{"profiles", "kids", "prior_state"}, map[string]any{"status": "missing"})
	if !ok || len(got.Profiles) != 2 || len(in.Profiles) != 1 {
		t.Errorf("got %v, and the original has %v", got.Profiles, in.Profiles)
	}
	if string(in.Container["multiplex"]) != `{"on":true,"n":12345678901234567890}` {
		t.Errorf("the original is %s now", in.Container["multiplex"])
	}
}
