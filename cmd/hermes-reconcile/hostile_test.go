package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"unicode"

	"golang.org/x/sys/unix"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/terminal"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/policy"
)

// A lyingSide is a volume whose answers the agent controls.
type lyingSide struct {
	reconcile.Volume
	container policy.Facts
	profiles  map[string]policy.Facts
}

func (l lyingSide) Collect(_ context.Context, emit func(string, policy.Facts)) (policy.Facts, error) {
	for name, facts := range l.profiles {
		emit(name, facts)
	}
	return l.container, nil
}

// The child process runs as the agent's user, who may be able to trace it. If the program
// believed every answer, the agent could set aside an operator's hold or replace facts of
// the container.
func TestTheVolumesSideReplacesNoFactOfOurs(t *testing.T) {
	c := configOf(t, "--home", t.TempDir(), "--scandir", t.TempDir())
	forged := json.RawMessage(`{"status":"recorded","forged":true}`)
	lies := policy.Facts{"sentinels": forged}
	for _, source := range world.ContainerSources(c) {
		lies[source.Name()] = forged
	}
	r := passOver(t, c, lyingSide{container: lies}, reconcile.Options{Phase: policy.PhaseApply, Extent: reconcile.ToFacts})
	for name, value := range r.Input.Container {
		if bytes.Contains(value, []byte("forged")) != (name == "sentinels") {
			t.Errorf("%s is %s", name, value)
		}
	}
}

// passOver runs a pass over a volume that lies.
func passOver(t *testing.T, c config.Config, volume lyingSide, o reconcile.Options) reconcile.Report {
	t.Helper()
	w, closeWorld, err := world.New(c, o.Phase, terminal.NewLogger(c, io.Discard), world.NoLog)
	if err != nil {
		t.Fatal(err)
	}
	defer closeWorld()
	volume.Volume = w.Volume
	w.Volume = volume
	r, err := reconcile.Pass(t.Context(), w, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// configOf reads the configuration of a command line.
func configOf(t *testing.T, args ...string) config.Config {
	t.Helper()
	t.Setenv("HERMES_RECONCILE_USER", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()))
	t.Setenv("HERMES_RECONCILE_S6__OWNERSHIP", "upstream") // root as the user is an alarm else
	t.Setenv("HERMES_RECONCILE_STATE_DIR", t.TempDir())
	cmd, rest, err := newRoot().Find(append([]string{"eval"}, args...))
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(cmd.Flags(), os.Environ())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Whatever names the child invents, the executor creates slots only for valid names and
// only inside the scan directory.
func TestTheVolumesSideInventsProfiles(t *testing.T) {
	base := t.TempDir()
	scan := filepath.Join(base, "scan")
	if err := os.Mkdir(scan, 0o755); err != nil {
		t.Fatal(err)
	}
	c := configOf(t, "--home", filepath.Join(base, "home"), "--scandir", scan)
	side := lyingSide{profiles: map[string]policy.Facts{}}
	for _, name := range []string{"../../evil", "..", ".", "/evil", "a/b", "", "two\nlines", "-rf", "\x00", strings.Repeat("x", 300), "well"} {
		side.profiles[name] = policy.Facts{
			"name":        json.RawMessage(`{"status":"recorded","valid":true,"kind":"directory"}`),
			"markers":     json.RawMessage(`{"status":"recorded","files":{"SOUL.md":{"kind":"file","size":1,"modified_unix":1}}}`),
			"prior_state": json.RawMessage(`{"status":"recorded","desired":"running"}`),
		}
	}
	passOver(t, c, side, reconcile.Options{Phase: policy.PhaseBoot, Extent: reconcile.ToEnd, FallBack: true})
	made := map[string]bool{}
	for _, dir := range []string{base, scan, filepath.Dir(base)} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			made[e.Name()] = true
		}
	}
	if !made["gateway-well"] || made["evil"] || made["gateway-a"] || made["gateway-..evil"] {
		t.Errorf("made are %v", made)
	}
	for name := range made {
		if strings.HasPrefix(name, "gateway-") && strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("a slot is called %q", name)
		}
	}
}

