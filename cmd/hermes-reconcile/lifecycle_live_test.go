package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/engine/status"
	"hermes-reconcile/policy"

	"golang.org/x/sys/unix"
)

// call runs a command on this container and returns its output, whatever the exit status.
func (l *liveScan) call(words string, more ...string) (code int, text string) {
	l.t.Helper()
	var out strings.Builder
	args := append(strings.Fields(words), more...)
	code = l.run(append(args, l.places...), &out, &out)
	return code, out.String()
}

// want runs a command and checks its exit status and some words of its output.
func (l *liveScan) want(code int, words string, command string, more ...string) string {
	l.t.Helper()
	got, text := l.call(command, more...)
	if got != code || !strings.Contains(text, words) {
		l.t.Errorf("%s: exit %d, want %d with %q:\n%s", command, got, code, words, text)
	}
	return text
}

func (l *liveScan) read(name string) string {
	l.t.Helper()
	text, err := os.ReadFile(filepath.Join(l.base, name))
	if err != nil {
		l.t.Fatal(err)
	}
	return string(text)
}

func (l *liveScan) policy(rule string) []string {
	l.t.Helper()
	l.write("policy/mine.rego", rule, 0o644)
	return []string{"--policy", filepath.Join(l.base, "policy")}
}

// Commands about profiles report wrong arguments.
func TestLifeCycleUsage(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running", "writer=stopped")
	l.untilNow("coder", policy.NowUp)
	l.want(cli.ExitUsage, "which profile? Give names, or --all", "start")
	l.want(cli.ExitUsage, "leave the names out", "stop coder --all")
	l.want(cli.ExitUsage, "want more than 0, such as 30s", "stop coder --timeout 0s")
	l.want(cli.ExitUsage, "--up-for is 10s, want 0 or more, and less than --timeout (10s)", "start coder --up-for 10s")
	for _, command := range []string{"start", "stop", "restart", "register", "unregister", "release", "apply"} {
		l.want(cli.ExitUsage, `no such profile "codr", did you mean "coder"?`, command+" codr")
		l.want(cli.ExitUsage, `no such profile "codr", did you mean "coder"?`, command+" coder codr")
	}
	if d := l.status(); d.Profiles["coder"].Now != policy.NowUp || len(d.Alarms) > 0 {
		t.Errorf("something changed: %+v, alarms %s", d.Profiles["coder"], alarmCodes(d))
	}
}

// A gateway that fails late counts as started with a wait of one second, and as failed with
// a longer wait.
func TestUpFor(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=stopped")
	l.write("gateway", "#!/bin/sh\nsleep 4\nexit 3\n", 0o755)
	l.want(cli.ExitDone, "coder: started", "start coder")
	l.want(cli.ExitDone, "", "stop coder")
	l.want(cli.ExitProfile, "the gateway ended after less than 8s with exit code 3", "start coder --up-for 8s")
	l.write("gateway", "#!/bin/sh\nexec sleep 1000000\n", 0o755)
	l.want(cli.ExitDone, "started, pid ", "restart coder --up-for 2s")
}

// A new profile that should run counts as registered once its gateway stays up.
func TestRegisterWaitsForTheGateway(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=stopped")
	l.untilNow("coder", policy.NowDown)
	for _, name := range []string{"kids", "late"} {
		l.write("home/profiles/"+name+"/SOUL.md", "A soul.\n", 0o644)
		l.write("home/profiles/"+name+"/gateway_state.json", `{"gateway_state": "running", "desired_state": "running"}`, 0o644)
	}
	l.write("gateway", "#!/bin/sh\nsleep 1\nexit 3\n", 0o755)
	l.want(cli.ExitProfile, "the gateway ended after less than 8s with exit code 3", "register kids --up-for 8s")
	l.write("gateway", "#!/bin/sh\nexec sleep 1000000\n", 0o755)
	begun := time.Now()
	l.want(cli.ExitDone, "late: registered, up", "register late --up-for 2s")
	if took := time.Since(begun); took < 2*time.Second {
		t.Errorf("it took %v", took)
	}
	l.want(cli.ExitDone, "late: has its slot", "register late")
}

