package plugins

import (
	"strings"
	"testing"

	"hermes-reconcile/policy/trust"
)

// A plug-in never runs as root, and as the agents' user only where the operator says so.
func TestUserOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		agents int
		uid    int
		err    string
	}{
		{"", 10000, 65534, ""}, {"10000:10000", 10000, 10000, ""}, {"65534:65534", 65534, 65534, ""}, {"nobody", 10000, 65534, ""},
		{"", 65534, 0, "facts.user is not set"}, {"root", 10000, 0, "facts.user is root"}, {"0:0", 10000, 0, "facts.user is root"},
		{"77:0", 10000, 0, "group of root"}, {"nobodi", 10000, 0, `there is no user "nobodi"`},
	} {
		got, err := UserOf(test.name, trust.User{UID: test.agents, GID: test.agents})
		if test.err == "" && (err != nil || got.UID != test.uid) || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("facts.user %q with agents %d: %d, %v; want %d, %q", test.name, test.agents, got.UID, err, test.uid, test.err)
		}
	}
}
