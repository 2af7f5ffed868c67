package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hermes-reconcile/s6/s6test"
)

// Every command of docs/running.md prints what the page shows, under a real s6-svscan.
func TestRunningContainer(t *testing.T) {
	t.Parallel()
	l := followLive(t, "docs/running.md")
	for _, p := range s6test.Processes(t, l.base) {
		if strings.Contains(p.Command, "kids") {
			t.Errorf("a process of kids still runs: %s", p.Command)
		}
	}
}

// So does every command of docs/pause.md.
func TestPausePage(t *testing.T) {
	t.Parallel()
	followLive(t, "docs/pause.md")
}

// followLive executes a page in a container with two profiles.
func followLive(t *testing.T, page string) *liveScan {
	t.Helper()
	s6test.Installed(t, "s6-svscan")
	r := newReader(t)
	l := &liveScan{t: t, base: filepath.Dir(r.dir)}
	r.write(t, "scan/.keep", "")
	r.write(t, "home/profiles/coder/SOUL.md", "")
	r.write(t, "home/profiles/coder/gateway_state.json", `{"desired_state":"running"}`)
	r.write(t, "home/profiles/writer/SOUL.md", "")
	// A gateway that exits when its token is wrong.
	l.write("gateway", "#!/bin/sh\n! grep -qs wrong \"profiles/$2/.env\" || exit 1\nexec sleep 1000000\n", 0o755)
	r.exports = append(r.exports, `export HERMES_HOME="$PWD/home" S6_PROFILE_GATEWAY_SCANDIR="$PWD/scan" HERMES_RECONCILE_USER="$(id -u):$(id -g)" \
		HERMES_RECONCILE_STATE_DIR="$PWD/../state" HERMES_RECONCILE_GATEWAY__COMMAND="$PWD/../gateway"
`)
	l.start(filepath.Join(r.dir, "scan"))
	r.run(t, 0, "until s6-svscanctl -z scan 2>/dev/null; do sleep 0.05; done; hermes-reconcile boot --rescan now")

	// The page writes to policy/, the operator's directory of rules.
	if err := os.Symlink(filepath.Join(r.etc, "policy"), filepath.Join(r.dir, "policy")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(r.etc, "policy"), 0o755); err != nil {
		t.Fatal(err)
	}
	follow(t, r, readDoc(t, page))
	return l
}