// The supervisor already wants a gateway up that keeps ending. start then starts the
// gateway at once and checks that it stays up.
func TestStartOfAGatewayThatKeepsEnding(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=stopped")
	l.write("gateway", "#!/bin/sh\nexit 3\n", 0o755)
	for range 3 {
		// On a busy machine the gateway takes more than a second to end.
		l.want(cli.ExitProfile, "the gateway ended after less than 8s with exit code 3", "start coder --up-for 8s")
	}
	l.write("gateway", "#!/bin/sh\nexec sleep 1000000\n", 0o755)
	l.want(cli.ExitDone, "coder: started, pid ", "start coder")
	l.want(cli.ExitDone, "coder: already up, pid ", "start coder")
}

// An intent is recorded where upstream looks for it, the rest of the state file stays, and
// an intent that upstream records is obeyed.
func TestIntentGoesRound(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running")
	pid := l.untilNow("coder", policy.NowUp).Profiles["coder"].PID
	state := "home/profiles/coder/gateway_state.json"
	l.write(state, "{\n  \"gateway_state\": \"running\",\n  \"platforms\": {\"discord\": {\"state\": \"connected\"}},\n  \"desired_state\": \"running\",\n  \"pid\": 41\n}\n", 0o644)

	l.want(cli.ExitDone, "coder: stopped", "stop coder")
	text := l.read(state)
	var kept struct {
		Gateway   string `json:"gateway_state"`
		Desired   string `json:"desired_state"`
		PID       int
		Platforms map[string]map[string]string
		UpdatedAt int64 `json:"updated_at"`
	}
	if err := json.Unmarshal([]byte(text), &kept); err != nil {
		t.Fatal(err)
	}
	if kept.Gateway != "running" || kept.Desired != "stopped" || kept.PID != 41 || kept.Platforms["discord"]["state"] != "connected" || time.Since(time.Unix(kept.UpdatedAt, 0)) > time.Minute {
		t.Errorf("the state file is\n%s", text)
	}
	var marker struct {
		TargetPID int `json:"target_pid"`
		Start     int `json:"target_start_time"`
	}
	if err := json.Unmarshal([]byte(l.read("home/profiles/coder/.gateway-planned-stop.json")), &marker); err != nil || marker.TargetPID != pid || marker.Start == 0 {
		t.Errorf("planned stop: %+v, %v; want pid %d", marker, err, pid)
	}
	l.want(cli.ExitDone, "coder: already down", "stop coder")
	l.want(cli.ExitDone, "Nothing to do.", "apply")

	// As upstream's own command writes it.
	l.write(state+".tmp", `{"gateway_state":"stopped","desired_state":"running","updated_at":1}`, 0o644)
	if err := os.Rename(filepath.Join(l.base, state+".tmp"), filepath.Join(l.base, state)); err != nil {
		t.Fatal(err)
	}
	l.want(cli.ExitDone, "~ bring-up  coder", "apply")
	l.want(cli.ExitDone, "coder: already up", "start coder")
}

// If an intent cannot be recorded, stop reports that and still stops the gateway.
func TestStopWithoutAStateFile(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running")
	l.untilNow("coder", policy.NowUp)
	state := filepath.Join(l.base, "home/profiles/coder/gateway_state.json")
	if err := os.Remove(state); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(state, 0o644); err != nil {
		t.Fatal(err)
	}
	l.want(cli.ExitProfile, "the next boot will not know it", "stop coder")
	if now := l.status().Profiles["coder"].Now; now != policy.NowDown {
		t.Errorf("coder is %s", now)
	}
	if info, err := os.Lstat(state); err != nil || info.Mode().Type() != os.ModeNamedPipe {
		t.Errorf("the FIFO is %v, %v", info, err)
	}
}

// stop works without the volume.
func TestStopWithoutTheVolume(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running")
	l.untilNow("coder", policy.NowUp)
	home, gone := filepath.Join(l.base, "home"), filepath.Join(l.base, "gone")
	if err := os.Rename(home, gone); err != nil {
		t.Fatal(err)
	}
	_ = os.RemoveAll(home) // a logger that started late creates its directory
	l.write("home", "no directory", 0o644)
	l.want(cli.ExitProfile, "coder: stopped, with an error", "stop coder")
	l.want(cli.ExitProfile, "the profiles cannot be known", "start coder")
	l.want(cli.ExitProfile, "not complete", "apply")
	if err := os.Remove(home); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(gone, home); err != nil {
		t.Fatal(err)
	}
	if now := l.status().Profiles["coder"].Now; now != policy.NowDown {
		t.Errorf("coder is %s", now)
	}
}

