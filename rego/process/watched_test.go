package process

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"hermes-reconcile/engine"
)

// The rules are compiled again only after a file of the operator changed.
func TestWatchedCompilesChangedRules(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "x.rego"), []byte("package reconcile.rules.x\n\n"+text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("alarm contains {\"reason\": \"one\"} if true\n")
	r := &Watched{Directories: []string{dir}, Rules: &Rules{Configure: func() (Settings, error) {
		return Settings{Policy: []string{dir}, User: "10000:10000", Timeout: time.Second}, nil
	}}}
	defer r.Close()
	load := func() engine.Evaluator {
		t.Helper()
		e, err := r.LoadOrFallBack(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	first := load()
	if first.Status().Fallback {
		t.Fatalf("the rules of the test do not decide: %v", first.Status().Errors)
	}
	if load() != first {
		t.Error("unchanged rules are compiled again")
	}
	write("alarm contains {\"reason\": \"another\"} if true\n")
	if load().Status().Revision == first.Status().Revision {
		t.Error("changed rules are not compiled")
	}
}
