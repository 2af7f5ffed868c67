package facts

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"hermes-reconcile/engine/facts/facttest"
	"hermes-reconcile/engine/facts/read"
)

func TestPriorState(t *testing.T) {
	const file = "gateway_state.json"
	state := func(text string) map[string]string { return map[string]string{file: text} }
	checkProfiles(t, "prior_state", []profileCase{
		{"missing", nil, map[string]string{"status": `"missing"`, "desired": "absent"}},
		{"empty", state(" \n"), map[string]string{"status": `"empty"`}},
		{"desired", state(`{"desired_state":"running","gateway_state":"stopped"}`), map[string]string{"status": `"recorded"`, "desired": `"running"`, "gateway": `"stopped"`}},
		{"desired null", state(`{"desired_state":null,"gateway_state":"draining"}`), map[string]string{"status": `"recorded"`, "desired": "absent", "gateway": `"draining"`}},
		{"empty text counts", state(`{"desired_state":"","gateway_state":"running"}`), map[string]string{"desired": `""`}},
		{"spaces and case count", state(`{"desired_state":" Running "}`), map[string]string{"desired": `" Running "`}},
		{"keys in another case do not", state(`{"Desired_State":"running"}`), map[string]string{"status": `"recorded"`, "desired": "absent"}},
		{"last of two", state(`{"desired_state":"stopped","desired_state":"running"}`), map[string]string{"desired": `"running"`}},
		{"BOM", state("\ufeff" + `{"desired_state":"running"}`), map[string]string{"desired": `"running"`}},
		{"array", state(`["running"]`), map[string]string{"status": `"invalid"`, "error": `"JSON array, want a JSON object"`}},
		{"null", state(`null`), map[string]string{"status": `"invalid"`}},
		{"not UTF-8", state("{\"desired_state\":\"\xff\"}"), map[string]string{"status": `"invalid"`, "error": `"not UTF-8"`}},
		{"deep", state(texts["deep"]), map[string]string{"status": `"invalid"`, "error": `"nested deeper than 64"`}},
		{"5000 digits", state(texts["digits"]), map[string]string{"status": `"invalid"`}},
		{"exponent", state(texts["exponent"]), map[string]string{"status": `"invalid"`, "error": `"a number or exponent of more than 4 digits"`}},
		{"digits in a text", state(`{"desired_state":"running","exit_reason":"e` + strings.Repeat("7", 500) + `"}`), map[string]string{"status": `"recorded"`, "desired": `"running"`}},
		{"state is a list", state(`{"desired_state":["running"]}`), map[string]string{"status": `"invalid"`, "error": `"desired_state is not a string"`, "desired": "absent"}},
		{"trailing text", state(`{"desired_state":"running"}x`), map[string]string{"status": `"invalid"`, "error": `"not JSON at byte 28"`}},
		{"too large", state(`{"a":"` + strings.Repeat("x", 70000) + `"}`), map[string]string{"status": `"invalid"`, "error": `"larger than 65536 bytes"`}},
		{"a FIFO", state("fifo"), map[string]string{"status": `"unreadable"`}},
		{"endless", state("-> /dev/zero"), map[string]string{"status": `"unreadable"`}},
		{"a link", map[string]string{"other": "{}", file: "-> other"}, map[string]string{"status": `"unreadable"`}},
		{"a directory", map[string]string{file + "/": ""}, map[string]string{"status": `"unreadable"`}},
		{"50 GiB", state("huge"), map[string]string{"status": `"invalid"`}},
		{"everything", state(`{"desired_state":"running","gateway_state":"running","exit_reason":"sigterm","restart_requested":true,"active_agents":2,
			"served_profiles":["a","b"],"platforms":{"telegram":{"state":"fatal","error_code":"telegram_lock","needs_attention":true,"retrying_since":"2026-11-22T05:00:00Z"}},
			"pid":41,"start_time":12345,"updated_at":"2026-09-14T06:00:00.123456+00:00","migrated_from":"legacy-container-cmd","runtime_kind":"native","argv":["x"]}`),
			map[string]string{
				"exit_reason": `"sigterm"`, "restart_requested": "true", "active_agents": "2", "served_profiles": `["a","b"]`,
				"platforms/telegram/state": `"fatal"`, "platforms/telegram/needs_attention": "true", "platforms/telegram/retrying_since_unix": "1795323600",
				"pid": "41", "start_time": "12345", "updated_at_unix": "1789365600", "migrated_from": `"legacy-container-cmd"`, "runtime_kind": `"native"`, "unexpected": "absent",
			}},
		{"updated_at as a number", state(`{"updated_at":1795000000}`), map[string]string{"updated_at_unix": "1795000000"}},
		{"another field of another type", state(`{"desired_state":"running","pid":"x","platforms":[]}`), map[string]string{"status": `"recorded"`, "desired": `"running"`, "unexpected": `["pid","platforms"]`}},
	})
}