// If the rules cannot be used, apply and start change nothing. stop needs no rules.
func TestBrokenRulesTouchNothing(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running", "writer=stopped")
	pid := l.untilNow("coder", policy.NowUp).Profiles["coder"].PID
	broken := l.policy("package reconcile.rules.mine\n\nhold contains {\"profile\": name, \"reason\": \"x\"} if input.profiles[name].prior_sate\n")
	for _, command := range []string{"apply", "start writer", "restart coder", "register coder", "release coder"} {
		l.want(cli.ExitPolicy, "prior_sate", command, broken...)
	}
	d := l.status()
	if d.Profiles["coder"].PID != pid || d.Profiles["writer"].Now != policy.NowDown {
		t.Errorf("something changed: %+v", d.Profiles)
	}
	l.want(cli.ExitDone, "coder: stopped", "stop coder", broken...)
}

// If a rule fails, apply stops and starts no gateway.
func TestRuleThatBreaksStopsNobody(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running", "writer=stopped")
	pid := l.untilNow("coder", policy.NowUp).Profiles["coder"].PID
	l.write("home/profiles/writer/gateway_state.json", `{"desired_state":"running"}`, 0o644)
	breaks := l.policy("package reconcile.rules.mine\n\none := 1 if input.phase == \"apply\"\n\none := 2 if input.phase == \"apply\"\n\nhold contains {\"profile\": \"writer\", \"reason\": \"x\"} if one == 1\n")
	l.want(cli.ExitPolicy, "reconcile.rules.mine", "apply", breaks...)
	l.want(cli.ExitPolicy, "writer: refused", "start writer", breaks...)
	d := l.status()
	if d.Profiles["coder"].PID != pid || d.Profiles["writer"].Now != policy.NowDown {
		t.Errorf("something changed: %+v", d.Profiles)
	}
	l.want(cli.ExitDone, "bring-up  writer", "apply")
}

// Without a recorded intent a gateway that is up stays up.
func TestUpWithoutIntentStaysUp(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running")
	pid := l.untilNow("coder", policy.NowUp).Profiles["coder"].PID
	for _, state := range []string{`{"gateway_state":"starting"}`, `{"gateway_state":"startup_failed"}`, `{"gateway_st`, ``} {
		l.write("home/profiles/coder/gateway_state.json", state, 0o644)
		l.want(cli.ExitDone, "Nothing to do.", "apply")
	}
	if now := l.status().Profiles["coder"]; now.PID != pid || now.Code != "already_up" {
		t.Errorf("coder: %+v", now)
	}
	l.write("home/profiles/coder/gateway_state.json", `{"gateway_state":"running","desired_state":"stopped"}`, 0o644)
	l.want(cli.ExitDone, "bring-down  coder", "apply")
}

// An override lasts as long as the container, and the ledger records who set it.
func TestOverride(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=stopped", "writer=stopped")
	l.untilNow("coder", policy.NowDown)
	night := l.policy("package reconcile.rules.night\n\nhold contains {\"profile\": name, \"code\": \"night\", \"reason\": \"it is night\"} if some name, _ in input.profiles\n")
	l.want(cli.ExitProfile, "start it in spite of the hold with --override", "start coder", night...)
	if state := l.read("home/profiles/coder/gateway_state.json"); strings.Contains(state, "running") {
		t.Errorf("a start that was refused is recorded: %s", state)
	}
	l.want(cli.ExitDone, "coder: started", "start coder --override", night...)
	l.want(cli.ExitDone, "Nothing to do.", "apply", night...)
	l.want(cli.ExitDone, "start --override", "log coder --all", night...)
	l.want(cli.ExitDone, "reconcile.rules.night: waived", "explain coder -v", night...)
	l.want(cli.ExitDone, "it is held: it is night", "stop writer", night...)
	l.want(cli.ExitDone, "writer: released, and down: no rule starts it", "release writer", night...)
	l.want(cli.ExitDone, "writer: not held", "release writer", night...)

	// The override ends when the container starts again.
	overrides := filepath.Join(l.stateDir(), "overrides.json")
	text, err := os.ReadFile(overrides)
	if err != nil {
		t.Fatal(err)
	}
	var list []map[string]any
	if err := json.Unmarshal(text, &list); err != nil || len(list) != 2 {
		t.Fatalf("overrides: %v\n%s", err, text)
	}
	list[0]["container_start"] = "another"
	if text, err = json.Marshal(list); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overrides, text, 0o644); err != nil {
		t.Fatal(err)
	}
	l.want(cli.ExitDone, "bring-down  coder", "apply", night...)
}

