package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hermes-reconcile/engine/status"
	"hermes-reconcile/engine/watch"
	"hermes-reconcile/policy"
	"hermes-reconcile/s6/s6test"
)

// A watch answers at its socket as long as it runs, and status, its check and doctor know
// whether it does.
func TestAskingTheWatch(t *testing.T) {
	t.Parallel()
	l := startLive(t, "coder=running", "writer=stopped")
	l.untilNow("coder", policy.NowUp)
	s6test.Must(t, os.MkdirAll(l.runDir(), 0o755))
	socket := filepath.Join(l.runDir(), "s")
	l.configure(os.Getuid(), os.Getgid(), "watch: {listen: "+socket+"}")
	ask := func(path string) (int, string) {
		c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}}}
		answer, err := c.Get("http://watch" + path)
		if err != nil {
			return 0, err.Error()
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		s6test.Must(t, err)
		return answer.StatusCode, string(text)
	}

	var log bytes.Buffer
	service := apart(t, append([]string{"watch"}, l.places...))
	service.Stderr = &log
	s6test.Must(t, service.Start())
	d := l.until("it is ready", func(*status.Document) bool {
		code, _ := ask("/readyz")
		return code == http.StatusOK
	})
	if !d.Watch.Running || d.Watch.Problem != "" {
		t.Errorf("the watch runs: %+v", d.Watch)
	}
	if code, text := ask("/healthz"); code != http.StatusOK {
		t.Errorf("/healthz: %d %s", code, text)
	}
	_, text := ask("/metrics")
	for _, want := range []string{
		`hermes_reconcile_profile_up{profile="coder"} 1`, `hermes_reconcile_profile_wanted{profile="writer"} 0`,
		`hermes_reconcile_watch_passes_total{result="failed"} 0`, `hermes_reconcile_watch_triggers_total{kind="started"} 1`, "hermes_reconcile_watch_running 1",
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if text := string(output(t, append([]string{"status"}, l.places...)...)); !strings.Contains(text, "\nWATCH   looked ") {
		t.Errorf("the table: %s", text)
	}
	if code, text := l.check(); code != exitDone || text != "" {
		t.Errorf("all is well: exit %d, %q", code, text)
	}

	s6test.Must(t, service.Process.Signal(syscall.SIGTERM))
	if err := service.Wait(); err != nil {
		t.Errorf("its end: %v, %s", err, log.String())
	}
	if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its socket is left: %v", err)
	}
	longAgo := time.Now().Add(-time.Hour)
	s6test.Must(t, os.Chtimes(filepath.Join(l.runDir(), watch.StateFile), longAgo, longAgo))
	const want = "the service hermes-reconcile does not run: has not looked for 1h0m"
	if code, text := l.check(); code != exitProfile || text != want+"\n" {
		t.Errorf("it does not run: exit %d, %q, want %q", code, text, want)
	}
	var stdout bytes.Buffer
	if code := l.run(append([]string{"doctor"}, l.places...), &stdout, io.Discard); code != exitProfile || !strings.Contains(stdout.String(), "watch_not_running  "+want) {
		t.Errorf("doctor: exit %d, %s", code, stdout.String())
	}
}
