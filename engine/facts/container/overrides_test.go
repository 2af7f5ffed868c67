package container

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hermes-reconcile/engine/facts/facttest"
	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/engine/hometest"
	"hermes-reconcile/policy"
)

// now is the time in the tests of overrides.
var now = time.Date(2026, 11, 22, 6, 0, 11, 0, time.UTC)

func TestOverrides(t *testing.T) {
	here := containerStart("/proc")
	if here == "" || here == containerStart(read.Proc(t.TempDir())) {
		t.Fatalf("containerStart = %q", here)
	}
	later, past := now.Add(time.Hour).Format(time.RFC3339), now.Format(time.RFC3339)
	list := func(all ...policy.Override) string {
		text, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const active, code = "profiles/coder", `"code":"night","rule":"reconcile.rules.night"`
	one := policy.Override{Profile: "coder", Rule: "reconcile.rules.night", Code: "night", AtUnix: 1795000000, Start: here, Command: "release"}
	with := func(until, start string) policy.Override {
		o := one
		o.Until, o.Start = until, start
		return o
	}
	ahead := with(later, here) // for no time at all
	ahead.AtUnix = now.Add(time.Hour).Unix()
	for _, c := range []struct {
		name, text string
		want       map[string]string
	}{
		{"until the next start", list(one), map[string]string{"status": `"recorded"`, active: `[{"active":true,"at_unix":1795000000,` + code + `}]`}},
		{"of another start", list(with("", "b1/7")), map[string]string{active: `[{"active":false,"at_unix":1795000000,` + code + `}]`}},
		{"of no known start", list(with("", "")), map[string]string{active: `[{"active":false,"at_unix":1795000000,` + code + `}]`}},
		{"until later, over starts", list(with(later, "b1/7")), map[string]string{active: `[{"active":true,"at_unix":1795000000,` + code + `,"until":"` + later + `"}]`}},
		{"of a clock that was ahead", list(ahead), map[string]string{active: `[{"active":false,"at_unix":` + strconv.FormatInt(ahead.AtUnix, 10) + `,` + code + `,"until":"` + ahead.Until + `"}]`}},
		{"until now", list(with(past, here)), map[string]string{active: `[{"active":false,"at_unix":1795000000,` + code + `,"until":"` + past + `"}]`}},
		{"until some day", list(with("some day", here)), map[string]string{active: `[{"active":false,"at_unix":1795000000,` + code + `,"until":"some day"}]`}},
		{"several", list(one, policy.Override{Profile: "writer", Rule: "r"}, one), map[string]string{"profiles/writer": `[{"active":false,"at_unix":0,"rule":"r"}]`}},
		{"none", "[]", map[string]string{"status": `"empty"`, "profiles": "{}"}},
		{"without a rule", `[{"profile":"coder"}]`, map[string]string{"status": `"invalid"`, "profiles": "{}"}},
		{"no array", `{"profile":"` + facttest.Secret + `"}`, map[string]string{"status": `"invalid"`, "profiles": "{}"}},
		{"torn", `[{"profile":"` + facttest.Secret, map[string]string{"status": `"invalid"`, "profiles": "{}"}},
		{"deep", strings.Repeat("[", 30000), map[string]string{"status": `"invalid"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := Config{Proc: "/proc", StateDir: t.TempDir(), Now: func() time.Time { return now }}
			hometest.Put(t, config.StateDir, policy.OverridesFile, c.text)
			fact := facttest.Collect(t, source(t, config, "overrides"))
			facttest.Want(t, fact, c.want)
			facttest.NoSecret(t, "overrides", fact)
		})
	}
}

// Only a file of the operator can lift a hold of the operator's rules.
func TestOverridesThatOthersCouldHaveWrittenAreNotBelieved(t *testing.T) {
	const text = `[{"profile":"coder","rule":"reconcile.rules.night","code":"night","until":"2099-01-01T00:00:00Z"}]`
	for name, change := range map[string]func(dir, file string) error{
		"the file is open to all":      func(_, file string) error { return os.Chmod(file, 0o666) },
		"the file is open to a group":  func(_, file string) error { return os.Chmod(file, 0o664) },
		"the directory is open to all": func(dir, _ string) error { return os.Chmod(dir, 0o777) },
		"the directory is sticky":      func(dir, _ string) error { return os.Chmod(dir, 0o777|os.ModeSticky) },
		"the file is a link": func(_, file string) error {
			if err := os.Rename(file, file+".real"); err != nil {
				return err
			}
			return os.Symlink(file+".real", file)
		},
		"the file is a FIFO":      func(_, file string) error { os.Remove(file); return syscall.Mkfifo(file, 0o644) },
		"the file is a directory": func(_, file string) error { os.Remove(file); return os.Mkdir(file, 0o755) },
		"another owns the file": func(_, file string) error {
			if os.Geteuid() != 0 {
				return os.Chmod(file, 0o666)
			}
			return os.Chown(file, 10000, 10000)
		},
	} {
		t.Run(name, func(t *testing.T) {
			config := Config{Proc: "/proc", StateDir: t.TempDir(), Now: func() time.Time { return now }}
			file := filepath.Join(config.StateDir, policy.OverridesFile)
			hometest.Put(t, config.StateDir, policy.OverridesFile, text)
			if err := change(config.StateDir, file); err != nil {
				t.Fatal(err)
			}
			facttest.Want(t, facttest.Collect(t, source(t, config, "overrides")), map[string]string{"status": `"unreadable"`, "profiles": "{}"})
		})
	}
	t.Run("nowhere", func(t *testing.T) {
		for _, dir := range []string{"", t.TempDir(), filepath.Join(t.TempDir(), "none")} {
			facttest.Want(t, facttest.Collect(t, source(t, Config{StateDir: dir}, "overrides")), map[string]string{"status": `"missing"`, "error": "absent", "profiles": "{}"})
		}
	})
}