func TestLifecycle(t *testing.T) {
	const file = "state/gateway.lifecycle.json"
	checkProfiles(t, "lifecycle", []profileCase{
		{"missing", nil, map[string]string{"status": `"missing"`, "exit": `"unknown"`}},
		{"running", map[string]string{file: `{"phase":"running","started_at":"2026-11-22T05:00:00+00:00","prior_unclean_exit":true,"prior_suspected_oom":true}`},
			map[string]string{"status": `"recorded"`, "exit": `"unclean"`, "started_at_unix": "1795323600", "prior_unclean": "true", "prior_oom": "true"}},
		{"exited", map[string]string{file: `{"phase":"exited","exit_code":78,"exit_reason":"config","exited_at":1795323600.7}`},
			map[string]string{"exit": `"clean"`, "exit_code": "78", "exit_reason": `"config"`, "exited_at_unix": "1795323600"}},
		{"another phase", map[string]string{file: `{"phase":"Running"}`}, map[string]string{"exit": `"unknown"`, "phase": `"Running"`}},
		{"state is a link", map[string]string{"elsewhere/gateway.lifecycle.json": `{"phase":"exited"}`, "state": "-> elsewhere"}, map[string]string{"status": `"unreadable"`, "exit": `"unknown"`}},
		{"broken", map[string]string{file: `{`}, map[string]string{"status": `"invalid"`, "exit": `"unknown"`}},
	})
}

