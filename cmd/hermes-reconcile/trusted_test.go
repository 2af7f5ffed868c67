package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/policy"
	"hermes-reconcile/s6/s6test"
)

// agentID is the user and the group of the agents in these tests.
const agentID = 10000

// An install is what root installs, beside a home of the agents'. Places are relative to it.
type install struct {
	t   *testing.T
	dir string
	env []string
}

// startsIdle is a rule that starts the profile idle, which nothing else starts.
const startsIdle = "package reconcile.rules.idle\n\nstart contains {\"profile\": \"idle\", \"reason\": \"the rule says so\"} if input.phase\n"

func newInstall(t *testing.T) *install {
	t.Helper()
	s6test.WantRoot(t)
	t.Parallel()
	i := &install{t: t, dir: t.TempDir()}
	s6test.OpenToOthers(t, i.dir)
	i.write("home/profiles/idle/SOUL.md", "")
	i.write("home/profiles/idle/gateway_state.json", `{"desired_state": "stopped"}`)
	i.own("home", agentID)
	i.write("policy/idle.rego", startsIdle)
	i.write("policy/data/settings.yaml", "settings: {mine: [a]}\n")
	i.write("scan/.keep", "")
	i.env = append(os.Environ(), "HERMES_HOME="+i.at("home"), "S6_PROFILE_GATEWAY_SCANDIR="+i.at("scan"),
		"HERMES_RECONCILE_STATE_DIR="+i.at("state"), fmt.Sprintf("HERMES_RECONCILE_USER=%d:%[1]d", agentID))
	return i
}

func (i *install) at(place string) string { return filepath.Join(i.dir, place) }

func (i *install) write(place, text string) {
	i.t.Helper()
	s6test.Must(i.t, os.MkdirAll(filepath.Dir(i.at(place)), 0o755))
	s6test.Must(i.t, os.WriteFile(i.at(place), []byte(text), 0o644))
}

// own gives a place with everything below it to a user.
func (i *install) own(place string, uid int) {
	i.t.Helper()
	s6test.Must(i.t, filepath.WalkDir(i.at(place), func(at string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(at, uid, uid))
	}))
}

// run runs the program, which must end by itself in time. Environ wins over the
// environment of the installation.
func (i *install) run(words string, environ ...string) (code int, text string) {
	i.t.Helper()
	return i.command(exec.Command("/proc/self/exe", strings.Fields(words)...), environ...)
}

