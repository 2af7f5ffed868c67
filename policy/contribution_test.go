package policy

import (
	"encoding/json"
	"reflect"
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
		{SetEnv, map[string]any{"profile": "coder", "reason": "x", "name": "A=B", "value": "x"}, `name "A=B" is not the name of an environment variable`},
		{SetEnv, map[string]any{"profile": "coder", "reason": "x", "name": "A", "value": "x\ny"}, "the value of A has a control character"},
		{SetSeed, map[string]any{"profile": "coder", "reason": "x", "state": "up"}, `state "up" is not running or stopped`},
		{SetRestart, map[string]any{"profile": "coder", "reason": "x", "exit_codes": map[string]any{"256": "never"}}, `exit code "256" is not a number from 0 to 255, a signal such as "SIGKILL", "oom" or "*"`},
		{SetRestart, map[string]any{"profile": "coder", "reason": "x", "exit_codes": map[string]any{"KILL": "never"}}, `exit code "KILL" is not a number from 0 to 255, a signal such as "SIGKILL"`},
		{SetRestart, map[string]any{"profile": "coder", "reason": "x", "exit_codes": map[string]any{"1": "now"}, "count_term": "yes"}, `count_term is a string, want a boolean`},
		{SetRestart, map[string]any{"profile": "coder", "reason": "x", "budget": map[string]any{"death": json.Number("1")}}, `budget: json: unknown field "death"; have {"deaths": 5`},
		{SetRestart, map[string]any{"profile": "coder", "reason": "x", "exit_codes": map[string]any{"1": "now"}, "on_exhaustion": json.Number("1")}, `on_exhaustion is a number, want a string`},
		{SetRecheck, map[string]any{"reason": "x"}, "member of recheck: want exactly one of at and after_seconds"},
		{SetRecheck, map[string]any{"reason": "x", "at": "2026-11-22T06:00:00Z", "after_seconds": json.Number("1")}, "member of recheck: want exactly one of at and after_seconds"},
		{SetRecheck, map[string]any{"reason": "x", "at": "tomorrow"}, `at "tomorrow" is not a time like 2026-11-22T06:00:00Z`},
		{SetRecheck, map[string]any{"reason": "x", "at": ""}, `at "" is not a time like`},
		{SetRecheck, map[string]any{"reason": "x", "after_seconds": "60"}, "after_seconds is a string, want a number"},
		{SetRecheck, map[string]any{"reason": "x", "at": "2026-11-22T06:00:00Z", "until": "x"}, `unknown key "until", have "reason", "at", "after_seconds", "profile", "code"`},
		{SetHold, map[string]any{"profile": "coder", "reason": "x", "priority": json.Number("1")}, `unknown key "priority"`},
		{SetRestart, map[string]any{"profile": "coder", "reason": "x", "exit_codes": map[string]any{"1": "later"}}, `exit code 1 answers "later", have "never", "now", "backoff"`},
		{SetRestart, map[string]any{"profile": "coder", "reason": "x", "budget": map[string]any{"deaths": json.Number("2"), "window_seconds": json.Number("1")}, "on_exhaustion": "stop"}, `have "hold", "slow"`},
	}
	for _, test := range tests {
		_, _, err := DecodeMember(test.set, test.member)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("DecodeMember(%s, %v): %v, want %q", test.set, test.member, err, test.want)
		}
	}
}