// During each boot, a process of the agent keeps replacing the files and directories of the
// boot with links to an outside directory. The boots run as the user of the test, who may
// be root, so only the way of opening files protects the victim.
func TestBootLosesNoRace(t *testing.T) {
	if unix.Access("/dev/shm", unix.W_OK) == nil {
		t.Setenv("TMPDIR", "/dev/shm")
	}
	victim := t.TempDir()
	for _, name := range []string{"gateway_state.json", "gateway.pid", "container-boot.log", "container-boot.jsonl", "state/reconcile.hold.json"} {
		path := filepath.Join(victim, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("precious"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	home := homeWith(t, map[string]string{"logs/container-boot.log": "", "profiles/coder/SOUL.md": "", "profiles/coder/gateway.pid": "1"})
	t.Setenv("HERMES_RECONCILE_USER", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()))
	t.Setenv("HERMES_RECONCILE_S6__OWNERSHIP", "upstream") // root as the user is an alarm else
	t.Setenv("HERMES_RECONCILE_STATE_DIR", t.TempDir())
	var exchanges atomic.Int64
	ended, done := make(chan struct{}), make(chan struct{})
	traps := map[string]string{"profiles/coder": "profiles/trap", "logs": "logs-trap"}
	for _, trap := range traps {
		if err := os.Symlink(victim, filepath.Join(home, trap)); err != nil {
			t.Fatal(err)
		}
	}
	go func() {
		defer close(done)
		for {
			select {
			case <-ended:
				return
			default:
			}
			for a, b := range traps {
				if unix.Renameat2(unix.AT_FDCWD, filepath.Join(home, a), unix.AT_FDCWD, filepath.Join(home, b), unix.RENAME_EXCHANGE) == nil {
					exchanges.Add(1)
				}
			}
		}
	}()
	scan := t.TempDir()
	for range 60 {
		code := run(t.Context(), []string{"boot", "--home", home, "--scandir", scan}, strings.NewReader(""), io.Discard, io.Discard)
		if code != cli.ExitDone {
			t.Errorf("boot: exit %d", code)
		}
	}
	close(ended)
	<-done
	if n := exchanges.Load(); n < 1000 {
		t.Errorf("only %d exchanges", n)
	}
	err := filepath.WalkDir(victim, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
			t.Errorf("%s is %q, %v", path, text, err)
		}
		return nil
	})
	if entries, _ := os.ReadDir(victim); err != nil || len(entries) != 5 {
		t.Errorf("the victim has %v, %v", entries, err)
	}
}

// The record of a used-up budget is on the volume. Whatever an agent writes there starts no
// gateway and breaks no rule.
func TestAForgedHoldOnlyHolds(t *testing.T) {
	files := map[string]string{}
	for i, hold := range []string{
		`{"since_unix":99999999999,"deaths":5}`, `{"since_unix":1,"until_unix":253402300799,"deaths":5}`, `{"since_unix":1,"until_unix":9e300,"deaths":5}`,
		`{"since_unix":1,"deaths":-5}`, `{"since_unix":1,"deaths":9223372036854775807,"window_seconds":-1e308,"exit_code":-7,"signal":99999}`, `{"since_unix":1e400,"deaths":1}`,
		`{"since_unix":-1,"deaths":1}`, `{"since_unix":1,"deaths":5,"files":[]}`, `{"since_unix":1,"deaths":5,"files":{".env":7,"../x":"y"}}`, "[]", "null", "",
		`{"since_unix":1,"deaths":5,"until_unix":-1}`, `{"since_unix":1,"deaths":5,"ended":"time","changed_files":[".env"]}`, `{"since_unix":1,"deaths":0}`,
	} {
		for _, desired := range []string{"running", "stopped"} {
			dir := fmt.Sprintf("profiles/%s-%d/", desired, i)
			files[dir+"SOUL.md"], files[dir+policy.RestartHoldFile] = "", hold
			files[dir+"gateway_state.json"] = `{"desired_state":"` + desired + `"}`
		}
	}
	var d struct {
		Policy   struct{ Errors []string }
		Alarms   []policy.Alarm
		Profiles map[string]struct{ Action, Code string }
	}
	text := output(t, "eval", "-o", "json", "--home", homeWith(t, files), "--scandir", t.TempDir())
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Policy.Errors) > 0 || len(d.Alarms) > 0 || len(d.Profiles) != len(files)/3+1 {
		t.Errorf("errors %v, alarms %v, %d profiles", d.Policy.Errors, d.Alarms, len(d.Profiles))
	}
	for name, p := range d.Profiles {
		if strings.HasPrefix(name, "running") && (p.Action == "start") != (p.Code == "prior_intent") || !strings.HasPrefix(name, "running") && p.Action != "down" {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if d.Profiles["running-0"].Code != "budget_exhausted" || d.Profiles["running-1"].Code != "budget_exhausted" || d.Profiles["running-9"].Action != "start" {
		t.Errorf("held are %+v", d.Profiles)
	}
}

// asUser runs this program as the unprivileged user.
func asUser(t *testing.T, id int, args ...string) string {
	t.Helper()
	// By descriptor, because that user may have no access to the directory of the test.
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Args = append([]string{"hermes-reconcile"}, args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), fmt.Sprintf("HERMES_RECONCILE_USER=%d:%d", id, id))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(id), Gid: uint32(id)}}
	out, err := cmd.CombinedOutput()
	if ended := new(exec.ExitError); err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return string(out)
}