func (i *install) command(cmd *exec.Cmd, environ ...string) (code int, text string) {
	i.t.Helper()
	cmd.Args[0] = "hermes-reconcile"
	cmd.Dir, cmd.Env = i.dir, slices.Concat(i.env, environ)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	s6test.Must(i.t, cmd.Start())
	ctx, cancel := context.WithTimeout(i.t.Context(), 30*time.Second)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })()
	_ = cmd.Wait()
	if ctx.Err() != nil {
		i.t.Fatalf("%v does not end:\n%s", cmd.Args, out.String())
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// want runs the program and checks its exit status and its output.
func (i *install) want(code int, texts []string, words string, environ ...string) {
	i.t.Helper()
	have, text := i.run(words, environ...)
	for _, want := range texts {
		if !strings.Contains(text, want) {
			i.t.Errorf("%s: no %q in:\n%s", words, want, text)
		}
	}
	if have != code {
		i.t.Errorf("%s: exit status %d, want %d:\n%s", words, have, code, text)
	}
}

// ledger checks what the newest boot recorded of the container.
func (i *install) ledger(alarm, words string) {
	i.t.Helper()
	line := recorded(i.t, i.at("home"))[0]
	if alarm != "" && !slices.ContainsFunc(line.Alarms, func(a policy.Alarm) bool { return a.Code == alarm && strings.Contains(a.Reason, words) }) {
		i.t.Errorf("the ledger has no alarm %s about %q: %+v", alarm, words, line.Alarms)
	}
	if alarm == "" && !strings.Contains(strings.Join(line.Errors, "\n"), words) {
		i.t.Errorf("the ledger has no error about %q: %q", words, line.Errors)
	}
}

// files lists what is below a place.
func (i *install) files(place string) (names []string) {
	i.t.Helper()
	s6test.Must(i.t, filepath.WalkDir(i.at(place), func(at string, entry os.DirEntry, err error) error {
		names = append(names, strings.TrimPrefix(at, i.at(place)))
		return err
	}))
	return names
}

const (
	wasStarted = "profile=idle prior_state=stopped action=started"
	registered = "profile=idle prior_state=stopped action=registered"
)

// Whoever could write to the state directory could have root write anywhere, and root
// believe anything. No command uses such a directory.
func TestTheStateDirectoryOfTheAgents(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(i *install)
		state   string
	}{
		"the volume": {func(i *install) {}, "home/state"},
		"a directory of the agent's": {func(i *install) {
			i.write("state/.keep", "")
			i.own("state", agentID)
		}, "state"},
		"behind the agent's link": {func(i *install) {
			i.write("precious/.keep", "")
			s6test.Must(i.t, os.Symlink(i.at("precious"), i.at("home/state")))
			i.own("home", agentID)
		}, "home/state"},
		"a directory that all can write": {func(i *install) {
			i.write("state/.keep", "")
			s6test.Must(i.t, os.Chmod(i.at("state"), 0o777|os.ModeSticky))
		}, "state"},
		"below one that the group can write": {func(i *install) {
			i.write("above/.keep", "")
			s6test.Must(i.t, os.Chmod(i.at("above"), 0o775))
		}, "above/state"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newInstall(t)
			i.write("policy/idle.rego", startsIdle+"hold contains {\"profile\": \"idle\", \"code\": \"night\", \"reason\": \"it is night\"} if input.phase\n")
			test.prepare(i)
			state := "HERMES_RECONCILE_STATE_DIR=" + i.at(test.state)
			before := i.files(".")
			i.want(cli.ExitDone, []string{`"code":"untrusted","reason":"state_dir ` + i.at(test.state) + " is not used", registered}, "boot --policy policy", state)
			i.ledger(policy.CodeUntrusted, "state_dir")
			i.want(cli.ExitProfile, []string{"state_dir " + i.at(test.state) + " is not used"}, "status --check", state)
			i.want(cli.ExitProfile, []string{"set the hold of reconcile.rules.idle aside", "refused"}, "start idle --override --timeout 1s --policy policy", state)
			i.want(cli.ExitDone, []string{registered}, "boot", state) // without rules, boot removes their copy
			for _, name := range i.files(".") {
				if !slices.Contains(before, name) && !strings.HasPrefix(name, "/scan/") && !strings.HasPrefix(name, "/home/logs") {
					t.Errorf("the program made %s", name)
				}
			}
		})
	}
}

// A list of overrides that the agent planted does not become root's when root adds to it.
func TestRootAddsToNoListOfTheAgents(t *testing.T) {
	i := newInstall(t)
	i.write("state/overrides.json", `[{"profile":"other","rule":"reconcile.rules.night","code":"night","until":"2099-01-01T00:00:00Z"}]`)
	s6test.Must(t, os.Chown(i.at("state/overrides.json"), agentID, agentID))
	i.write("policy/idle.rego", startsIdle+"hold contains {\"profile\": \"idle\", \"code\": \"night\", \"reason\": \"it is night\"} if input.phase\n")
	i.want(cli.ExitProfile, []string{"overrides.json", "is not owned by root"}, "start idle --override --timeout 1s --policy policy")
	i.want(cli.ExitProfile, []string{"overrides.json is not owned by root"}, "status --check")
}

// Root makes the state directory with modes of its own.
func TestTheStateDirectoryIsMade(t *testing.T) {
	i := newInstall(t)
	self, err := os.Executable()
	s6test.Must(t, errors.Join(err, os.Symlink(self, i.at("hermes-reconcile"))))
	cmd := exec.Command("sh", "-c", "umask 0777; exec ./hermes-reconcile boot --policy policy")
	if code, text := i.command(cmd, "HERMES_RECONCILE_STATE_DIR="+i.at("var/lib/state")); code != cli.ExitDone || !strings.Contains(text, wasStarted) {
		t.Fatalf("boot: exit status %d\n%s", code, text)
	}
	for place, want := range map[string]os.FileMode{
		"var": 0o755, "var/lib": 0o755, "var/lib/state": 0o755, "var/lib/state/last-good-policy": 0o644, "home/logs": 0o755,
	} {
		if info, err := os.Stat(i.at(place)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %o", place, info, err, want)
		}
	}
}

