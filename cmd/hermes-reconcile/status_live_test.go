package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/engine/status"
	"hermes-reconcile/policy"
	"hermes-reconcile/s6/s6test"
)

// A liveScan is a home and a scan directory with a real s6-svscan.
type liveScan struct {
	t      *testing.T
	base   string
	places []string
	svscan *s6test.Svscan
	apart  bool // commands run in a process of their own
}

// startLive boots the profiles, given as "coder=running", under a real s6-svscan.
func startLive(t *testing.T, profiles ...string) *liveScan {
	t.Helper()
	s6test.Installed(t, "s6-svscan")
	l := &liveScan{t: t, base: t.TempDir()}
	home, scan := filepath.Join(l.base, "home"), filepath.Join(l.base, "scan")
	l.places = []string{"--home", home, "--scandir", scan, "--config", filepath.Join(l.base, "config.yaml")}
	l.write("scan/.keep", "", 0o644)
	l.write("gateway", "#!/bin/sh\nexec sleep 1000000\n", 0o755)
	for _, p := range profiles {
		name, state, _ := strings.Cut(p, "=")
		l.write("home/profiles/"+name+"/SOUL.md", "", 0o644)
		l.write("home/profiles/"+name+"/gateway_state.json", `{"desired_state":"`+state+`"}`, 0o644)
	}
	if err := os.Mkdir(l.stateDir(), 0o755); err != nil {
		t.Fatal(err)
	}
	l.configure(os.Getuid(), os.Getgid())
	l.start(scan)
	l.until("s6-svscan works", func(d *status.Document) bool { return d.Supervisor.Running != nil && *d.Supervisor.Running })
	output(t, append([]string{"boot", "--rescan", "now"}, l.places...)...)
	return l
}

// configure writes the configuration: the user of the gateways, and more lines.
func (l *liveScan) configure(uid, gid int, more ...string) {
	l.t.Helper()
	lines := append([]string{
		fmt.Sprintf("user: \"%d:%d\"", uid, gid), "state_dir: " + l.stateDir(), "run_dir: " + l.runDir(), "gateway: {command: [" + filepath.Join(l.base, "gateway") + "]}",
	}, more...)
	if uid == 0 {
		lines = append(lines, "s6: {ownership: upstream}") // root as the user is an alarm else
	}
	l.write("config.yaml", strings.Join(lines, "\n")+"\n", 0o644)
}

func (l *liveScan) stateDir() string { return filepath.Join(l.base, "state") }
func (l *liveScan) runDir() string   { return filepath.Join(l.base, "run") }

func (l *liveScan) write(name, text string, mode os.FileMode) {
	l.t.Helper()
	path := filepath.Join(l.base, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		l.t.Fatal(err)
	}
}

// start runs s6-svscan. When the test ends, all its processes are killed, because some
// tests leave gateways without a supervisor.
func (l *liveScan) start(scan string) {
	l.t.Helper()
	l.svscan = s6test.Start(l.t, l.base, scan)
	l.t.Cleanup(func() { s6test.Kill(l.t, l.base) })
}

func (l *liveScan) run(args []string, stdout, stderr io.Writer) (code int) {
	l.t.Helper()
	if !l.apart {
		return run(l.t.Context(), args, strings.NewReader(""), stdout, stderr)
	}
	cmd := apart(l.t, args)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		l.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}

// apart is this program in a process of its own.
func apart(t *testing.T, args []string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Args = append([]string{"hermes-reconcile"}, args...)
	return cmd
}

// status runs the command and returns its document, whatever the exit status.
func (l *liveScan) status() *status.Document {
	l.t.Helper()
	var stdout, stderr bytes.Buffer
	l.run(append([]string{"status", "-o", "json"}, l.places...), &stdout, &stderr)
	d := new(status.Document)
	if err := json.Unmarshal(stdout.Bytes(), d); err != nil {
		l.t.Fatalf("%v: %s%s", err, stdout.String(), stderr.String())
	}
	return d
}

// check runs the health check.
func (l *liveScan) check() (code int, text string) {
	l.t.Helper()
	var stdout bytes.Buffer
	code = l.run(append([]string{"status", "--check"}, l.places...), &stdout, &stdout)
	return code, stdout.String()
}

func (l *liveScan) until(what string, condition func(*status.Document) bool) *status.Document {
	l.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		d := l.status()
		if condition(d) {
			return d
		}
		if time.Now().After(deadline) {
			text, _ := json.MarshalIndent(d, "", "  ")
			l.t.Fatalf("timed out waiting for: %s\n%s", what, text)
		}
	}
}

