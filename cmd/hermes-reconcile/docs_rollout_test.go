package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hermes-reconcile/s6/s6test"
)

// A reader who follows docs/rollout.md, with a web server, sees what the page shows.
func TestRolloutPage(t *testing.T) {
	t.Parallel()
	s6test.Installed(t, "openssl")
	r := newReader(t)
	served := filepath.Join(filepath.Dir(r.dir), "srv")
	s6test.Must(t, os.Mkdir(served, 0o755))
	server := httptest.NewServer(http.FileServer(http.Dir(served)))
	t.Cleanup(server.Close)
	r.write(t, "home/profiles/scratch-1/gateway_state.json", `{"desired_state":"running"}`)
	r.write(t, "home/profiles/scratch-1/SOUL.md", "")
	r.exports = append(r.exports, strings.NewReplacer("HERE", r.dir, "BASE", filepath.Dir(r.dir)).Replace(`export HERMES_HOME=HERE/home S6_PROFILE_GATEWAY_SCANDIR=BASE/scan HERMES_RECONCILE_USER=0:0
export HERMES_RECONCILE_STATE_DIR=BASE/state HERMES_RECONCILE_RUN_DIR=BASE/run HERMES_RECONCILE_GATEWAY__COMMAND=/bin/true
`))
	page := strings.NewReplacer("https://policy.example.com", server.URL, "/srv/policy", served, "key: /etc/hermes-reconcile", "key: "+r.etc).Replace(readDoc(t, "docs/rollout.md"))
	follow(t, r, page)
}