// The list of overrides counts only in a directory where no other user can write, so never
// on the volume.
func TestOverridesOfOthersDoNotCount(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running")
	l.untilNow("coder", policy.NowUp)
	night := l.policy("package reconcile.rules.night\n\nhold contains {\"profile\": name, \"code\": \"night\", \"reason\": \"it is night\"} if some name, _ in input.profiles\n")
	l.want(cli.ExitDone, "bring-down  coder", "apply", night...)
	l.want(cli.ExitDone, "coder: started", "start coder --override", night...)
	if err := os.Chmod(filepath.Join(l.stateDir(), "overrides.json"), 0o666); err != nil {
		t.Fatal(err)
	}
	l.want(cli.ExitDone, "bring-down  coder", "apply", night...)
}

// A dry run changes nothing and creates no lock.
func TestApplyDryRunTouchesNothing(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running")
	l.untilNow("coder", policy.NowUp)
	lock := filepath.Join(l.base, "scan/.hermes-reconcile.lock")
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	l.write("home/profiles/kids/SOUL.md", "", 0o644)
	l.want(cli.ExitDone, "+ publish  kids  gateway-kids down", "apply --dry-run")
	if _, err := os.Lstat(lock); err == nil {
		t.Error("a dry run made the lock")
	}
	if _, err := os.Lstat(filepath.Join(l.base, "scan/gateway-kids")); err == nil {
		t.Error("a dry run made a slot")
	}
}

// start, restart, stop and register accept --all.
func TestAll(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running", "writer=stopped")
	before := l.untilNow("coder", policy.NowUp).Profiles["coder"].PID
	text := l.want(cli.ExitDone, "coder: restarted", "restart --all")
	if strings.Contains(text, "writer") {
		t.Errorf("restart --all started one that was down:\n%s", text)
	}
	if now := l.status().Profiles["coder"].PID; now == before {
		t.Error("coder was not restarted")
	}
	l.write("home/profiles/kids/SOUL.md", "", 0o644)
	l.want(cli.ExitDone, "kids: registered, down: no rule starts it", "register --all")
	l.want(cli.ExitDone, "Nothing to do.", "register --all")
	l.want(cli.ExitDone, "kids: started", "start --all")
	l.want(cli.ExitDone, "writer: stopped", "stop --all")
	l.want(cli.ExitDone, "Nothing to do.", "release --all")
	for name, p := range l.status().Profiles {
		if p.Now != policy.NowDown {
			t.Errorf("%s is %s", name, p.Now)
		}
	}
	l.want(cli.ExitDone, "kids: slot removed", "unregister kids")
	l.want(cli.ExitDone, "kids: has no slot", "unregister kids")
	l.want(cli.ExitDone, "+ publish  kids", "apply kids")
}

// An empty volume, or another volume, does not remove the slots.
func TestEmptyVolumeRemovesNothing(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running")
	pid := l.untilNow("coder", policy.NowUp).Profiles["coder"].PID
	profiles := filepath.Join(l.base, "home/profiles")
	if err := os.Rename(profiles, profiles+".away"); err != nil {
		t.Fatal(err)
	}
	l.want(cli.ExitDone, "slots whose profile is not known are left alone: coder", "apply")
	l.want(cli.ExitProfile, "the directory profiles is missing", "apply coder")
	if err := os.Rename(profiles+".away", profiles); err != nil {
		t.Fatal(err)
	}
	l.want(cli.ExitDone, "Nothing to do.", "apply")
	if now := l.status().Profiles["coder"].PID; now != pid {
		t.Errorf("coder has pid %d, had %d", now, pid)
	}
}

