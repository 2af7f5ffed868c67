package service

import (
	"context"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/rego/fetch"
	"hermes-reconcile/s6/s6test"
)

// A collector gets the credentials of its URL, over a connection that its authority vouches
// for. Without them nothing is lost, and the uploads say what is missing.
func TestCollectorCredentials(t *testing.T) {
	t.Parallel()
	taken := make(chan string, 1)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer s3cret" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		taken <- r.URL.Path
	}))
	t.Cleanup(server.Close)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	dir := t.TempDir()
	s6test.Must(t, os.Chmod(dir, 0o755))
	file := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		s6test.Must(t, os.WriteFile(path, text, 0o600))
		return path
	}
	var c config.Config
	c.StateDir, c.DecisionLog.URL, c.DecisionLog.Buffer = dir, server.URL, 1<<20
	if dropped, err := world.DecisionBuffer(c).Append([][]byte{[]byte("{}")}); dropped > 0 || err != nil {
		t.Fatal(dropped, err)
	}
	services := fetch.Service{URL: server.URL, CA: file("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))}
	until := func(want string) {
		t.Helper()
		uploader := newUploader(c, slog.New(slog.DiscardHandler))
		uploader.Again = time.Millisecond
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go uploader.Run(ctx)
		s6test.Until(t, "the problem is "+want, func() bool {
			s := uploader.State()
			return (s.Problem != "" || s.UploadedUnix > 0) && strings.Contains(s.Problem, want)
		})
		if strings.Contains(uploader.State().Problem, "s3cret") {
			t.Error(uploader.State().Problem)
		}
	}
	until("certificate")
	c.Bundles.Services = []fetch.Service{services}
	until("401 Unauthorized")
	services.Token = file("token", []byte("s3cret\n"))
	c.Bundles.Services = []fetch.Service{services}
	until("")
	if path := <-taken; path != "/logs" {
		t.Errorf("it got %s", path)
	}
}
