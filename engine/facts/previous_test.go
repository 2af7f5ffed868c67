package facts

import (
	"hermes-reconcile/engine/facts/facttest"
	"strings"
	"testing"
)

func TestPrevious(t *testing.T) {
	const (
		boot  = `{"time":"2026-11-22T05:00:00Z","boot_id":"b1","phase":"boot","image":"v1","action":"reconciled","code":"reconciled","reason":"2 profiles","policy":{"source":"built-in","revision":"r1","fallback":true,"errors":[]},"errors":["x","y"]}` + "\n"
		coder = `{"time":"2026-11-22T05:00:00Z","boot_id":"b1","phase":"boot","image":"v1","profile":"coder","action":"started","code":"prior_intent","reason":"","prior_state":"running","prior_exit":"unclean","policy":{}}` + "\n"
		apply = `{"time":"2026-11-22T05:30:00Z","boot_id":"b1","phase":"apply","command":"stop","image":"v1","action":"reconciled","code":"reconciled","reason":"","policy":{"revision":"r2"}}` + "\n"
		stop  = `{"time":"2026-11-22T05:30:00Z","phase":"apply","command":"stop","profile":"coder","action":"registered","code":"no_start_rule","reason":"","prior_state":"stopped","prior_exit":"clean","policy":{}}` + "\n"
	)
	none := map[string]string{"status": `"missing"`, "action": "absent"}
	for _, test := range []struct {
		name, ledger       string
		container, profile map[string]string
	}{
		{"no ledger", "", none, none},
		{"a boot", boot + coder,
			map[string]string{"status": `"recorded"`, "time_unix": "1795323600", "phase": `"boot"`, "command": "absent", "action": `"reconciled"`, "boot_id": `"b1"`, "image": `"v1"`, "policy_revision": `"r1"`, "fallback": "true"},
			map[string]string{"status": `"recorded"`, "time_unix": "1795323600", "action": `"started"`, "code": `"prior_intent"`, "prior_state": `"running"`, "prior_exit": `"unclean"`}},
		{"the newest of each", boot + coder + apply + stop + boot,
			map[string]string{"phase": `"boot"`, "policy_revision": `"r1"`}, map[string]string{"command": `"stop"`, "action": `"registered"`, "prior_exit": `"clean"`}},
		{"a pass that left the profile alone", boot + apply, map[string]string{"command": `"stop"`, "fallback": "false"}, none},
		{"lines that are none", "[]\n{}\nnull\n" + boot + "{\"time\":\"2026-11-2", map[string]string{"boot_id": `"b1"`}, none},
		{"a time that is none", `{"time":"now","action":"` + strings.Repeat("x", 300) + `"}`, map[string]string{"time_unix": "absent", "action": `"` + strings.Repeat("x", 256) + `…"`}, none},
		{"only the end of a long one", coder + strings.Repeat(apply, 8000), map[string]string{"command": `"stop"`}, none},
		{"a link", "-> /etc/passwd", map[string]string{"status": `"unreadable"`}, map[string]string{"status": `"unreadable"`}},
		{"a FIFO", "fifo", map[string]string{"status": `"unreadable"`}, map[string]string{"status": `"unreadable"`}},
		{"50 GiB of nothing", "huge", none, none},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := map[string]string{"profiles/coder/": ""}
			if test.ledger != "" {
				files["logs/container-boot.jsonl"] = test.ledger
			}
			h := newHome(t, files)
			c := configFor(t, h)
			facttest.Want(t, facttest.Collect(t, containerSource(t, c, "previous")), test.container)
			facttest.Want(t, collectedFor(t, profileSource(t, c, "previous"), h, "coder"), test.profile)
		})
	}
}