// The JSON report holds the decisions, the operations and the state afterwards.
func TestLiveReport(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=stopped", "writer=stopped")
	l.untilNow("coder", policy.NowDown)
	_, text := l.call("start coder -o json")
	var report reconcile.Report
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	coder := report.Profiles["coder"]
	if report.Command != "start" || coder.Outcome != "started" || coder.Now != policy.NowUp || coder.PID == 0 || coder.Code != "prior_intent" || len(report.Operations) != 1 || !report.Operations[0].Done {
		t.Errorf("start: %s", text)
	}
	_, text = l.call("stop coder -o yaml --wait=false")
	if !strings.Contains(text, "outcome: ") || !strings.Contains(text, "op: bring-down") {
		t.Errorf("stop: %s", text)
	}
	l.untilNow("coder", policy.NowDown)
}

// A command that waits too long for the lock names the process that holds it.
func TestAnotherOneWorks(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running")
	l.untilNow("coder", policy.NowUp)
	l.configure(os.Getuid(), os.Getgid(), "boot: {deadline: 50ms}")
	holder := exec.Command("flock", "-F", filepath.Join(l.base, "scan/.hermes-reconcile.lock"), "sh", "-c", "echo held; exec sleep 1000")
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Skip("flock is not installed")
	}
	t.Cleanup(func() { _ = holder.Process.Kill(); _ = holder.Wait() })
	if _, err := out.Read(make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	l.want(cli.ExitProfile, "another hermes-reconcile holds ", "stop coder --timeout 50ms")
}

// A waiting gateway is not up, and status shows until when it waits.
func TestWaitingIsShown(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=stopped")
	l.untilNow("coder", policy.NowDown)
	late := l.policy("package reconcile.rules.late\n\ndelay contains {\"profile\": name, \"seconds\": 3000, \"reason\": \"not all at once\"} if some name, _ in input.profiles\n")
	l.want(cli.ExitDone, "coder: starts at 20", "start coder", late...)
	d := l.status()
	if coder := d.Profiles["coder"]; coder.Now != policy.NowWaiting || coder.Until.IsZero() || coder.Next != coder.Until || coder.NextReason != "starts" || coder.PID != 0 {
		t.Errorf("coder: %+v", coder)
	}
	if code, text := l.check(); code != cli.ExitProfile || !strings.Contains(text, "it waits until 20") {
		t.Errorf("check: exit %d, %s", code, text)
	}
	l.want(cli.ExitDone, "coder: stopped", "stop coder")
}

// A gateway that says that its configuration cannot work is not started by apply again and
// again, but by an operator, or after its files changed.
func TestFatalExitStaysDown(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running")
	l.untilNow("coder", policy.NowUp)
	l.write("gateway", "#!/bin/sh\nexit 78\n", 0o755)
	l.want(cli.ExitProfile, "the gateway ended", "restart coder")
	l.until("it has ended", func(d *status.Document) bool { return d.Profiles["coder"].Now == policy.NowDown })
	l.want(cli.ExitDone, "~ mark-down  coder  gateway-coder  # it ended with exit code 78", "apply")
	l.want(cli.ExitDone, "Nothing to do.", "apply")
	aSecond := func() { time.Sleep(1100 * time.Millisecond) } // times are compared in seconds
	aSecond()
	l.want(cli.ExitProfile, "the gateway ended", "start coder")
	l.want(cli.ExitDone, "mark-down  coder", "apply")

	l.write("gateway", "#!/bin/sh\nexec sleep 1000000\n", 0o755)
	aSecond()
	l.write("home/profiles/coder/.env", "API_SERVER_PORT=9001\n", 0o644)
	l.want(cli.ExitDone, "~ bring-up  coder", "apply")
}

