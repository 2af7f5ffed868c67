package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/watch"
	"hermes-reconcile/policy"
	"hermes-reconcile/s6"
	"hermes-reconcile/s6/s6test"
)

// service is what runs in the slot of the service, nil without one that is up.
func (l *liveScan) service() *policy.Slot {
	l.t.Helper()
	e := s6.Executor{ScanDir: filepath.Join(l.base, "scan")}
	if w := e.Slots(l.t.Context()).Watch; w != nil && w.Up {
		return w
	}
	return nil
}

// A boot makes the service with its own flags. Other commands leave the service as it is, also
// those of the user of the gateways, until the configuration wants none.
func TestService(t *testing.T) {
	s6test.WantRoot(t)
	t.Parallel()
	l := startLiveAs(t, 10000, "coder=running", "writer=stopped")
	l.write("program", "#!/bin/sh\n[ \"$1\" = watch ] || exit 0\necho \"words $*\"\nexec sleep 1000000\n", 0o755)
	l.policy(startsIdle)
	on := []string{withoutService + "=true", "HERMES_RECONCILE_S6__PROGRAM=" + filepath.Join(l.base, "program"), "HERMES_RECONCILE_POLICY=" + l.base + "/policy"}
	want := func(uid, code int, words, command string, environ ...string) {
		t.Helper()
		got, text := l.as(uid, command, append(slices.Clone(on), environ...)...)
		if got != code || !strings.Contains(text, words) {
			t.Errorf("uid %d, %s: exit %d, want %d with %q:\n%s", uid, command, got, code, words, text)
		}
	}
	slot := filepath.Join(l.base, "scan", policy.WatchSlot)

	want(0, cli.ExitDone, "", "boot --no-watch --rescan now")
	if _, err := os.Lstat(slot); err == nil {
		t.Error("there is a service after boot --no-watch")
	}
	want(0, cli.ExitDone, "+ publish    hermes-reconcile up", "eval --dry-run")
	want(0, cli.ExitDone, "", "boot --rescan now --log-level debug --output json --policy "+l.base+"/policy")
	s6test.Until(t, "the service runs", func() bool { return l.service() != nil })
	pid := l.service().PID
	words := "words watch --config=" + l.base + "/config.yaml --home=" + l.base + "/home --log-level=debug --policy=" + l.base + "/policy --scandir=" + l.base + "/scan\n"
	s6test.Until(t, "its log has "+words, func() bool {
		text, _ := os.ReadFile(filepath.Join(l.base, "home/logs/hermes-reconcile/current"))
		return strings.Contains(string(text), words)
	})
	published := ledger.Operation{Op: policy.OpPublish, Slot: policy.WatchSlot, Done: true}
	if lines := recorded(t, filepath.Join(l.base, "home")); !slices.ContainsFunc(lines, func(l ledger.Line) bool {
		return l.Profile == "" && slices.Contains(l.Operations, published)
	}) {
		t.Errorf("the ledger has no %+v", published)
	}

	want(0, cli.ExitDone, "Nothing to do.", "apply")
	want(0, cli.ExitDone, "coder: restarted", "restart coder")
	want(0, cli.ExitDone, "", "stop --all")
	want(0, cli.ExitDone, "", "unregister coder")
	want(0, cli.ExitDone, "", "register --all")
	want(0, cli.ExitDone, "", "rescan")
	want(10000, cli.ExitDone, "Nothing to do.", "apply")
	want(10000, cli.ExitDone, "Nothing to do.", "apply", withoutService+"=false")
	if now := l.service(); now == nil || now.PID != pid {
		t.Fatalf("the service: %+v, its pid was %d", now, pid)
	}

	want(0, cli.ExitDone, "- remove    hermes-reconcile  # watch.enabled is false", "apply", withoutService+"=false")
	if _, err := os.Lstat(slot); err == nil {
		t.Error("the service is still there")
	}
}

// The service is the watch: it looks, it is there again after its death, it touches no gateway
// that is right, and it leaves its own slot although its configuration wants none by now.
func TestServiceWatches(t *testing.T) {
	s6test.WantRoot(t)
	t.Parallel()
	l := startLiveAs(t, 10000, "coder=running")
	if code, text := l.as(0, "boot --rescan now", withoutService+"=true", "HERMES_RECONCILE_S6__PROGRAM="+l.program()); code != cli.ExitDone {
		t.Fatalf("boot: exit %d: %s", code, text)
	}
	gateway := l.untilNow("coder", policy.NowUp).Profiles["coder"].PID
	untilLooked := func(not int) (pid int) {
		t.Helper()
		s6test.Until(t, "the service has looked", func() bool {
			s, err := watch.ReadState(l.runDir())
			now := l.service()
			pid = s.PID
			return err == nil && s.Passes > 0 && now != nil && now.PID == pid && pid != not
		})
		return pid
	}
	first := untilLooked(0)
	s6test.Signal(t, first, unix.SIGKILL)
	untilLooked(first)
	if now := l.status().Profiles["coder"]; now.PID != gateway {
		t.Errorf("the gateway was started anew: pid %d, was %d", now.PID, gateway)
	}
	if code, text := l.as(0, "apply"); code != cli.ExitDone || !strings.Contains(text, "- remove    hermes-reconcile  # watch.enabled is false") {
		t.Errorf("apply without the service: exit %d: %s", code, text)
	}
	if _, err := os.Lstat(filepath.Join(l.base, "scan", policy.WatchSlot)); err == nil {
		t.Error("the service is still there")
	}
}

// The service gets the flags that configure, with paths that do not depend on a directory.
func TestFlagsOfTheService(t *testing.T) {
	t.Parallel()
	cmd := newBoot()
	config.AddFlags(cmd.Flags())
	s6test.Must(t, cmd.ParseFlags(strings.Fields("--strict -o json --trust-policy --policy rules --policy /b --home /a/../home --log-format text")))
	c, err := config.Load(cmd.Flags(), nil)
	s6test.Must(t, err)
	here, err := os.Getwd()
	s6test.Must(t, err)
	want := []string{"--home=/home", "--log-format=text", "--policy=" + here + "/rules", "--policy=/b", "--trust-policy=true"}
	if got := world.WatchCommand(c)[1:]; !slices.Equal(got, append([]string{"watch"}, want...)) {
		t.Errorf("got %q, want watch and %q", got, want)
	}
	s6test.Must(t, cmd.ParseFlags([]string{"--no-watch"}))
	if c, err = config.Load(cmd.Flags(), nil); err != nil || c.Watch.Enabled || world.WatchCommand(c) != nil {
		t.Errorf("with --no-watch: %v, %v", world.WatchCommand(c), err)
	}
}
