package facts

import (
	"context"
	"os"
	"strings"
	"testing"

	"hermes-reconcile/engine/facts/facttest"
	"hermes-reconcile/engine/volume"
)

// readFiles lists the files of a profile that a source reads.
var readFiles = []string{
	"gateway_state.json", "state/gateway.lifecycle.json", "gateway.pid", "processes.json",
	".gateway-takeover.json", ".gateway-planned-stop.json", "gateway.lock", ".env", "config.yaml",
	"gateway-starts.log", "gateway/restart_loop.json", "logs/gateway-exit-diag.log", "cron/jobs.json", "auth.json",
	"state/reconcile.hold.json", "SOUL.md", "profile.yaml", "state.db", ".no-auto-start", ".autostart",
}

// homeFiles lists the files of the home that a source about the container reads.
var homeFiles = []string{"config.yaml", ".env", "ESTOP", ".drain_request.json", "fleet_restart_pending", "active_profile", "gateway_migration.json", "state/reconcile.owner.json", "logs/container-boot.jsonl", lockDir + "telegram-bot-token-0123456789abcdef.lock"}

// texts are contents that each of the files may have.
var texts = map[string]string{
	"empty":          "",
	"blank":          " \n\t\n",
	"null":           "null",
	"array":          `["` + facttest.Secret + `"]`,
	"number":         "12",
	"string":         `"` + facttest.Secret + `"`,
	"empty object":   "{}",
	"bom":            "\ufeff{\"desired_state\":\"running\"}",
	"other case":     `{"Desired_State":"running","PID":1}`,
	"twice":          `{"desired_state":"stopped","desired_state":"running"}`,
	"not UTF-8":      "{\"desired_state\":\"\xff" + facttest.Secret + "\"}",
	"deep":           strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000),
	"deep arrays":    strings.Repeat("[", 30000),
	"digits":         `{"pid":` + strings.Repeat("9", 5000) + `}`,
	"exponent":       `{"pid":1e999999999,"active_agents":1E+12345,"desired_state":"running"}`,
	"wrong types":    `{"desired_state":["running"],"gateway_state":7,"pid":"x","platforms":[1],"served_profiles":{},"phase":1,"boots":{},"providers":[],"jobs":7,"written_at":[],"updated_at":{}}`,
	"wrong inner":    `{"desired_state":"running","platforms":{"a":1,"b":{"state":2}},"active_agents":1.5,"updated_at":-1,"pid":1e300,"exit_code":"x","jobs":[1,"` + facttest.Secret + `"]}`,
	"torn":           `{"desired_state":"` + facttest.Secret,
	"trailing":       `{"desired_state":"running"} ` + facttest.Secret,
	"yaml":           "gateway:\n  standalone: yes\nplatforms: {telegram: {token: " + facttest.Secret + ", enabled: on}}\n",
	"bad yaml":       "a: [1\nb: *" + facttest.Secret + "\n\t- x",
	"yaml bomb":      "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nplatforms: &p {<<: *p, x: *c}\ngateway: *p\n",
	"yaml self":      "a: &a\n  <<: *a\n  gateway: *a\nplatforms: *a\n",
	"dotenv":         "TELEGRAM_BOT_TOKEN=" + facttest.Secret + "\nAPI_SERVER_PORT=99999999\nexport X_KEY='" + facttest.Secret,
	"times":          "1795000000.5\nnan\ninf\n-1\n1e400\nx\n1795000001\n",
	"exits":          `{"tag":"gateway.previous_unclean_exit","ts":"2026-11-22T05:58:40+00:00","suspected_oom":true}` + "\n" + `{"tag":"gateway.previous_unclean_exit","ts":[1]}` + "\n{torn",
	"zero bytes":     "\x00\x00\x00",
	"long line":      strings.Repeat("x", 70000),
	"control chars":  "a\x1b[31m\rb",
	"hold":           `{"since_unix":1,"deaths":5,"files":{".env":"x"},"signal":"` + facttest.Secret + `"}`,
	"pid and starts": `{"pid":1,"start_time":0,"target_pid":1,"target_start_time":1,"written_at":"2026-11-22T06:00:00Z"}`,
}

