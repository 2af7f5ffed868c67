package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"hermes-reconcile/engine/watch"
	"hermes-reconcile/s6/s6test"
)

// The rules of docs/watch.md do what the page shows, in a real watch under a real s6-svscan.
func TestWatchPage(t *testing.T) {
	s6test.WantRoot(t)
	t.Parallel()
	s6test.Installed(t, "s6-svscan")
	r := newReader(t)
	r.patience = 30 * time.Second // the watch needs a moment
	l := &liveScan{t: t, base: filepath.Dir(r.dir)}
	for _, profile := range []string{"coder", "writer"} {
		r.write(t, "home/profiles/"+profile+"/SOUL.md", "")
		r.write(t, "home/profiles/"+profile+"/gateway_state.json", `{"desired_state":"running"}`)
	}
	// A gateway that exits when its token is wrong.
	l.write("gateway", "#!/bin/sh\n! grep -qs wrong \"profiles/$2/.env\" || exit 1\nexec sleep 1000000\n", 0o755)
	l.write("scan/.keep", "", 0o644)
	l.write("etc/policy/data/settings.yaml", "", 0o644)
	at := func(name string) string { return filepath.Join(l.base, name) }
	r.exports = append(r.exports, strings.NewReplacer("BASE", l.base, "OURS", r.dir, "SERVICE", withoutService).Replace(
		`export SERVICE=true HERMES_HOME=OURS/home S6_PROFILE_GATEWAY_SCANDIR=BASE/scan HERMES_RECONCILE_USER=0:0
export HERMES_RECONCILE_STATE_DIR=BASE/state HERMES_RECONCILE_RUN_DIR=BASE/run HERMES_RECONCILE_S6__PROGRAM=BASE/program
export HERMES_RECONCILE_GATEWAY__COMMAND=BASE/gateway HERMES_RECONCILE_POLICY=BASE/etc/policy
`))
	l.write("program", "#!/bin/sh\n"+strings.Join(r.exports, "")+"exec "+l.program()+" \"$@\"\n", 0o755)
	l.start(at("scan"))
	r.run(t, 0, "until s6-svscanctl -z "+at("scan")+" 2>/dev/null; do sleep 0.05; done; hermes-reconcile boot --rescan now")
	s6test.Until(t, "the watch looks", func() bool {
		s, err := watch.ReadState(at("run"))
		return err == nil && s.Passes > 0
	})

	page := readDoc(t, "docs/watch.md")
	section := regexp.MustCompile(`(?s)\n## Rules at work\n.*?\n## `).FindStringIndex(page)
	if section == nil {
		t.Fatal("the page has no section \"Rules at work\"")
	}
	rows := strings.Repeat("\n", strings.Count(page[:section[0]], "\n"))
	follow(t, r, rows+page[section[0]:section[1]])
	if text, err := os.ReadFile(at("work/home/logs/hermes-reconcile/current")); err != nil || strings.Contains(string(text), "panic") {
		t.Errorf("the log of the watch: %v\n%s", err, text)
	}
}