// tree lists names, kinds, modes, owners and the text of the files below a directory,
// without the files that s6 writes.
func tree(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `cd "$0" && find . -not -path '*/event/*' -not -path '*/supervise/*' -not -name down -printf '%p %y %m %U:%G %l\n' | sort && `+
		`find . -type f -not -path '*/supervise/*' -not -path '*/.s6-svscan/*' | sort | xargs cat`, dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// However many invalid names an agent creates, the boot log stays short and reports the
// other problems, and the line of the container in the ledger stays readable.
func TestOddNamesDoNotFloodTheLogs(t *testing.T) {
	const many = 3000
	dir := homeWith(t, map[string]string{
		"home/profiles/coder/SOUL.md":            "",
		"home/profiles/coder/gateway_state.json": `{"desired_state": "running"}`,
		"policy/broken.rego":                     "package reconcile.rules.broken\n\nx := 1 if input.phase\n\nx := 2 if input.phase\n\nalarm contains {\"reason\": \"x\"} if x == 1\n",
		"scan/.keep":                             "",
	})
	for i := range many {
		if err := os.Mkdir(filepath.Join(dir, "home/profiles", fmt.Sprintf("Odd %d", i)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var stdout, stderr strings.Builder
	if code := run(t.Context(), []string{"boot", "--strict", "--policy", dir + "/policy"}, nil, &stdout, &stderr); code != cli.ExitPolicy {
		t.Fatalf("exit status %d:\n%.2000s", code, stderr.String())
	}
	if n := strings.Count(stderr.String(), "\n"); n > 20+5 {
		t.Errorf("%d lines of log:\n%.2000s", n, stderr.String())
	}
	for _, want := range []string{fmt.Sprintf("and %d more;", many-20), "a rule broke", "broken.rego:"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("the log does not contain %q:\n%.2000s", want, stderr.String())
		}
	}
	stdout.Reset()
	if code := run(t.Context(), []string{"log", "coder"}, nil, &stdout, &stderr); code != cli.ExitDone || !strings.Contains(stdout.String(), "coder") {
		t.Errorf("log: exit status %d\n%.2000s", code, stdout.String())
	}
	if strings.Contains(stdout.String(), "NOTE") {
		t.Errorf("something of the ledger is lost:\n%.2000s", stdout.String())
	}
}

// Under strict ownership the unprivileged user may start and stop existing slots. No
// command lets that user create, change or remove a slot, or set aside an operator's hold.
func TestUserCannotDoRootsWork(t *testing.T) {
	t.Parallel()
	const id = 10000
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	l := startLiveAs(t, id, "coder=running", "later=stopped")
	l.untilNow("coder", policy.NowUp)
	state := l.stateDir()
	night := l.policy("package reconcile.rules.night\n\nhold contains {\"profile\": \"later\", \"code\": \"night\", \"reason\": \"it is night\"} if input.profiles.later\n")
	l.write("home/profiles/fresh/SOUL.md", "", 0o644)
	if err := os.Chown(filepath.Join(l.base, "home/profiles/fresh"), id, id); err != nil {
		t.Fatal(err)
	}
	before, stateBefore := tree(t, filepath.Join(l.base, "scan")), tree(t, state)
	for _, command := range []string{
		"register fresh", "unregister coder --timeout 2s", "unregister later", "apply", "apply fresh", "start fresh", "start later", "start later --override",
		"release later", "release --all", "restart coder", "stop coder", "start coder", "boot", "rescan",
	} {
		text := asUser(t, id, append(append(strings.Fields(command), l.places...), night...)...)
		if now := tree(t, filepath.Join(l.base, "scan")); now != before {
			t.Fatalf("%s as uid %d changed the scan directory:\n%s\nnow\n%s\nbefore\n%s", command, id, text, now, before)
		}
		if now := tree(t, state); now != stateBefore {
			t.Fatalf("%s as uid %d changed the state directory:\n%s\n%s", command, id, text, now)
		}
	}
	if d := l.status(); d.Profiles["coder"].Now != policy.NowUp || d.Profiles["later"].Now == policy.NowUp {
		t.Errorf("coder is %s, later is %s", d.Profiles["coder"].Now, d.Profiles["later"].Now)
	}
}

// Strict ownership does not prevent one case: a rule begins to hold a profile, and the user
// starts its slot with s6-svc. The next apply stops the gateway and seals the slot. A
// skipped profile has no slot.
func TestUserCanStartAHeldSlotUntilTheNextApply(t *testing.T) {
	t.Parallel()
	const id = 10000
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	l := startLiveAs(t, id, "coder=stopped")
	night := l.policy("package reconcile.rules.night\n\nhold contains {\"profile\": \"coder\", \"code\": \"night\", \"reason\": \"it is night\"} if input.profiles.coder\n")
	cmd := exec.CommandContext(t.Context(), "s6-svc", "-u", filepath.Join(l.base, "scan/gateway-coder"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	l.untilNow("coder", policy.NowUp)
	l.want(cli.ExitDone, "bring-down  coder", "apply", night...)
}

// startLiveAs is startLive with slots of root and a home of another user.
func startLiveAs(t *testing.T, id int, profiles ...string) *liveScan {
	t.Helper()
	l := startLive(t, profiles...)
	for above := l.base; above != "/" && above != os.TempDir(); above = filepath.Dir(above) {
		if err := os.Chmod(above, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l.configure(id, id)
	home := filepath.Join(l.base, "home")
	err := filepath.WalkDir(home, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, id, id))
	})
	if err != nil {
		t.Fatal(err)
	}
	l.want(cli.ExitDone, "", "stop --all")
	for _, p := range profiles {
		name, _, _ := strings.Cut(p, "=")
		l.want(cli.ExitDone, "", "unregister "+name)
	}
	l.want(cli.ExitDone, "", "register --all")
	for _, p := range profiles {
		if name, state, _ := strings.Cut(p, "="); state == "running" {
			l.want(cli.ExitDone, "", "start "+name)
		}
	}
	return l
}

// The operator's plug-ins are root's files. If the program used files of the agents' user, it
// would believe what the agent says of itself.
func TestPluginsOfTheAgentAreNotBelieved(t *testing.T) {
	const id = 10000
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	home, dir := homeWith(t, nil), t.TempDir()
	for _, path := range []string{home, dir} {
		for above := path; above != "/" && above != os.TempDir(); above = filepath.Dir(above) {
			if err := os.Chmod(above, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Setenv("HERMES_RECONCILE_USER", fmt.Sprintf("%d:%d", id, id))
	t.Setenv("HERMES_RECONCILE_STATE_DIR", t.TempDir())
	t.Setenv("HERMES_RECONCILE_FACTS__DIR", dir)
	for name, text := range map[string]string{
		"mine.json": `{"container":{"a":1}}`, "mine": "#!/bin/sh\necho '{\"container\":{\"a\":1}}'\n", "tool": "#!/bin/sh\necho '{\"container\":{\"a\":1}}'\n", "ours.json": `{"container":{"a":1}}`,
	} {
		if name == "mine.json" {
			name = "static.json"
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	statuses := func() map[string]string {
		var in struct {
			Container struct {
				External struct {
					Plugins map[string]struct{ Status string }
				}
			}
		}
		if err := json.Unmarshal(output(t, "facts", "-o", "json", "--home", home, "--scandir", t.TempDir()), &in); err != nil {
			t.Fatal(err)
		}
		all := map[string]string{}
		for name, p := range in.Container.External.Plugins {
			all[name] = p.Status
		}
		return all
	}
	want := func(what, mine, static, tool string) {
		t.Helper()
		expected := map[string]string{"mine": mine, "static": static, "tool": tool, "ours": tool}
		if got := statuses(); fmt.Sprint(got) != fmt.Sprint(expected) {
			t.Errorf("%s: %v, want %v", what, got, expected)
		}
	}
	want("all root's", "recorded", "recorded", "recorded")
	for _, name := range []string{"mine", "static.json"} {
		if err := os.Chown(filepath.Join(dir, name), id, id); err != nil {
			t.Fatal(err)
		}
	}
	want("two are the agent's", "unreadable", "unreadable", "recorded")
	if err := os.Chown(dir, id, id); err != nil {
		t.Fatal(err)
	}
	want("the directory is the agent's", "unreadable", "unreadable", "unreadable")
}