// A lock that another container's gateway holds keeps a boot from starting a second one.
func TestBootBesideAGatewayElsewhere(t *testing.T) {
	t.Parallel()
	l := &liveScan{t: t, base: t.TempDir()}
	l.places = []string{"--home", filepath.Join(l.base, "home"), "--scandir", filepath.Join(l.base, "scan"), "--config", filepath.Join(l.base, "config.yaml")}
	for _, name := range []string{"coder", "writer"} {
		l.write("home/profiles/"+name+"/SOUL.md", "", 0o644)
		l.write("home/profiles/"+name+"/gateway_state.json", `{"desired_state":"running"}`, 0o644)
		l.write("home/profiles/"+name+"/gateway.lock", "", 0o644)
	}
	l.configure(os.Getuid(), os.Getgid())
	lock, err := os.Open(filepath.Join(l.base, "home/profiles/coder/gateway.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	text := l.want(cli.ExitDone, "profile=coder prior_state=running action=registered", "boot")
	if !strings.Contains(text, "profile=writer prior_state=running action=started") {
		t.Errorf("boot:\n%s", text)
	}
	l.want(cli.ExitDone, "live_elsewhere", "eval coder")
}

// speaker is a gateway that records its state as upstream's does: first starting, and after a
// second what the file words in the home says.
const speaker = `#!/bin/sh
say() {
	printf '{"desired_state":"running","gateway_state":"%s","pid":%d,"exit_reason":"api_server: Port 8701 already in use"}' "$1" $$ >"$file.tmp"
	mv "$file.tmp" "$file"
}
file=BASE/home/profiles/$2/gateway_state.json
[ "$2" != mute ] || exec sleep 1000000
say starting
sleep 1
read -r state code <BASE/words
[ "$state" = starting ] || say "$state"
[ -z "$code" ] || exit "$code"
exec sleep 1000000
`

// A start is done when the gateway says so, and fails with the gateway's words.
func TestStartWaitsForTheGatewaysWords(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=stopped", "mute=stopped")
	l.write("gateway", strings.ReplaceAll(speaker, "BASE", l.base), 0o755)
	state := "home/profiles/coder/gateway_state.json"
	l.want(cli.ExitDone, "mute: started", "start mute") // nobody has ever recorded a state here
	l.write("home/gateway_state.json", `{"gateway_state":"stopped","pid":7}`, 0o644)

	l.write("words", "running\n", 0o644)
	l.want(cli.ExitDone, "coder: started", "start coder --up-for 0s")
	if text := l.read(state); !strings.Contains(text, `"gateway_state":"running"`) {
		t.Errorf("start was over before the gateway was: %s", text)
	}
	l.write("words", "degraded\n", 0o644)
	l.want(cli.ExitDone, "it says degraded: api_server: Port 8701 already in use", "restart coder")
	l.write("words", "startup_failed\n", 0o644)
	l.want(cli.ExitProfile, "the gateway says startup_failed: api_server: Port 8701 already in use", "restart coder")
	l.write("words", "startup_failed 78\n", 0o644)
	l.want(cli.ExitProfile, "the gateway says startup_failed: api_server: Port 8701 already in use", "restart coder --up-for 0s")
	l.untilNow("coder", policy.NowDown)
	time.Sleep(1100 * time.Millisecond) // the hold of an exit with 78 compares times in seconds
	l.want(cli.ExitProfile, "the gateway says startup_failed: api_server: Port 8701 already in use", "start coder --up-for 3s")
	l.untilNow("coder", policy.NowDown)
	text := l.want(cli.ExitDone, "last with exit code 78; down since 20", "explain coder")
	if !strings.Contains(text, "  it said     startup_failed: api_server: Port 8701 already in use (gateway_state.json)") {
		t.Errorf("explain:\n%s", text)
	}
	time.Sleep(1100 * time.Millisecond)
	l.write("words", "starting 3\n", 0o644)
	l.want(cli.ExitProfile, "the gateway ended with exit code 3 before it said that it runs", "start coder --up-for 0s")
	l.want(cli.ExitDone, "", "stop coder")
	l.write("words", "starting\n", 0o644)
	l.want(cli.ExitProfile, `and after 3s it still says "starting"`, "start coder --timeout 3s")
	l.want(cli.ExitDone, "it has not said within 2s whether it works", "restart mute --timeout 2s")
	l.want(cli.ExitDone, "", "restart mute --wait=false")
}