func (l *liveScan) untilNow(profile, now string) *status.Document {
	l.t.Helper()
	return l.until(profile+" is "+now, func(d *status.Document) bool { return d.Profiles[profile].Now == policy.Maybe(now) })
}

// tool runs one of s6's tools on the slot of a profile.
func (l *liveScan) tool(name, option, profile string) {
	l.t.Helper()
	slot := filepath.Join(l.base, "scan", "gateway-"+profile)
	if text, err := exec.Command(name, option, slot).CombinedOutput(); err != nil {
		l.t.Fatalf("%s %s: %v: %s", name, option, err, text)
	}
}

// parentOf returns the supervisor of a gateway.
func parentOf(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	return parent
}

func alarmCodes(d *status.Document) string {
	var codes []string
	for _, a := range d.Alarms {
		codes = append(codes, strings.TrimSpace(a.Profile+" "+a.Code))
	}
	return strings.Join(codes, ", ")
}

func TestStatusOfLiveGateways(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running", "writer=stopped")
	d := l.untilNow("coder", policy.NowUp)
	coder, writer := d.Profiles["coder"], d.Profiles["writer"]
	if coder.Wanted != status.WantedUp || coder.Slot != "up" || coder.ServedBy != status.ServedSelf || syscall.Kill(coder.PID, 0) != nil || coder.Since.IsZero() {
		t.Errorf("coder: %+v", coder)
	}
	if writer.Wanted != status.WantedDown || writer.Slot != "down" || writer.Now != policy.NowDown || writer.PID != 0 {
		t.Errorf("writer: %+v", writer)
	}
	if code, text := l.check(); code != cli.ExitDone || text != "" || len(d.Alarms) > 0 {
		t.Errorf("nothing is wrong: exit %d, %q, alarms %q", code, text, alarmCodes(d))
	}

	l.tool("s6-svc", "-u", "writer")
	if d := l.untilNow("writer", policy.NowUp); alarmCodes(d) != "writer not_wanted" {
		t.Errorf("writer is up and not wanted: alarms %q", alarmCodes(d))
	}
	if code, text := l.check(); code != cli.ExitDone || text != "" {
		t.Errorf("the check is about what is wanted: exit %d, %q", code, text)
	}
	l.tool("s6-svc", "-d", "coder")
	if d := l.untilNow("coder", policy.NowDown); alarmCodes(d) != "coder not_up, writer not_wanted" {
		t.Errorf("coder was stopped: alarms %q", alarmCodes(d))
	}
	if code, text := l.check(); code != cli.ExitProfile || !strings.HasPrefix(text, "coder: wanted up (prior_intent), and it is not: ") || strings.Count(text, "\n") != 1 {
		t.Errorf("the check: exit %d, %q", code, text)
	}
}

// A suspended supervisor does not notice that its gateway dies, so its status file still
// says up. When the supervisor resumes, it starts the gateway again.
func TestStatusOfAStoppedSupervisor(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running")
	gateway := l.untilNow("coder", policy.NowUp).Profiles["coder"].PID
	supervisor := parentOf(t, gateway)
	s6test.Signal(t, supervisor, syscall.SIGSTOP)
	s6test.Signal(t, gateway, syscall.SIGKILL)
	if d := l.untilNow("coder", policy.NowDown); alarmCodes(d) != "coder not_up" || d.Profiles["coder"].PID != 0 {
		t.Errorf("alarms %q, %+v", alarmCodes(d), d.Profiles["coder"])
	}
	s6test.Signal(t, supervisor, syscall.SIGCONT)
	again := l.untilNow("coder", policy.NowUp).Profiles["coder"]
	if again.PID == gateway || again.Restarts != 1 || again.Signal != int(syscall.SIGKILL) {
		t.Errorf("started again: %+v", again)
	}
}

