package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Every command of docs/running.md prints what the page shows, under a real s6-svscan.
func TestRunningContainer(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("s6-svscan")
	if err != nil {
		t.Skip("s6-svscan is not installed")
	}
	r := newReader(t)
	l := &liveScan{t: t, base: filepath.Dir(r.dir)}
	r.write(t, "scan/.keep", "")
	r.write(t, "home/profiles/coder/SOUL.md", "")
	r.write(t, "home/profiles/coder/gateway_state.json", `{"desired_state":"running"}`)
	r.write(t, "home/profiles/writer/SOUL.md", "")
	// A gateway that exits when its token is wrong.
	l.write("gateway", "#!/bin/sh\n! grep -qs wrong \"profiles/$2/.env\" || exit 1\nexec sleep 1000000\n", 0o755)
	r.exports = append(r.exports, `export HERMES_HOME="$PWD/home" S6_PROFILE_GATEWAY_SCANDIR="$PWD/scan" HERMES_RECONCILE_USER="$(id -u):$(id -g)" \
		HERMES_RECONCILE_STATE_DIR="$PWD/../state" HERMES_RECONCILE_GATEWAY__COMMAND="$PWD/../gateway" HERMES_RECONCILE_S6__SHELL=/bin/sh
`)
	l.svscan = exec.Command(path, filepath.Join(r.dir, "scan"))
	l.svscan.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := l.svscan.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.end)
	r.run(t, 0, "until s6-svscanctl -z scan 2>/dev/null; do sleep 0.05; done; hermes-reconcile boot --rescan now")

	// The page writes to policy/, the operator's directory of rules.
	if err := os.Symlink(filepath.Join(r.etc, "policy"), filepath.Join(r.dir, "policy")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(r.etc, "policy"), 0o755); err != nil {
		t.Fatal(err)
	}
	follow(t, r, readDoc(t, "docs/running.md"))
	if left := strings.Join(sectionProcesses(l), ", "); strings.Contains(left, "kids") {
		t.Errorf("processes of kids are left: %s", left)
	}
}

// sectionProcesses returns the command lines of this test's processes.
func sectionProcesses(l *liveScan) []string {
	var lines []string
	for _, pid := range l.processes() {
		if text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline")); err == nil {
			lines = append(lines, strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	return lines
}
