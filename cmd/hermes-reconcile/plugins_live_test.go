package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/policy"
	"hermes-reconcile/s6/s6test"
)

// plugIn configures a facts directory with one program for the user id. The commands run apart
// from then on: one that runs plug-ins adopts and kills what its descendants leave.
func (l *liveScan) plugIn(id int, script string, more ...string) {
	l.t.Helper()
	l.apart = true
	l.write("facts.d/rota", "#!/bin/sh\n"+script+"\n", 0o755)
	l.configure(id, id, append(more, "facts: {dir: "+filepath.Join(l.base, "facts.d")+"}")...)
}

// On a running container a plug-in that fails neither starts a profile that a rule held for
// its answer, nor stops one that a rule let run.
func TestAPluginThatFailsDecidesNothing(t *testing.T) {
	t.Parallel()
	const holiday = `echo '{"profiles":{"coder":{"on_holiday":%v}}}'`
	l := startLive(t, "coder=running", "writer=running")
	l.untilNow("coder", policy.NowUp)
	rules := l.policy("package reconcile.rules.rota\n\nhold contains {\"profile\": name, \"code\": \"rota\", \"reason\": \"on holiday\"} if {\n" +
		"\tsome name, profile in input.profiles\n\tprofile.external.values.rota.on_holiday\n}\n")
	fail := func(now policy.Maybe) {
		t.Helper()
		for _, script := range []string{"exit 3", "kill -9 $$", "echo '{'", "exec sleep 1000"} {
			l.plugIn(os.Getuid(), script)
			_, text := l.call("apply", rules...)
			if got := l.status().Profiles["coder"].Now; got != now || !strings.Contains(text, "it reads facts of plug-ins that gave none: rota") {
				t.Errorf("after %q coder is %s, want %s:\n%s", script, got, now, text)
			}
		}
	}
	fail(policy.NowUp)
	l.plugIn(os.Getuid(), fmt.Sprintf(holiday, true))
	l.want(cli.ExitDone, "bring-down  coder", "apply", rules...)
	fail(policy.NowDown)
	l.plugIn(os.Getuid(), fmt.Sprintf(holiday, false))
	l.want(cli.ExitDone, "bring-up  coder", "apply", rules...)
	if got := l.status().Profiles["writer"].Now; got != policy.NowUp {
		t.Errorf("writer is %s", got)
	}
}

// attack is a plug-in of the agent's that sends one signal to the volume's child of the pass
// that runs it. The facts are known then, and nothing is done yet.
const attack = `for stat in /proc/[0-9]*/stat; do
	read -r pid name state parent rest < $stat || continue
	[ "$parent" = "$PPID" ] && [ "$pid" -gt 1 ] && [ "$pid" != $$ ] && kill -s %s $pid 2>/dev/null
done
echo '{}'`

// asRoot runs this program in a process of its own, whose children a plug-in finds.
func asRoot(t *testing.T, args ...string) string {
	t.Helper()
	out, err := apart(t, args).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// The agent ends or stops the volume's child during an apply. The apply does its work, has its
// record in the ledger, and prints nothing of the child's.
func TestAnApplyWhoseChildDiesHasItsRecord(t *testing.T) {
	t.Parallel()
	const id = s6test.UserID
	s6test.WantRoot(t)
	l := startLiveAs(t, id, "coder=stopped")
	record := "home/logs/container-boot.jsonl"
	for i, signal := range []string{"KILL", "STOP", "QUIT", "SEGV"} {
		state, now := "running", policy.NowUp
		if i%2 == 1 {
			state, now = "stopped", policy.NowDown
		}
		l.write("home/profiles/coder/gateway_state.json", `{"desired_state":"`+state+`"}`, 0o644)
		l.plugIn(id, fmt.Sprintf(attack, signal))
		l.write("config.yaml", strings.Replace(l.read("config.yaml"), "facts: {", fmt.Sprintf("facts: {user: \"%d:%d\", ", id, id), 1), 0o644)
		before := strings.Count(l.read(record), `"command":"apply`)
		text := asRoot(t, append([]string{"apply"}, l.places...)...)
		if after := strings.Count(l.read(record), `"command":"apply`); after <= before {
			t.Errorf("%s: the ledger has no record of the apply:\n%s", signal, text)
		}
		if got := l.status().Profiles["coder"].Now; string(got) != now || strings.Contains(text, "goroutine") {
			t.Errorf("%s: coder is %s, want %s:\n%s", signal, got, now, text)
		}
	}
}

// The same at a boot: all slots are made, and the logs are written.
func TestABootWhoseChildDies(t *testing.T) {
	const id = s6test.UserID
	s6test.WantRoot(t)
	for _, signal := range []string{"KILL", "STOP", "QUIT"} {
		t.Run(signal, func(t *testing.T) {
			l := &liveScan{t: t, base: t.TempDir()}
			for _, name := range []string{"coder", "writer"} {
				l.write("home/profiles/"+name+"/SOUL.md", "", 0o644)
			}
			l.write("scan/.keep", "", 0o644)
			s6test.OpenToOthers(t, filepath.Join(l.base, "home"))
			if out, err := exec.Command("chown", "-R", fmt.Sprintf("%d:%d", id, id), filepath.Join(l.base, "home")).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			l.plugIn(id, fmt.Sprintf(attack, signal))
			l.write("config.yaml", strings.Replace(l.read("config.yaml"), "facts: {", fmt.Sprintf("facts: {user: \"%d:%d\", ", id, id), 1), 0o644)
			text := asRoot(t, "boot", "--home", filepath.Join(l.base, "home"), "--scandir", filepath.Join(l.base, "scan"), "--config", filepath.Join(l.base, "config.yaml"))
			for _, name := range []string{"coder", "writer"} {
				if _, err := os.Stat(filepath.Join(l.base, "scan/gateway-"+name+"/run")); err != nil {
					t.Errorf("%v:\n%s", err, text)
				}
			}
			if log := l.read("home/logs/container-boot.log"); strings.Count(log, "\n") != 3 {
				t.Errorf("the boot log is\n%s", log)
			}
		})
	}
}
