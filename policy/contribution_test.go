package policy

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"
)

func TestDecodeMemberRefuses(t *testing.T) {
	tests := []struct {
		set    Set
		member map[string]any
		want   string
	}{
		{SetHold, map[string]any{"profile": "coder"}, `member of hold: "reason" is missing`},
		{SetHold, map[string]any{"profile": "coder", "reason": ""}, "reason is empty"},
		{SetHold, map[string]any{"profile": json.Number("7"), "reason": "x"}, "profile is a number, want a string"},
		{SetHold, map[string]any{"profile": nil, "reason": "x"}, "profile is null, want a string"},
		{SetHold, map[string]any{"profile": "coder", "reason": "x", "seconds": json.Number("1")}, `unknown key "seconds", have "profile", "reason", "code", "until"`},
		{SetHold, map[string]any{"profile": "coder", "reason": "x", "until": "6 o'clock"}, "is not a time like"},
		{SetStart, map[string]any{"profile": "coder", "reason": "x", "code": "No Word"}, `code "No Word" is not a word like quiet_hours`},
		{SetDelay, map[string]any{"profile": "coder", "reason": "x", "seconds": json.Number("-1")}, "seconds is -1, want 0 to 3600"},
		{SetDelay, map[string]any{"profile": "coder", "reason": "x", "seconds": json.Number("1e999")}, "out of range"},
		{SetEnv, map[string]any{"profile": "coder", "reason": "x", "name": "A=B", "value": "x"}, `name "A=B" is not the name of an environment variable`},
		{SetEnv, map[string]any{"profile": "coder", "reason": "x", "name": "A", "value": "x\ny"}, "the value of A has a control character"},
		{SetSeed, map[string]any{"profile": "coder", "reason": "x", "state": "up"}, `state "up" is not running or stopped`},
		{SetRestart, map[string]any{"profile": "coder", "reason": "x", "exit_codes": map[string]any{"256": "never"}}, `exit code "256" is not a number from 0 to 255`},
		{SetRestart, map[string]any{"profile": "coder", "reason": "x", "exit_codes": map[string]any{"1": "later"}}, `exit code 1 answers "later", have "never", "now", "backoff"`},
		{SetRestart, map[string]any{"profile": "coder", "reason": "x", "budget": map[string]any{"deaths": json.Number("0"), "window_seconds": json.Number("1")}}, "want 1 to 4096 deaths"},
		{SetRestart, map[string]any{"profile": "coder", "reason": "x", "budget": map[string]any{"deaths": json.Number("2"), "window_seconds": json.Number("1")}, "on_exhaustion": "stop"}, `have "hold", "slow"`},
	}
	for _, test := range tests {
		_, err := DecodeMember(test.set, test.member)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("DecodeMember(%s, %v): %v, want %q", test.set, test.member, err, test.want)
		}
	}
}

// Every set takes a member with exactly the keys that Fields names as required.
// A rule that copies what an agent wrote says at most MaxText bytes. A text that means
// something when it is shorter is not cut.
func TestDecodeMemberLimitsTexts(t *testing.T) {
	long := strings.Repeat("x", 100<<20)
	c, err := DecodeMember(SetHold, map[string]any{"profile": "coder", "reason": long})
	if err != nil || len(c.Reason) > MaxText || !strings.HasSuffix(c.Reason, " bytes more)") {
		t.Errorf("a reason of %d bytes, %v", len(c.Reason), err)
	}
	for _, key := range []string{"profile", "code", "name", "value"} {
		member := map[string]any{"profile": "coder", "code": "x", "name": "A", "value": "a", "reason": "x"}
		member[key] = long
		_, err := DecodeMember(SetEnv, member)
		if err == nil || len(err.Error()) > 200 || !strings.Contains(err.Error(), key+" has 104857600 bytes, want at most") {
			t.Errorf("%s: %.200v", key, err)
		}
	}
	_, err = DecodeMember(SetHold, map[string]any{"profile": "coder", "reason": "x", long: "x"})
	if err == nil || len(err.Error()) > 2*MaxText {
		t.Error("an error repeats a key of 100 MB")
	}
}

func TestDecodeMemberTakesTheRequiredKeys(t *testing.T) {
	values := map[string]any{
		"profile": "coder", "reason": "x", "rule": "reconcile.rules.x", "file": "gateway.pid", "seconds": json.Number("1.5"),
		"name": "A", "value": "", "state": "running",
	}
	for _, set := range Sets {
		required, _ := Fields(set)
		member := map[string]any{}
		for _, key := range required {
			member[key] = values[key]
		}
		if set == SetRestart {
			member["exit_codes"] = map[string]any{"78": "never"}
		}
		c, err := DecodeMember(set, member)
		if err != nil {
			t.Errorf("DecodeMember(%s, %v): %v", set, member, err)
		}
		if c.Set != set || c.Reason != "x" {
			t.Errorf("DecodeMember(%s, %v) = %+v", set, member, c)
		}
	}
}

// Names stay apart and on one line, whatever bytes the directory has.
func TestProfileNameIsUniqueAndPrintable(t *testing.T) {
	entry := rapid.StringMatching(`[a-z"\\x0-9/\x00-\x1f]{0,6}`)
	raw := rapid.Custom(func(t *rapid.T) string {
		if rapid.Bool().Draw(t, "bytes") {
			return string(rapid.SliceOfN(rapid.Byte(), 1, 6).Draw(t, "raw"))
		}
		return entry.Draw(t, "entry")
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := raw.Draw(t, "a"), raw.Draw(t, "b")
		if strings.ContainsAny(a+b, "/") {
			t.Skip("no directory entry has a slash")
		}
		if a != b && ProfileName(a) == ProfileName(b) {
			t.Fatalf("%q and %q are both called %s", a, b, ProfileName(a))
		}
		for _, r := range ProfileName(a) {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q is called %q", a, ProfileName(a))
			}
		}
	})
	if ProfileName(RootProfile) == RootProfile {
		t.Error("profiles/default is taken for the root profile")
	}
}