// Without s6-svscan a dead supervisor is not replaced. Its gateway runs on without a
// supervisor, and its status file says up for ever.
func TestStatusOfADeadSupervisor(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running", "writer=stopped")
	gateway := l.untilNow("coder", policy.NowUp).Profiles["coder"].PID
	supervisor := parentOf(t, gateway)
	l.svscan.Kill()
	d := l.until("no s6-svscan runs", func(d *status.Document) bool { return !*d.Supervisor.Running })
	if d.Profiles["coder"].Now != policy.NowUp || d.Profiles["coder"].PID != gateway || alarmCodes(d) != "no_svscan" {
		t.Errorf("its supervisor lives on: %+v, alarms %q", d.Profiles["coder"], alarmCodes(d))
	}
	s6test.Signal(t, supervisor, syscall.SIGKILL)
	d = l.untilNow("coder", policy.NowNobody)
	if d.Profiles["coder"].PID != 0 || d.Profiles["coder"].ServedBy != "" || alarmCodes(d) != "no_svscan, coder not_up" {
		t.Errorf("%+v, alarms %q", d.Profiles["coder"], alarmCodes(d))
	}
	if syscall.Kill(gateway, 0) != nil {
		t.Error("the gateway is gone, but this test needs it alive")
	}
	if code, text := l.check(); code != cli.ExitProfile || !strings.Contains(text, "nobody supervises its slot, no s6-svscan runs on ") {
		t.Errorf("the check: exit %d, %q", code, text)
	}
}

// The gateway of the root profile runs but does not serve a profile that should run.
func TestStatusOfAProfileThatNobodyServes(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running", "kids=running", "writer=stopped")
	l.write("home/gateway_state.json", `{"desired_state":"running","served_profiles":["default","coder"]}`, 0o644)
	l.write("home/config.yaml", "gateway:\n  multiplex_profiles: true\n", 0o644)
	l.tool("s6-svc", "-d", "coder")
	l.tool("s6-svc", "-d", "kids")
	l.tool("s6-svc", "-u", "default")
	d := l.until("default is up alone", func(d *status.Document) bool {
		return d.Profiles["default"].Now == policy.NowUp && d.Profiles["coder"].Now == policy.NowDown && d.Profiles["kids"].Now == policy.NowDown
	})
	if alarmCodes(d) != "kids not_served" || d.Profiles["kids"].ServedBy != policy.RootProfile || d.Profiles["kids"].Wanted != status.WantedDown {
		t.Errorf("alarms %q, kids %+v", alarmCodes(d), d.Profiles["kids"])
	}
}

// The health check reports rules that do not decide, or not all of them: what runs may be
// what the operator held.
func TestCheckOfRulesThatDoNotDecide(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running", "writer=stopped")
	l.untilNow("coder", policy.NowUp)
	misspelt := l.policy("package reconcile.rules.mine\n\nhold contains {\"profile\": name, \"reason\": \"x\"} if input.profiles[name].prior_sate\n")
	l.want(cli.ExitProfile, "prior_sate", "status --check", misspelt...)
	breaks := l.policy("package reconcile.rules.mine\n\none := 1 if input.phase == \"apply\"\n\none := 2 if input.phase == \"apply\"\n\nhold contains {\"profile\": \"writer\", \"reason\": \"x\"} if one == 1\n")
	l.want(cli.ExitProfile, "reconcile.rules.mine", "status --check", breaks...)
	l.want(cli.ExitDone, "", "status --check")
}

// A gateway that ends again and again is up now and then. An operator's restarts are no
// crash loop.
func TestCheckOfACrashLoop(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running", "writer=running")
	l.untilNow("coder", policy.NowUp)
	for range 3 {
		l.want(cli.ExitDone, "writer: restarted", "restart writer")
		before := l.untilNow("coder", policy.NowUp).Profiles["coder"]
		s6test.Signal(t, before.PID, syscall.SIGKILL)
		l.until("coder runs again", func(d *status.Document) bool {
			coder := d.Profiles["coder"]
			return coder.Now == policy.NowUp && coder.Restarts > before.Restarts
		})
	}
	l.want(cli.ExitProfile, "coder: in a crash loop: it ended 3 times in the last ten minutes, last: killed by signal 9\n", "status --check")
	d := l.status()
	if alarmCodes(d) != "coder crash_loop" || d.Profiles["coder"].Now != policy.NowUp {
		t.Errorf("alarms %q, coder %+v", alarmCodes(d), d.Profiles["coder"])
	}
}

// A restart with a gateway command that is nowhere goes on with the run script that works.
func TestRestartKeepsAScriptThatWorks(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running")
	l.untilNow("coder", policy.NowUp)
	script := l.read("scan/gateway-coder/run")
	l.write("config.yaml", strings.Replace(l.read("config.yaml"), "/gateway]", "/nowhere]", 1), 0o644)
	l.want(cli.ExitDone, "coder: restarted", "restart coder")
	l.want(cli.ExitDone, "slots that exist keep their files: gateway.command: there is no program ", "apply")
	if l.read("scan/gateway-coder/run") != script {
		t.Error("the run script is another one")
	}
}