func TestRuntimeFiles(t *testing.T) {
	me, err := read.Proc("/proc").Process(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	alive := `{"pid":` + strconv.Itoa(me.PID) + `,"start_time":` + strconv.FormatUint(me.Started, 10) + `}`
	reused := `{"pid":` + strconv.Itoa(me.PID) + `,"start_time":1}`
	checkProfiles(t, "runtime_files", []profileCase{
		{"none", nil, map[string]string{"status": `"recorded"`, "files": "{}", "lock/status": `"missing"`, "lock/held": "false"}},
		{"stale", map[string]string{"gateway.pid": reused, "gateway.lock": ""},
			map[string]string{"files/gateway.pid/sweepable": "true", "files/gateway.pid/pid_alive": "false", "files/gateway.lock/sweepable": "false", "lock/held": "false", "lock/status": `"recorded"`}},
		{"its process is alive", map[string]string{"gateway.pid": alive}, map[string]string{"files/gateway.pid/sweepable": "false", "files/gateway.pid/pid_alive": "true"}},
		{"a bare number", map[string]string{"gateway.pid": strconv.Itoa(me.PID) + "\n"}, map[string]string{"files/gateway.pid/status": `"recorded"`, "files/gateway.pid/sweepable": "true"}},
		{"broken is stale too", map[string]string{"gateway.pid": "{"}, map[string]string{"files/gateway.pid/status": `"invalid"`, "files/gateway.pid/sweepable": "true"}},
		{"a link is removed as such", map[string]string{"gateway.pid": "-> /etc/passwd"}, map[string]string{"files/gateway.pid/kind": `"link"`, "files/gateway.pid/status": `"unreadable"`, "files/gateway.pid/sweepable": "true"}},
		{"a directory is not", map[string]string{"gateway.pid/x": ""}, map[string]string{"files/gateway.pid/kind": `"directory"`, "files/gateway.pid/sweepable": "false"}},
		{"a lock that cannot be read counts as held", map[string]string{"gateway.pid": "{}", "gateway.lock": "fifo"},
			map[string]string{"lock/status": `"unreadable"`, "lock/held": "true", "files/gateway.pid/sweepable": "false"}},
		{"markers", map[string]string{".gateway-takeover.json": `{"target_pid":7,"target_start_time":1,"written_at":"2026-11-22T06:00:00+00:00"}`, ".gateway-planned-stop.json": `{"target_pid":7,"written_at":"2099-01-01T00:00:00Z"}`, "processes.json": "[]"},
			map[string]string{"files/.gateway-takeover.json/pid": "7", "files/.gateway-takeover.json/age_seconds": "11", "files/.gateway-planned-stop.json/age_seconds": "absent", "files/processes.json/sweepable": "true"}},
	})
}

func TestNothingIsSweepableWhileTheLockIsHeld(t *testing.T) {
	h := newHome(t, map[string]string{"profiles/coder/gateway.pid": "{}", "profiles/coder/gateway.lock": ""})
	f, err := os.Open(filepath.Join(h.Path(), "profiles/coder/gateway.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	fact := collectedFor(t, profileSource(t, configFor(t, h), "runtime_files"), h, "coder")
	if facttest.Get(fact, "lock", "held") != "true" || facttest.Get(fact, "files", "gateway.pid", "sweepable") != "false" {
		t.Errorf("with a held lock: %v", fact)
	}
}

func TestStartsAndUncleanExits(t *testing.T) {
	checkProfiles(t, "starts", []profileCase{
		{"missing", nil, map[string]string{"status": `"missing"`, "count": "0", "last_unix": "absent", "chain_status": `"missing"`}},
		{"some", map[string]string{"gateway-starts.log": "1795000000.25\nx\n1795000060\n", "gateway/restart_loop.json": `{"boots":[1,2,3]}`},
			map[string]string{"status": `"recorded"`, "count": "2", "last_unix": "1795000060", "times_unix": "[1795000000,1795000060]", "chained_boots": "3", "chain_status": `"recorded"`}},
		{"many", map[string]string{"gateway-starts.log": strings.Repeat("1795000000.123456\n", 5000)}, map[string]string{"count": "40"}},
		{"no times", map[string]string{"gateway-starts.log": "x\ny\n"}, map[string]string{"status": `"invalid"`}},
		{"huge", map[string]string{"gateway-starts.log": "huge"}, map[string]string{"count": "0"}},
	})
	line := `{"tag":"gateway.previous_unclean_exit","ts":"2026-11-22T05:00:00+00:00","suspected_oom":true,"state_db_integrity":"ok"}` + "\n"
	checkProfiles(t, "unclean_exits", []profileCase{
		{"missing", nil, map[string]string{"status": `"missing"`, "count": "0"}},
		{"two", map[string]string{"logs/gateway-exit-diag.log": `{"tag":"gateway.start"}` + "\n" + line + `not json` + "\n" + line + `{"tag":"gateway.previous_uncl`},
			map[string]string{"count": "2", "times_unix": "[1795323600,1795323600]", "last/suspected_oom": "true", "last/state_db_integrity": `"ok"`}},
		{"only the tail", map[string]string{"logs/gateway-exit-diag.log": strings.Repeat(line, 10) + strings.Repeat("{\"tag\":\"x\"}\n", 10000) + line}, map[string]string{"count": "1"}},
		{"huge", map[string]string{"logs/gateway-exit-diag.log": "huge"}, map[string]string{"count": "0"}},
	})
}

func TestConfigMarkersAndNames(t *testing.T) {
	checkProfiles(t, "config", []profileCase{
		{"missing", nil, map[string]string{"status": `"missing"`, "jobs_status": `"missing"`, "providers_status": `"missing"`}},
		{"set", map[string]string{"config.yaml": "gateway:\n  standalone: yes\nplatforms:\n  telegram: {enabled: true}\n  slack: {}\n", "cron/jobs.json": `{"jobs":[{"enabled":false},{}]}`, "auth.json": `{"providers":{"a":{},"b":{}},"version":1}`},
			map[string]string{"standalone": "true", "platforms/telegram/enabled": "true", "platforms/slack": "{}", "job_count": "2", "enabled_jobs": "1", "provider_count": "2"}},
		{"a list of jobs", map[string]string{"cron/jobs.json": `[{},{}]`}, map[string]string{"job_count": "2", "jobs_status": `"recorded"`}},
		{"no jobs", map[string]string{"cron/jobs.json": `[]`}, map[string]string{"job_count": "0", "jobs_status": `"empty"`}},
		{"broken jobs", map[string]string{"cron/jobs.json": `[}`}, map[string]string{"jobs_status": `"invalid"`}},
		{"broken", map[string]string{"config.yaml": "a: [1\nb: 2"}, map[string]string{"status": `"invalid"`, "standalone": "absent"}},
		{"last of two keys", map[string]string{"config.yaml": "gateway: {standalone: true}\ngateway: {standalone: false}\n"}, map[string]string{"standalone": "false"}},
		{"merged", map[string]string{"config.yaml": "base: &b {standalone: true}\ngateway: {<<: *b}\n"}, map[string]string{"standalone": "true"}},
		{"only a comment", map[string]string{"config.yaml": "# nothing\n"}, map[string]string{"status": `"empty"`}},
	})
	checkProfiles(t, "markers", []profileCase{
		{"none", nil, map[string]string{"files": "{}", "status": `"recorded"`}},
		{"some", map[string]string{"SOUL.md": "-> x", "cron/jobs.json": "[]", "state.db/": "", "auth.json": "fifo"},
			map[string]string{"files/SOUL.md/kind": `"link"`, "files/state.db/kind": `"directory"`, "files/auth.json/kind": `"other"`, "files/config.yaml": "absent"}},
	})
	checkProfiles(t, "operator_files", []profileCase{
		{"one", map[string]string{".no-auto-start": ""}, map[string]string{"files/.no-auto-start/kind": `"file"`, "files/.autostart": "absent"}},
	})
	checkProfiles(t, "ownership", []profileCase{
		{"plain", nil, map[string]string{"status": `"recorded"`, "uid": strconv.Itoa(os.Geteuid()), "mode": `"0755"`, "writable": "true"}},
	})
}

func TestNames(t *testing.T) {
	long := strings.Repeat("x", 243)
	h := newHome(t, map[string]string{
		"profiles/coder/": "", "profiles/link": "-> coder", "profiles/UPPER/": "", "profiles/-dash/": "",
		"profiles/default/": "", "profiles/" + long + "/": "", "profiles/" + long[1:] + "/": "", "profiles/a b/": "",
	})
	for profile, want := range map[string]string{
		"default": `""`, "coder": `""`, "link": `"link"`, "UPPER": `"characters"`, "-dash": `"characters"`, "a b": `"characters"`,
		"profiles/default": `"reserved"`, long: `"too_long"`, long[1:]: `""`,
	} {
		fact := collectedFor(t, profileSource(t, configFor(t, h), "name"), h, profile)
		if facttest.Get(fact, "problem") != want || facttest.Get(fact, "valid") != strconv.FormatBool(want == `""`) {
			t.Errorf("name of %.20q is %v, want problem %s", profile, fact, want)
		}
	}
}

func TestLogDirectory(t *testing.T) {
	h := newHome(t, map[string]string{
		"profiles/coder/": "", "profiles/writer/": "", "profiles/default/": "", "profiles/linked/": "", "profiles/fresh/": "",
		"logs/gateways/coder/current": "12345", "logs/gateways/coder/@old": "1234567", "logs/gateways/coder/lock": "",
		"logs/gateways/linked": "-> coder", "logs/gateways/fresh/": "", "logs/gateways/default/current": "123",
	})
	source := profileSource(t, configFor(t, h), "log_directory")
	for profile, want := range map[string][2]string{
		"coder": {`"recorded"`, "12"}, "writer": {`"missing"`, "0"}, "linked": {`"unreadable"`, "0"},
		"fresh": {`"empty"`, "0"}, "default": {`"recorded"`, "3"}, "profiles/default": {`"missing"`, "0"},
	} {
		fact := collectedFor(t, source, h, profile)
		if facttest.Get(fact, "status") != want[0] || facttest.Get(fact, "bytes") != want[1] {
			t.Errorf("log_directory of %s is %v, want status %s and %s bytes", profile, fact, want[0], want[1])
		}
		if lock := facttest.Get(fact, "lock"); lock != strconv.FormatBool(profile == "coder") {
			t.Errorf("lock of %s is %s", profile, lock)
		}
	}
}