// kinds are file types that may stand in place of a file.
var things = map[string]string{
	"fifo":          "fifo",
	"device":        "-> /dev/zero",
	"link":          "-> real",
	"dangling link": "-> nowhere",
	"huge":          "huge",
}

// TestEveryFactKeepsItsPromise puts every text and every file type in place of every file
// that is read, and validates all facts.
func TestEveryFactKeepsItsPromise(t *testing.T) {
	zoo := map[string]string{}
	for name, text := range texts {
		zoo["text "+name] = text
	}
	for name, text := range things {
		zoo[name] = text
	}
	for name, text := range zoo {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"real": "{}", "profiles/coder/real": "{}", "logs/gateways/coder/lock": text, "logs/gateways/coder/current": text}
			for _, file := range readFiles {
				files["profiles/coder/"+file] = text
			}
			for _, file := range homeFiles {
				files[file] = text
			}
			validateAll(t, newHome(t, files))
		})
	}
	t.Run("directories", func(t *testing.T) {
		files := map[string]string{"logs/gateways/coder/lock/": ""}
		for _, file := range readFiles {
			files["profiles/coder/"+file+"/"] = ""
		}
		for _, file := range homeFiles {
			files[file+"/"] = ""
		}
		validateAll(t, newHome(t, files))
	})
	t.Run("entries that are no profiles", func(t *testing.T) {
		validateAll(t, newHome(t, map[string]string{
			"profiles/linked": "-> ..", "profiles/default/": "", "profiles/\xff\n/": "", "profiles/UPPER/": "",
			"profiles/" + strings.Repeat("x", 250) + "/": "", "profiles/file": "x", "logs/gateways": "-> /",
		}))
	})
	t.Run("nothing", func(t *testing.T) { validateAll(t, newHome(t, nil)) })
}

// validateAll collects every fact and checks its schema, its status, and that it contains
// no secret. The state, the sticky profile and the reason for a stop are shown unchanged. A
// fact that hangs makes the test hang.
func validateAll(t *testing.T, h *volume.Home) {
	t.Helper()
	c := configFor(t, h)
	c.Environ = []string{"SLACK_BOT_TOKEN=" + facttest.Secret, "HERMES_RECONCILE_URL=http://u:" + facttest.Secret + "@host/", "GATEWAY_MULTIPLEX_PROFILES=maybe"}
	all := Builtin(c)
	for _, s := range all.Volume {
		fact := facttest.Collect(t, s)
		if s.Name() != "active_profile" && s.Name() != "sentinels" {
			facttest.NoSecret(t, s.Name(), fact)
		}
	}
	profiles, err := h.Profiles(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range profiles {
		for _, s := range all.Profile {
			fact := collectedFor(t, s, h, p.Name)
			if s.Name() != "prior_state" {
				facttest.NoSecret(t, s.Name(), fact)
			}
			if e := facttest.Get(fact, "error"); strings.Contains(e, "hunter2") {
				t.Errorf("%s quotes the file: %s", s.Name(), e)
			}
		}
	}
}

// If each strange file left a descriptor open, a boot with many profiles would fail.
func TestNoDescriptorStaysOpen(t *testing.T) {
	files := map[string]string{}
	for i, file := range readFiles {
		files["profiles/plain/"+file] = "{}"
		files["profiles/strange/"+file] = []string{"fifo", "-> /dev/zero", "huge"}[i%3]
		files["profiles/parents/"+file+"/x"] = ""
	}
	h := newHome(t, files)
	validateAll(t, h) // opens the descriptors that stay open on purpose
	before := openDescriptors(t)
	for range 5 {
		validateAll(t, h)
	}
	if after := openDescriptors(t); after > before {
		t.Errorf("%d descriptors are open, %d before", after, before)
	}
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
