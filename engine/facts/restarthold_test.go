package facts

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"hermes-reconcile/engine/facts/facttest"
	"hermes-reconcile/engine/hometest"
	"hermes-reconcile/policy"
)

func TestRestartHold(t *testing.T) {
	hold := func(text string) map[string]string { return map[string]string{policy.RestartHoldFile: text} }
	later, past := strconv.FormatInt(now.Unix()+60, 10), strconv.FormatInt(now.Unix()-60, 10)
	checkProfiles(t, "restart_hold", []profileCase{
		{"missing", nil, map[string]string{"status": `"missing"`, "ended": `""`, "changed_files": "[]", "since_unix": "absent"}},
		{"everything", hold(`{"since_unix":` + past + `,"until_unix":` + later + `,"deaths":5,"window_seconds":600.5,"exit_code":256,"signal":9,"files":{}}`), map[string]string{
			"status": `"recorded"`, "since_unix": past, "until_unix": later, "deaths": "5", "window_seconds": "600.5", "exit_code": "256", "signal": "9", "ended": `""`, "changed_files": "[]"}},
		{"its time is over", hold(`{"since_unix":1,"until_unix":` + strconv.FormatInt(now.Unix(), 10) + `,"deaths":5}`), map[string]string{"ended": `"time"`}},
		{"without an end", hold(`{"since_unix":1,"until_unix":0,"deaths":5,"exit_code":1,"signal":0}`), map[string]string{"ended": `""`, "until_unix": "absent", "signal": "absent"}},
		{"from the future", hold(`{"since_unix":` + later + `,"deaths":5}`), map[string]string{"since_unix": strconv.FormatInt(now.Unix(), 10), "ended": `""`}},
		{"by a clock that was a year ahead", hold(`{"since_unix":` + strconv.FormatInt(now.Unix()+31536000, 10) + `,"until_unix":` + strconv.FormatInt(now.Unix()+31536000+3600, 10) + `,"deaths":5}`),
			map[string]string{"since_unix": strconv.FormatInt(now.Unix(), 10), "until_unix": strconv.FormatInt(now.Unix()+3600, 10), "ended": `""`}},
		{"a file came", map[string]string{policy.RestartHoldFile: `{"since_unix":1,"deaths":5,"files":{}}`, ".env": "A=1"}, map[string]string{"changed_files": `[".env"]`, "ended": `"changed"`}},
		{"a file went", hold(`{"since_unix":1,"deaths":5,"files":{"config.yaml":"a-b-c"}}`), map[string]string{"changed_files": `["config.yaml"]`, "ended": `"changed"`}},
		{"nothing recorded of the files", map[string]string{policy.RestartHoldFile: `{"since_unix":1,"deaths":5}`, ".env": "A=1"}, map[string]string{"changed_files": "[]", "ended": `""`}},
		{"no time", hold(`{"deaths":5}`), map[string]string{"status": `"invalid"`, "deaths": "absent"}},
		{"deaths is text", hold(`{"since_unix":1,"deaths":"5"}`), map[string]string{"status": `"invalid"`}},
		{"broken", hold(`{`), map[string]string{"status": `"invalid"`}},
		{"a link", map[string]string{"real": `{"since_unix":1,"deaths":5}`, policy.RestartHoldFile: "-> ../real"}, map[string]string{"status": `"unreadable"`}},
		{"state is a link", map[string]string{"real/reconcile.hold.json": `{"since_unix":1,"deaths":5}`, "state": "-> real"}, map[string]string{"status": `"unreadable"`}},
	})
}

// The restart budget writes a record with the values that the fact compares.
func TestRestartHoldEndsWithAChange(t *testing.T) {
	h := newHome(t, map[string]string{"profiles/coder/config.yaml": "a: 1\n"})
	hold := policy.RestartHold{SinceUnix: now.Unix() - 5, Deaths: 5, WindowSeconds: 600, ExitCode: 1}
	if err := h.WriteHold(context.Background(), "coder", hold); err != nil {
		t.Fatal(err)
	}
	source := profileSource(t, configFor(t, h), "restart_hold")
	facttest.Want(t, collectedFor(t, source, h, "coder"), map[string]string{"status": `"recorded"`, "ended": `""`, "changed_files": "[]", "exit_code": "1"})
	config := filepath.Join(h.Path(), "profiles/coder/config.yaml")
	later := time.Now().Add(time.Second)
	if err := os.Chtimes(config, later, later); err != nil {
		t.Fatal(err)
	}
	hometest.Put(t, h.Path(), "profiles/coder/.env", "A=1")
	facttest.Want(t, collectedFor(t, source, h, "coder"), map[string]string{"ended": `"changed"`, "changed_files": `[".env","config.yaml"]`})
}
