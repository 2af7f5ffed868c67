package process

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/bundle"
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
	r := &Watched{Places: []string{dir}, Rules: &Rules{Configure: func() Settings {
		return Settings{Sources: bundle.Sources{Policy: []string{dir}, User: "10000:10000"}, Options: rego.Options{Timeout: time.Second}}
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

// Changed rules with a mistake, and rules that are gone, leave the present ones in force.
func TestBrokenRulesLeaveThePresentOnes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "policy")
	write := func(text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "site.rego"), []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	write(site)
	r := &Watched{Places: []string{dir}, Rules: &Rules{Configure: func() Settings {
		return Settings{Sources: bundle.Sources{Policy: []string{dir}, User: "10000:10000"}, Options: rego.Options{Timeout: 10 * time.Second}}
	}}}
	defer func() { r.Close() }()
	decides := func(what string, refused bool, reason string) {
		t.Helper()
		alarms := r.Refresh(t.Context())
		if is := len(alarms) == 1 && alarms[0].Code == policy.CodePolicyRefused; is != refused || len(alarms) > 1 {
			t.Errorf("%s: alarms %v, want the rules refused: %v", what, alarms, refused)
		}
		e, err := r.LoadOrFallBack(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		in := policy.Input{Phase: policy.PhaseApply, Container: policy.Facts{}, Profiles: map[string]policy.Facts{"coder": {}}}
		result := e.Evaluate(t.Context(), policy.StageRules, in)
		holds := func(c policy.Contribution) bool { return c.Set == policy.SetHold && c.Reason == reason }
		if len(result.Failures) > 0 || !slices.ContainsFunc(result.Contributions, holds) {
			t.Errorf("%s: contributions %v, failures %v", what, result.Contributions, result.Failures)
		}
	}
	decides("first", false, "mine")
	write(site + "hold contains {\n")
	decides("broken", true, "mine")
	decides("still broken", true, "mine")
	write(strings.ReplaceAll(site, "mine", "changed"))
	decides("mended", false, "changed")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	decides("gone", true, "changed")
}

// Rules that the agents could have written decide as soon as they are given to root, and so do
// those to which a link of a ConfigMap leads.
func TestWatchedSeesOwnersAndLinks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	base := t.TempDir()
	at := func(name string) string { return filepath.Join(base, name) }
	must := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	for _, reason := range []string{"first", "second"} {
		must(os.MkdirAll(at(reason+"/policy"), 0o755), os.WriteFile(at(reason+"/policy/site.rego"), []byte(strings.ReplaceAll(site, "mine", reason)), 0o644))
	}
	must(os.Symlink("first", at("..data")), os.Symlink("..data/policy", at("policy")), os.Chown(at("first"), 10000, 10000))
	r := &Watched{Places: []string{at("policy")}, Rules: &Rules{Configure: func() Settings {
		return Settings{Sources: bundle.Sources{Policy: []string{at("policy")}, User: "10000:10000"}, Options: rego.Options{Timeout: 10 * time.Second}}
	}}}
	defer func() { r.Close() }()
	load := func() policy.Status {
		t.Helper()
		r.Refresh(t.Context())
		e, err := r.LoadOrFallBack(t.Context())
		must(err)
		return e.Status()
	}
	if s := load(); len(s.Untrusted) == 0 {
		t.Fatalf("rules of the agents decide: %+v", s)
	}
	must(os.Chown(at("first"), 0, 0))
	first := load()
	if len(first.Untrusted) > 0 || first.Fallback {
		t.Errorf("the rules belong to root now, and do not decide: %+v", first)
	}
	must(os.Symlink("second", at("..new")), os.Rename(at("..new"), at("..data")))
	if s := load(); s.Revision == first.Revision || s.Fallback {
		t.Errorf("the ConfigMap has other rules now: %+v", s)
	}
}