// The agents can open the state directory, and so lock it. That keeps root from nothing.
func TestTheAgentsLockTheStateDirectory(t *testing.T) {
	i := newInstall(t)
	s6test.Must(t, os.Mkdir(i.at("state"), 0o755))
	dir, err := os.Open(i.at("state"))
	s6test.Must(t, errors.Join(err, syscall.Flock(int(dir.Fd()), syscall.LOCK_SH)))
	defer dir.Close()
	s6test.Must(t, syscall.Mkfifo(i.at("state/.last-good-policy.new"), 0o644)) // from before it was root's
	i.want(cli.ExitDone, []string{wasStarted}, "boot --policy policy")
	if names := i.files("state"); !slices.Equal(names, []string{"", "/last-good-policy"}) {
		t.Errorf("the state directory has %q, want the copy alone", names)
	}
}

// Rules that the agents could have written decide nothing.
func TestRulesOfTheAgents(t *testing.T) {
	chown := func(place string) func(*install) { return func(i *install) { i.own(place, agentID) } }
	for name, test := range map[string]struct {
		prepare func(i *install)
		rules   string
		fault   string // whose owner is wrong
	}{
		"the directory":    {chown("policy"), "policy", "policy"},
		"a file":           {chown("policy/idle.rego"), "policy", "policy/idle.rego"},
		"the settings":     {chown("policy/data/settings.yaml"), "policy", "policy/data/settings.yaml"},
		"their directory":  {chown("policy/data"), "policy", "policy/data"},
		"the volume":       {func(i *install) { i.write("home/rules/idle.rego", startsIdle) }, "home/rules", "home"},
		"by their link":    {func(i *install) { i.link("policy", "home/rules") }, "home/rules", "home"},
		"of root's link":   {func(i *install) { i.write("home/rules/idle.rego", startsIdle); i.link("home/rules", "mine") }, "mine", "home"},
		"a linked file":    {func(i *install) { i.write("home/a.rego", startsIdle); i.link("home/a.rego", "policy/a.rego") }, "policy", "home"},
		"a linked folder":  {func(i *install) { i.write("home/more/a.rego", startsIdle); i.link("home/more", "policy/more") }, "policy", "home"},
		"writable for all": {func(i *install) { s6test.Must(i.t, os.Chmod(i.at("policy"), 0o777)) }, "policy", "policy"},
		"for their group": {func(i *install) {
			s6test.Must(i.t, errors.Join(os.Chown(i.at("policy"), 1000, agentID), os.Chmod(i.at("policy"), 0o775)))
		}, "policy", "policy"},
		"a file for all":    {func(i *install) { s6test.Must(i.t, os.Chmod(i.at("policy/idle.rego"), 0o666)) }, "policy", "policy/idle.rego"},
		"a relative detour": {chown("policy"), "scan/../policy", "policy"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newInstall(t)
			test.prepare(i)
			i.refusesRules(test.rules, i.at(test.fault)+" ")
		})
	}
}

// link makes a link of root's, or below the home one of the agent's.
func (i *install) link(to, place string) {
	i.t.Helper()
	s6test.Must(i.t, os.Symlink(i.at(to), i.at(place)))
	if strings.HasPrefix(place, "home/") {
		s6test.Must(i.t, os.Lchown(i.at(place), agentID, agentID))
	}
}

// refusesRules checks that a boot decides without the rules, and that all other commands
// name what is wrong.
func (i *install) refusesRules(rules, fault string) {
	i.t.Helper()
	for _, option := range []string{"--policy " + rules, ""} {
		environ := "HERMES_RECONCILE_POLICY=" + map[bool]string{true: rules}[option == ""]
		i.want(cli.ExitDone, []string{"policy fallback", `"code":"untrusted"`, registered}, "boot "+option, environ)
		i.ledger(policy.CodeUntrusted, fault)
		i.ledger(policy.CodePolicyFallback, fault)
		i.want(cli.ExitPolicy, []string{fault, "make root the owner", rules}, "eval "+option, environ)
		i.want(cli.ExitPolicy, []string{fault, "make root the owner", rules}, "apply "+option, environ)
		i.want(cli.ExitProfile, []string{fault}, "status --check "+option, environ)
		i.want(cli.ExitPolicy, []string{"ALARM", fault}, "status "+option, environ)
	}
	i.want(cli.ExitPolicy, []string{fault, "[untrusted]", "chown root:root " + strings.TrimSpace(fault) + " && chmod go-w "}, "policy check "+rules)
}