// A number out of its range is cut to the range, and the member counts.
func TestDecodeMemberCutsNumbers(t *testing.T) {
	delay := func(seconds string) map[string]any {
		return map[string]any{"profile": "coder", "reason": "x", "seconds": json.Number(seconds)}
	}
	recheck := func(seconds string) map[string]any {
		return map[string]any{"profile": "coder", "reason": "x", "after_seconds": json.Number(seconds)}
	}
	restart := func(deaths, hold string) map[string]any {
		budget := map[string]any{"deaths": json.Number(deaths), "window_seconds": json.Number("60")}
		return map[string]any{"profile": "coder", "reason": "x", "budget": budget, "hold_seconds": json.Number(hold)}
	}
	budget := func(deaths int, hold float64) Contribution {
		return Contribution{Restart: &Restart{Budget: &Budget{Deaths: deaths, WindowSeconds: 60}, HoldSeconds: hold}}
	}
	for _, test := range []struct {
		set    Set
		member map[string]any
		want   Contribution
		cut    string
	}{
		{SetDelay, delay("3601"), Contribution{Seconds: 3600}, "member of delay: seconds is 3601, want 0 to 3600; 3600 counts"},
		{SetDelay, delay("-1"), Contribution{}, "member of delay: seconds is -1, want 0 to 3600; 0 counts"},
		{SetDelay, delay("1e999"), Contribution{Seconds: 3600}, "member of delay: seconds is +Inf, want 0 to 3600; 3600 counts"},
		{SetDelay, delay("3600"), Contribution{Seconds: 3600}, ""},
		{SetRecheck, recheck("0"), Contribution{AfterSeconds: 1}, "member of recheck: after_seconds is 0, want 1 to 2678400; 1 counts"},
		{SetRecheck, recheck("1e9"), Contribution{AfterSeconds: 2678400}, "member of recheck: after_seconds is 1000000000, want 1 to 2678400; 2678400 counts"},
		{SetRecheck, recheck("90"), Contribution{AfterSeconds: 90}, ""},
		{SetRestart, restart("0", "60"), budget(1, 60), "member of restart: deaths is 0, want 1 to 4096; 1 counts"},
		{SetRestart, restart("5000", "-1"), budget(4096, 0), "member of restart: hold_seconds is -1, want 0 to 31622400; 0 counts; deaths is 5000, want 1 to 4096; 4096 counts"},
		{SetRestart, map[string]any{"profile": "coder", "reason": "x", "exit_codes": map[string]any{"1": "now"}, "reset_after_seconds": json.Number("-1"), "priority": json.Number("5000")},
			Contribution{Priority: 1000, Restart: &Restart{ExitCodes: map[string]string{"1": "now"}}},
			"member of restart: priority is 5000, want -1000 to 1000; 1000 counts; reset_after_seconds is -1, want 0 to 31622400; 0 counts"},
	} {
		c, cut, err := DecodeMember(test.set, test.member)
		test.want.Set, test.want.Profile, test.want.Reason = test.set, "coder", "x"
		if err != nil || cut != test.cut || !reflect.DeepEqual(c, test.want) {
			t.Errorf("%s %v: %+v, %q, %v; want %+v, %q", test.set, test.member, c, cut, err, test.want, test.cut)
		}
	}
}

// Every set takes a member with exactly the keys that Fields names as required.
// A rule that copies what an agent wrote says at most MaxText bytes. A text that means
// something when it is shorter is not cut.
func TestDecodeMemberLimitsTexts(t *testing.T) {
	long := strings.Repeat("x", 100<<20)
	c, _, err := DecodeMember(SetHold, map[string]any{"profile": "coder", "reason": long})
	if err != nil || len(c.Reason) > MaxText || !strings.HasSuffix(c.Reason, " bytes more)") {
		t.Errorf("a reason of %d bytes, %v", len(c.Reason), err)
	}
	for _, key := range []string{"profile", "code", "name", "value"} {
		member := map[string]any{"profile": "coder", "code": "x", "name": "A", "value": "a", "reason": "x"}
		member[key] = long
		_, _, err := DecodeMember(SetEnv, member)
		if err == nil || len(err.Error()) > 200 || !strings.Contains(err.Error(), key+" has 104857600 bytes, want at most") {
			t.Errorf("%s: %.200v", key, err)
		}
	}
	_, _, err = DecodeMember(SetHold, map[string]any{"profile": "coder", "reason": "x", long: "x"})
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
		if set == SetRecheck {
			member["after_seconds"] = json.Number("60")
		}
		c, _, err := DecodeMember(set, member)
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
