package container

import (
	"hermes-reconcile/engine/facts/facttest"
	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
	"strings"
	"testing"
	"time"
)

// FuzzOverrides: an override counts only until a time in the future that it names, or
// during the current start of the container.
func FuzzOverrides(f *testing.F) {
	f.Add([]byte(`[{"profile":"coder","rule":"r","until":"2026-11-24T02:00:00Z","container_start":"b1/7"}]`))
	f.Add([]byte(`[{"profile":"coder","rule":"r","container_start":"b1/7"},{"Profile":"x","RULE":"y","container_start":""}]`))
	f.Add([]byte(`[null,{"profile":"coder","rule":"r","at_unix":1e99}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, start := range []string{"b1/7", ""} {
			all, out := parseState[[]policy.Override](data)
			f := describeOverrides(all, out, now, start)
			facttest.Check(t, facttest.Container, "overrides", f)
			for name, all := range f.Profiles {
				for _, o := range all {
					until, err := time.Parse(time.RFC3339, o.Until)
					if o.Active && o.Until != "" && (err != nil || !until.After(now)) || o.Active && o.Until == "" && start == "" || name == "" || o.Rule == "" {
						t.Errorf("%q with start %q: %s %+v", data, start, name, o)
					}
				}
			}
		}
	})
}

// FuzzArgv: for any arguments of a process, no value that looks secret is shown, and only
// the words after rc.init are the main command.
func FuzzArgv(f *testing.F) {
	for _, argv := range []string{
		"/bin/sh\x00-e\x00/run/s6/basedir/scripts/rc.init\x00top\x00/opt/main-wrapper.sh\x00gateway\x00run", "hermes\x00--api-key\x00" + facttest.Secret, "hermes\x00--token=" + facttest.Secret + "\x00-p\x00coder",
		"sh\x00-c\x00x", "", "\x00\x00", "env\x00A_SECRET=" + facttest.Secret, "tini\x00--\x00hermes", "python3.12\x00/opt/hermes\x00gateway\x00run\x00--no-supervise", "http://u:" + facttest.Secret + "@host/",
	} {
		f.Add(argv)
	}
	f.Fuzz(func(t *testing.T, data string) {
		argv := strings.Split(data, "\x00")
		if main := afterRcInit(argv); main != nil && (len(main) >= len(argv) || !strings.Contains(data, "/scripts/rc.init\x00top")) {
			t.Errorf("the main command of %q is %q", argv, main)
		}
		fact := describeCommand(launched(argv), "s6")
		facttest.Check(t, facttest.Container, "command", fact)
		shown := shownArgs([]string{"hermes", "--bot-token", facttest.Secret, "--x-key=" + facttest.Secret, "http://" + data + ":" + facttest.Secret + "@h/"})
		if strings.Contains(strings.Join(shown[:4], " "), facttest.Secret) {
			t.Errorf("shown is %q", shown)
		}
	})
}

// FuzzSmallFiles: any text of the environment, a control group or the list of mounts makes facts
// that fit their schemas.
func FuzzSmallFiles(f *testing.F) {
	for _, text := range []string{"max\n", "9223372036854775808", "100000 0", "-1 100000", "yes ", "\xff", strings.Repeat("x", 500)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if n := parseCPUs(text); n != nil && !(*n >= 0 && *n < 1e19) {
			t.Errorf("%q is %v CPUs", text, *n)
		}
		parseWhole(text)
		if m, ok := parseMount(text); ok && m == (mount{}) {
			t.Errorf("%q is an empty mount", text)
		}
		values := map[string]string{"HERMES_DASHBOARD": text, "HERMES_HOME": text, "A_TOKEN": text}
		facttest.Check(t, facttest.Container, "environment", describeEnvironment(read.Environment{Values: values, Source: "process"}))
	})
}