// On a machine without agents --trust-policy believes rules and a configuration that their
// user owns.
func TestTrustPolicy(t *testing.T) {
	i := newInstall(t)
	for _, user := range []string{"", "user: 12345:12345\n"} {
		i.write("etc/config.yaml", user+"policy: ["+i.at("policy")+"]\n")
		i.own("policy", agentID)
		i.own("etc", agentID)
		i.want(cli.ExitUsage, []string{"etc/config.yaml is not used"}, "eval --config etc/config.yaml")
		i.want(cli.ExitDone, []string{"the rule says so"}, "eval --trust-policy --config etc/config.yaml")
		i.want(cli.ExitDone, []string{"0 errors"}, "policy check --trust-policy policy")
	}
}

// A boot whose rules are not believed decides with the copy of those that were, as with
// broken ones.
func TestTheLastGoodCopyReplacesRulesOfTheAgents(t *testing.T) {
	i := newInstall(t)
	i.want(cli.ExitDone, []string{wasStarted}, "boot --policy policy")
	i.own("policy", agentID)
	i.want(cli.ExitDone, []string{"the last good copy of", `"code":"untrusted"`, wasStarted}, "boot --policy policy")
}

// Files of an operator's that a mount shows as another user's are believed.
func TestRulesOfAnOtherOperator(t *testing.T) {
	i := newInstall(t)
	i.write("mount/config.yaml", "policy: ["+i.at("policy")+"]\n")
	i.own("policy", 1000)
	i.own("mount", 1000)
	s6test.Must(t, os.Chmod(i.at("policy"), 0o775))
	i.want(cli.ExitDone, []string{wasStarted}, "boot --config mount/config.yaml")
	i.want(cli.ExitDone, []string{"the rule says so"}, "eval --config mount/config.yaml")
	// Agents that are root can write everything, and nothing is gained by a refusal.
	i.own("policy", agentID)
	i.want(cli.ExitDone, []string{"the rule says so"}, "eval --policy policy", "HERMES_RECONCILE_USER=0:0")
}

// A configuration that the agents could have written is not used, whichever user it names.
func TestTheConfigurationOfTheAgents(t *testing.T) {
	const starts = "settings: {start_states: [stopped]}\n"
	for name, test := range map[string]struct {
		config  string
		prepare func(i *install)
		environ string
	}{
		"a file of theirs":                       {starts, func(i *install) { i.own("etc/config.yaml", agentID) }, ""},
		"that names root":                        {starts + "user: root\n", func(i *install) { i.own("etc/config.yaml", agentID) }, ""},
		"that names root, with the default user": {starts + "user: 0:0\n", func(i *install) { i.own("etc/config.yaml", agentID) }, "HERMES_RECONCILE_USER="},
		"their directory":                        {starts, func(i *install) { i.own("etc", agentID) }, ""},
		"open to all":                            {starts, func(i *install) { s6test.Must(i.t, os.Chmod(i.at("etc/config.yaml"), 0o666)) }, ""},
		"of the user that it names":              {starts + "user: 12345:12345\n", func(i *install) { i.own("etc", 12345) }, "HERMES_RECONCILE_USER="},
	} {
		t.Run(name, func(t *testing.T) {
			i := newInstall(t)
			i.write("etc/config.yaml", test.config)
			i.want(cli.ExitDone, []string{wasStarted}, "boot --config etc/config.yaml", test.environ)
			i.own("home", agentID)
			test.prepare(i)
			i.want(cli.ExitDone, []string{`"level":"ERROR","msg":"the configuration is wrong`, "etc/config.yaml is not used", registered}, "boot --config etc/config.yaml", test.environ)
			i.ledger("", "etc/config.yaml is not used")
			i.want(cli.ExitUsage, []string{"etc/config.yaml is not used", "make root the owner"}, "eval --config etc/config.yaml", test.environ)
		})
	}
}

// No file that an operator names keeps the program waiting, whatever is in its place.
func TestNothingInThePlaceOfAFileBlocks(t *testing.T) {
	i := newInstall(t)
	s6test.Must(t, syscall.Mkfifo(i.at("fifo"), 0o644))
	i.write("file", "hi\n")
	i.write("big", "")
	s6test.Must(t, os.Truncate(i.at("big"), 50<<30))
	for place, words := range map[string]string{"fifo": "not a regular file", "/dev/null": "", "policy": "not a regular file", "big": "want at most 1048576 bytes"} {
		i.want(cli.ExitUsage, []string{words}, "eval --config "+place)
		i.want(cli.ExitDone, []string{"the configuration is wrong", words, registered}, "boot --config "+place)
	}
	for _, place := range []string{"fifo", "file"} {
		i.want(cli.ExitDone, []string{"not a directory"}, "boot --scandir "+place)
		i.want(cli.ExitProfile, []string{"not a directory"}, "apply --scandir "+place)
		i.want(cli.ExitDone, []string{registered}, "boot", "HERMES_RECONCILE_FACTS__DIR="+i.at(place))
		i.want(cli.ExitDone, []string{wasStarted, "not a directory"}, "boot --policy policy", "HERMES_RECONCILE_STATE_DIR="+i.at(place))
		i.want(cli.ExitPolicy, []string{place}, "eval --policy "+place)
		i.want(cli.ExitDone, []string{"not a directory"}, "boot --home "+place)
	}
	for _, name := range []string{"last-good-policy", "overrides.json"} {
		s6test.Must(t, errors.Join(os.MkdirAll(i.at("state"), 0o755), syscall.Mkfifo(i.at("state/"+name), 0o644)))
	}
	i.write("policy/broken.rego", "package")
	i.want(cli.ExitDone, []string{"last-good-policy is not a regular file", registered}, "boot --policy policy")
	s6test.Must(t, errors.Join(os.Remove(i.at("policy/broken.rego")), syscall.Mkfifo(i.at("policy/broken.rego"), 0o644)))
	i.want(cli.ExitPolicy, []string{"broken.rego is not a regular file"}, "eval --policy policy")
	s6test.Must(t, errors.Join(os.Remove(i.at("policy/broken.rego")), os.Remove(i.at("policy/data/settings.yaml")), syscall.Mkfifo(i.at("policy/data/settings.yaml"), 0o644)))
	i.want(cli.ExitPolicy, []string{"settings.yaml is not a regular file"}, "eval --policy policy")
	i.want(cli.ExitUsage, []string{"settings.yaml: not a regular file"}, "policy add pin_up policy")
}

// A saved document may come by a pipe, and a pipe that says nothing does not keep the
// program from ending.
func TestASavedInputFromAPipe(t *testing.T) {
	i := newInstall(t)
	s6test.Must(t, syscall.Mkfifo(i.at("fifo"), 0o644))
	i.want(cli.ExitUsage, []string{"EOF"}, "eval --input fifo")
	_, facts := i.run("facts -o json")
	for _, name := range []string{"-", "/dev/stdin"} {
		cmd := exec.Command("/proc/self/exe", "eval", "--input", name)
		cmd.Stdin = strings.NewReader(facts) // by a pipe
		if code, text := i.command(cmd); code != cli.ExitDone || !strings.Contains(text, "no_start_rule") {
			t.Errorf("--input %s: exit status %d\n%s", name, code, text)
		}
		silent, writer, err := os.Pipe()
		s6test.Must(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		cmd = exec.CommandContext(ctx, "/proc/self/exe", "eval", "--input", name)
		cmd.Stdin, cmd.Cancel = silent, func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		if code, text := i.command(cmd); code != cli.ExitProfile || !strings.Contains(text, "interrupted") {
			t.Errorf("--input %s and no answer: exit status %d\n%s", name, code, text)
		}
		cancel()
		silent.Close()
		writer.Close()
	}
}
