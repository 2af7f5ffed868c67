package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/child"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/bundle"
)

// site is a rule that must count whatever the others do.
const site = `package reconcile.rules.site

hold contains {"profile": "coder", "reason": "mine"} if input.profiles.coder
`

// rulesOf are rules in the files of a directory, which relative names start from.
func rulesOf(t *testing.T, s Settings, files map[string]string) *Rules {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if len(files) > 0 {
		s.Policy = []string{dir}
	}
	r := &Rules{Configure: func() Settings { return s }}
	t.Cleanup(r.Close)
	return r
}

func load(t *testing.T, r *Rules) engine.Evaluator {
	t.Helper()
	e, err := r.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// input is a document with some profiles that ran. The agent wrote their exit codes.
func input(exitCode int64) policy.Input {
	in := policy.Input{
		SchemaVersion: policy.SchemaVersion, Phase: policy.PhaseBoot, Now: policy.NewNow(time.Unix(1795327200, 0)),
		Container: policy.Facts{}, Profiles: map[string]policy.Facts{},
	}
	for _, name := range []string{"coder", "default", "writer"} {
		in.Profiles[name] = policy.Facts{
			"prior_state": json.RawMessage(`{"status": "recorded", "desired": "running"}`),
			"lifecycle":   json.RawMessage(fmt.Sprintf(`{"status": "recorded", "exit_code": %d}`, exitCode)),
			"markers":     json.RawMessage(`{"status": "recorded", "files": {"SOUL.md": {"kind": "file"}}}`),
			"name":        json.RawMessage(`{"status": "recorded", "valid": true, "kind": "directory"}`),
		}
	}
	return in
}

func holds(e policy.Evaluation, rule string) (profiles []string) {
	for _, c := range e.Contributions {
		if c.Set == policy.SetHold && c.Rule == "reconcile.rules."+rule {
			profiles = append(profiles, c.Profile)
		}
	}
	return profiles
}

// attacks are bodies of rules that no limit of OPA ends. Each makes a builtin huge with a
// number that the agent wrote, or with a text that grows.
var attacks = map[string]string{
	"a large shift":         `bits.lsh(1, input.profiles[name].lifecycle.exit_code) == 3`,
	"a long range":          `count(numbers.range(1, input.profiles[name].lifecycle.exit_code)) == 3`,
	"all paths of a graph":  `count(graph.reachable_paths({a: [b | some b in numbers.range(1, 14); a != b] | some a in numbers.range(1, 14)}, {1})) == 3`,
	"a regular expression":  "regex.match(`(a?){500}(a?){500}b$`, concat(\"\", [\"a\" | some i in numbers.range(1, 200000)]))",
	"text that grows":       `t1 := replace("aaaaaaaaaaaaaaaa", "a", "aaaaaaaaaaaaaaaa"); t2 := replace(t1, "a", t1); t3 := replace(t2, "a", t2); count(replace(t3, "a", t3)) == 3`,
	"text that is joined":   `t := concat("", ["aaaaaaaaaaaaaaaa" | some i in numbers.range(1, 500000)]); count(concat(t, [t | some i in numbers.range(1, 300)])) == 3`,
	"a product":             `n := bits.lsh(1, 100000000) - 1; n * n == 3`,
	"a number in words":     `count(sprintf("%d", [bits.lsh(1, 200000000)])) == 3`,
	"a shift without limit": `bits.lsh(1, 9223372036854775807) == 3`,
}

// A builtin that looks at no limit costs its package and nothing else: neither the time of
// the pass, nor the memory of the machine, nor the holds of another package.
func TestAttacksOnTheProcess(t *testing.T) {
	for why, body := range attacks {
		t.Run(why, func(t *testing.T) {
			r := rulesOf(t, Settings{Options: rego.Options{Timeout: 500 * time.Millisecond, Memory: 64 << 20}}, map[string]string{
				"site.rego": site,
				"bomb.rego": "package reconcile.rules.bomb\n\nhold contains {\"profile\": name, \"reason\": \"x\"} if {\n\tsome name, _ in input.profiles\n\t" + body + "\n}\n",
			})
			e := load(t, r)
			var peak int64
			first := r.child.pipes.(*child.Process)
			begin := time.Now()
			got := e.Evaluate(t.Context(), policy.StageRules, input(8<<30))
			took := time.Since(begin)
			if r.child == nil || r.child.pipes != first {
				_, usage, _ := first.Wait()
				peak = usage.Maxrss >> 10
			}
			if len(got.Failures) != 1 || got.Failures[0].Rule != "reconcile.rules.bomb" {
				t.Errorf("failures %+v, want that of the attack alone", got.Failures)
			}
			if h := holds(got, "site"); len(h) != 1 || len(got.Contributions) < 4 {
				t.Errorf("contributions %+v, want the hold of the other package and the built-in starts", got.Contributions)
			}
			if took > 8*time.Second || peak > 350 {
				t.Errorf("it took %s and %d MiB", took, peak)
			}
			t.Logf("%+v after %s, %d MiB", got.Failures, took, peak)
		})
	}
}

// Several packages that hang use up the time that the rules have, and not that of the pass.
func TestPackagesThatAreNotReached(t *testing.T) {
	t.Parallel()
	files := map[string]string{"site.rego": site}
	for i := range 8 {
		name := fmt.Sprintf("a%d", i)
		files[name+".rego"] = "package reconcile.rules." + name + "\n\nalarm contains {\"reason\": \"x\"} if {\n\t" + attacks["a product"] + "\n}\n"
	}
	e := load(t, rulesOf(t, Settings{Options: rego.Options{Timeout: 500 * time.Millisecond}}, files))
	ctx, cancel := context.WithTimeout(t.Context(), 14*time.Second)
	defer cancel()
	begin := time.Now()
	got := e.Evaluate(ctx, policy.StageRules, input(0))
	if took := time.Since(begin); took > 8*time.Second {
		t.Errorf("it took %s of 14s", took)
	}
	if len(got.Failures) != 8 || len(holds(got, "site")) != 1 {
		t.Errorf("failures %+v and contributions %+v, want 8 failures, and the hold", got.Failures, got.Contributions)
	}
	reached := 0
	for _, f := range got.Failures {
		if f.Error == "not done after 500ms, was killed" {
			reached++
		} else if f.Error != "not evaluated: no time left" {
			t.Errorf("%+v, want a text about the time", f)
		}
	}
	if reached == 0 || reached == 8 {
		t.Errorf("%d packages were reached, want some", reached)
	}
}

// slowRules are files of nearly 1 MiB that together take seconds to compile.
func slowRules() map[string]string {
	files := map[string]string{}
	for n := range 5 {
		var text strings.Builder
		fmt.Fprintf(&text, "package reconcile.rules.slow%d\n\ntable := {", n)
		for i := range 45_000 {
			fmt.Fprintf(&text, "\"key%06d\": [%d],\n", i, i)
		}
		text.WriteString("}\n\nalarm contains {\"reason\": \"x\"} if table.x\n")
		files[fmt.Sprintf("slow%d.rego", n)] = text.String()
	}
	return files
}

// fewer returns so many of the files.
func fewer(files map[string]string, n int) map[string]string {
	some := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(files))[:n] {
		some[name] = files[name]
	}
	return some
}

// Rules that take too long or too much memory to compile cannot be used: the last good copy
// decides. Without one the built-in rules decide, and a failure stands for the holds of the
// others.
func TestRulesThatCannotBeCompiled(t *testing.T) {
	state := t.TempDir()
	if err := os.Chmod(state, 0o755); err != nil {
		t.Fatal(err)
	}
	good := rulesOf(t, Settings{Sources: bundle.Sources{StateDir: state}}, map[string]string{"site.rego": site})
	e := load(t, good)
	if err := good.Keep(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		why, state, source string
		s                  Settings
		files              map[string]string
		want               string
		deadline           time.Duration
	}{
		{"time", state, "last good copy", Settings{Options: rego.Options{Memory: 2 << 30}}, slowRules(), "compile the present rules: not done after ", 4 * time.Second},
		{"memory", state, "last good copy", Settings{Options: rego.Options{Memory: 1 << 20}}, fewer(slowRules(), 3), "compile the present rules: needs more than 1 MiB of memory, was killed", time.Minute},
		{"no copy", "", "built-in", Settings{}, slowRules(), "compile the present rules: ", 4 * time.Second},
	} {
		t.Run(test.why, func(t *testing.T) {
			test.s.StateDir = test.state
			r := rulesOf(t, test.s, test.files)
			ctx, cancel := context.WithTimeout(t.Context(), test.deadline)
			defer cancel()
			begin := time.Now()
			e, err := r.LoadOrFallBack(ctx)
			if err != nil {
				t.Fatal(err)
			}
			s := e.Status()
			if !s.Fallback || !strings.Contains(s.Source, test.source) || len(s.Errors) == 0 || !strings.HasPrefix(s.Errors[0], test.want) {
				t.Errorf("status %+v, want a fallback to %s with %q", s, test.source, test.want)
			}
			got := e.Evaluate(ctx, policy.StageRules, input(0))
			if len(got.Failures) > 0 != (test.state == "") || len(got.Contributions) < 3 || time.Since(begin) > test.deadline*3/4 {
				t.Errorf("%+v after %s, want starts in time, and a failure without a copy", got, time.Since(begin))
			}
		})
	}
}

// A package that breaks, when it is compiled or when it runs, is replaced by its last good
// copy. The other packages count as they are, and a package without a copy stays broken.
func TestMendedPackages(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	if err := os.Chmod(state, 0o755); err != nil {
		t.Fatal(err)
	}
	hold := func(name, reason string) string {
		return fmt.Sprintf("package reconcile.rules.%s\n\nhold contains {\"profile\": \"coder\", \"reason\": %q} if input.profiles.coder\n", name, reason)
	}
	after := "package reconcile.after.last\n\nalarm contains {\"reason\": \"after\"} if input.decisions\n"
	files := map[string]string{"a.rego": hold("a", "old"), "b.rego": hold("b", "old"), "c.rego": hold("c", "old"), "d.rego": hold("d", "old"), "after.rego": after}
	r := rulesOf(t, Settings{Sources: bundle.Sources{StateDir: state}}, files)
	s := r.Configure()
	if err := r.Keep(t.Context(), load(t, r)); err != nil {
		t.Fatal(err)
	}
	r.Close()
	for name, text := range map[string]string{
		"a.rego":     strings.Replace(hold("a", "new"), "input.profiles.coder", "undefined_function(1)", 1),
		"b.rego":     strings.Replace(hold("b", "new"), "input.profiles.coder", "to_number(\"x\") == 1", 1),
		"c.rego":     "",
		"d.rego":     hold("d", "new"),
		"e.rego":     "package reconcile.rules.e\n\nhold contains {",
		"after.rego": "package reconcile.after.last\n\nalarm contains {",
	} {
		if err := os.WriteFile(filepath.Join(s.Policy[0], name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "a.rego:3:") || !strings.Contains(err.Error(), "e.rego:3:") {
		t.Errorf("got %v, want every mistake", err)
	}
	e, err := r.LoadOrFallBack(t.Context())
	if err != nil || e.Status().Fallback {
		t.Fatalf("%v, %+v", err, e.Status())
	}
	broken := func(e policy.Evaluation) (names []string) {
		for _, f := range e.Failures {
			names = append(names, f.Rule)
		}
		slices.Sort(names)
		return slices.Compact(names)
	}
	found := broken(e.Evaluate(t.Context(), policy.StageRules, input(0)))
	empty := filepath.Join(s.Policy[0], "c.rego")
	if want := []string{empty, "reconcile.after.last", "reconcile.rules.a", "reconcile.rules.b", "reconcile.rules.e"}; !slices.Equal(found, want) {
		t.Errorf("broken %q, want %q", found, want)
	}
	mended, err := r.Mended(t.Context(), e, found)
	if err != nil || mended == nil {
		t.Fatal("there is no copy", err)
	}
	if none, err := r.Mended(t.Context(), e, []string{"reconcile.rules.e"}); err != nil || none != nil {
		t.Errorf("%v, %v; want no copy of a package that never was good", none, err)
	}
	got := mended.Evaluate(t.Context(), policy.StageRules, input(0))
	reasons := map[string]string{}
	for _, c := range got.Contributions {
		if c.Set == policy.SetHold {
			reasons[c.Rule[len("reconcile.rules."):]] += c.Reason
		}
	}
	if want := map[string]string{"a": "old", "b": "old", "c": "old", "d": "new"}; !reflect.DeepEqual(reasons, want) {
		t.Errorf("holds %v, want %v", reasons, want)
	}
	if left := broken(got); !slices.Equal(left, []string{"reconcile.rules.e"}) {
		t.Errorf("broken %q, want the one without a copy", left)
	}
	in := input(0)
	in.Decisions = map[string]policy.Verdict{"coder": {}}
	if names := mended.Status().After; len(names) != 1 || len(mended.Evaluate(t.Context(), policy.Stage(names[0]), in).Contributions) != 1 {
		t.Errorf("after %q, want the copy of the package", names)
	}
	if st := mended.Status(); !st.Fallback || !strings.Contains(st.Source, s.Policy[0]+", last good copy of 20") || !strings.Contains(st.Source, "reconcile.rules.b") || strings.Contains(st.Source, "rules.e") {
		t.Errorf("status %+v, want the packages of which the copy decides", st)
	}
}

// A settings file that is no YAML leaves nothing to compile: the whole copy decides. Without
// one that can be used, the built-in rules decide with the settings of the configuration, and
// a failure stands for the holds of the others.
func TestTheWholeCopyDecides(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	if err := os.Chmod(state, 0o755); err != nil {
		t.Fatal(err)
	}
	r := rulesOf(t, Settings{Sources: bundle.Sources{StateDir: state}, Options: rego.Options{Settings: map[string]any{"start_states": []any{"stopped"}}}}, map[string]string{"site.rego": site})
	s := r.Configure()
	file := filepath.Join(s.Policy[0], "data/settings.yaml")
	if err := errors.Join(r.Keep(t.Context(), load(t, r)), os.Mkdir(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("settings: [\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ why, source, errors string }{
		{"the copy", "built-in, last good copy of 20", file},
		{"a torn copy", "built-in", "the last good copy of the rules: "},
	} {
		e, err := r.LoadOrFallBack(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s, got := e.Status(), e.Evaluate(t.Context(), policy.StageRules, input(0))
		if !s.Fallback || !strings.HasPrefix(s.Source, test.source) || !strings.HasPrefix(s.Errors[0], file) || !strings.HasPrefix(s.Errors[len(s.Errors)-1], test.errors) {
			t.Errorf("%s: status %+v, want %s and every mistake", test.why, s, test.source)
		}
		if isCopy := test.why == "the copy"; (len(got.Failures) == 0) != isCopy || (len(holds(got, "site")) == 1) != isCopy {
			t.Errorf("%s: %+v", test.why, got)
		}
		for _, c := range got.Contributions {
			if c.Set == policy.SetStart || c.Set == policy.SetHold && !strings.HasPrefix(c.Location, "last-good:") {
				t.Errorf("%s: %+v, want no start, and the place in the copy", test.why, c)
			}
		}
		if err := os.Truncate(filepath.Join(state, bundle.LastGoodFile), 100); err != nil {
			t.Fatal(err)
		}
	}
}

// Rules that are gone leave the last good copy to decide, and end a command that does not
// fall back.
func TestRulesThatAreGone(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	if err := os.Chmod(state, 0o755); err != nil {
		t.Fatal(err)
	}
	r := rulesOf(t, Settings{Sources: bundle.Sources{StateDir: state}}, map[string]string{"site.rego": site})
	s := r.Configure()
	if err := r.Keep(t.Context(), load(t, r)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(s.Policy[0], "site.rego"), filepath.Join(s.Policy[0], "site.rego.txt")); err != nil {
		t.Fatal(err)
	}
	for why, directories := range map[string][]string{"nothing that counts": s.Policy, "no directory": nil} {
		again := &Rules{Configure: func() Settings {
			return Settings{Sources: bundle.Sources{StateDir: state, Policy: directories}}
		}}
		defer again.Close()
		if _, err := again.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "policy forget") {
			t.Errorf("%s: %v, want what helps", why, err)
		}
		e, err := again.LoadOrFallBack(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := e.Evaluate(t.Context(), policy.StageRules, input(0))
		if st := e.Status(); !st.Fallback || !slices.Equal(st.Gone, s.Policy) || len(holds(got, "site")) != 1 || len(got.Failures) > 0 {
			t.Errorf("%s: status %+v, %+v; want the copy", why, st, got)
		}
		if err := again.Keep(t.Context(), e); err != nil {
			t.Error(err)
		}
	}
}

// A child that somebody ends at any moment is started again, and the decision is the same.
func TestAChildThatIsKilledAtAnyMoment(t *testing.T) {
	r := rulesOf(t, Settings{}, map[string]string{"site.rego": site})
	want := load(t, r).Evaluate(t.Context(), policy.StageRules, input(0))
	if len(want.Contributions) < 4 {
		t.Fatalf("%+v", want)
	}
	for range 100 {
		r.Close()
		r.Start()
		p := r.child.pipes.(*child.Process)
		wait := time.Duration(rand.Int64N(int64(60 * time.Millisecond)))
		killed := time.AfterFunc(wait, func() { p.Kill() })
		e, err := r.LoadOrFallBack(t.Context())
		if err != nil || e.Status().Fallback {
			t.Fatalf("killed after %s: %v, %+v", wait, err, e)
		}
		if got := e.Evaluate(t.Context(), policy.StageRules, input(0)); !reflect.DeepEqual(got, want) {
			t.Fatalf("killed after %s:\n%+v, want\n%+v", wait, got, want)
		}
		killed.Stop()
	}
}

// The end of the context ends the child at once.
func TestTheContextEndsTheChild(t *testing.T) {
	t.Parallel()
	r := rulesOf(t, Settings{Options: rego.Options{Timeout: time.Minute}}, map[string]string{
		"bomb.rego": "package reconcile.rules.bomb\n\nhold contains {\"profile\": name, \"reason\": \"x\"} if {\n\tsome name, _ in input.profiles\n\t" + attacks["a product"] + "\n}\n",
	})
	e := load(t, r)
	process := r.child.pipes.(*child.Process)
	ctx, cancel := context.WithCancel(t.Context())
	var ended time.Time
	time.AfterFunc(200*time.Millisecond, func() { ended = time.Now(); cancel() })
	got := e.Evaluate(ctx, policy.StageRules, input(0))
	process.Wait()
	if took := time.Since(ended); took > 500*time.Millisecond {
		t.Errorf("the child ended after %s", took)
	}
	if len(got.Failures) == 0 || got.Failures[0].Error != "not evaluated: context canceled" {
		t.Errorf("failures %+v, want that it was stopped", got.Failures)
	}
}

// The process decides as rego does in this one, both stages and warn-only packages included.
func TestTheProcessDecidesAsRegoDoes(t *testing.T) {
	t.Parallel()
	r := rulesOf(t, Settings{Options: rego.Options{Settings: map[string]any{"start_states": []any{"running", "starting"}, "mine": 7}}}, map[string]string{
		"site.rego":  site,
		"warn.rego":  "# METADATA\n# custom: {enforce: warn}\npackage reconcile.rules.warn\n\nhold contains {\"profile\": \"writer\", \"reason\": \"no\", \"until\": \"2026-11-22T06:00:00Z\"} if data.settings.mine == 7\n",
		"after.rego": "package reconcile.after.site\n\ndelay contains {\"profile\": name, \"seconds\": 1.5, \"reason\": \"later\"} if {\n\tsome name, d in input.decisions\n\td.action == \"start\"\n}\n",
		"budget.rego": "package reconcile.rules.budget\n\nrestart contains {\"profile\": \"coder\", \"reason\": \"r\", \"budget\": {\"deaths\": 5, \"window_seconds\": 600}, \"exit_codes\": {\"78\": \"never\"}} if true\n" +
			"\nalarm contains {\"reason\": sprintf(\"<%s>\", [\"\\u0000é\"])} if true\n",
		"breaks.rego": "package reconcile.rules.breaks\n\nalarm contains {\"reason\": \"\"} if true\n",
	})
	e := load(t, r)
	s := r.Configure()
	here, err := rego.Load(s.Layers(), rego.Options{Settings: s.Options.Settings})
	if err != nil {
		t.Fatal(err)
	}
	want := here.Status()
	want.Errors = []string{}
	if !reflect.DeepEqual(e.Status(), want) {
		t.Errorf("status %+v, want %+v", e.Status(), want)
	}
	for range 2 {
		in := input(3)
		first := here.Evaluate(t.Context(), policy.StageRules, in)
		if got := e.Evaluate(t.Context(), policy.StageRules, in); !reflect.DeepEqual(got, first) || len(got.Failures) != 1 {
			t.Errorf("%+v, want\n%+v", got, first)
		}
		in.Decisions = map[string]policy.Verdict{"coder": {Action: policy.ActionStart}, "writer": {Action: policy.ActionDown}}
		second := here.Evaluate(t.Context(), policy.StageAfter, in)
		if got := e.Evaluate(t.Context(), policy.StageAfter, in); !reflect.DeepEqual(got, second) || len(got.Contributions) != 1 {
			t.Errorf("%+v, want\n%+v", got, second)
		}
	}
}

// A fact that is no JSON is an error of the document.
func TestAFactThatIsNoJSON(t *testing.T) {
	t.Parallel()
	in := input(0)
	in.Profiles["coder"]["prior_state"] = json.RawMessage("{")
	for _, files := range []map[string]string{nil, {"site.rego": site}} {
		got := load(t, rulesOf(t, Settings{}, files)).Evaluate(t.Context(), policy.StageRules, in)
		if len(got.Failures) != 1 || got.Failures[0].Rule != "reconcile" || !strings.Contains(got.Failures[0].Error, "profile coder: fact prior_state") {
			t.Errorf("%+v, want one failure that names the fact", got)
		}
	}
}

// The built-in rules alone decide without a child, as they do in one. The settings of the
// configuration count, and so do later facts.
func TestBuiltInRulesNeedNoChild(t *testing.T) {
	t.Parallel()
	settings := Settings{Options: rego.Options{Settings: map[string]any{"start_states": []any{"running", "starting"}}}}
	alone, beside := rulesOf(t, settings, nil), rulesOf(t, settings, map[string]string{"lib.rego": "package reconcile.lib.mine\n\nx := 1\n"})
	e, inChild := load(t, alone), load(t, beside)
	if beside.child == nil {
		t.Error("rules of an operator run in this process")
	}
	for _, state := range []string{"starting", "stopped"} {
		in := input(3)
		in.Profiles["coder"]["prior_state"] = json.RawMessage(`{"status": "recorded", "desired": "` + state + `"}`)
		for _, stage := range []policy.Stage{policy.StageRules, policy.StageAfter} {
			got, want := e.Evaluate(t.Context(), stage, in), inChild.Evaluate(t.Context(), stage, in)
			if !reflect.DeepEqual(got, want) || len(got.Failures) > 0 || stage == policy.StageRules && len(got.Contributions) < 2 {
				t.Errorf("%s: %+v, want\n%+v", state, got, want)
			}
		}
	}
	if alone.child != nil {
		t.Error("the built-in rules run in a child")
	}
}

// The child has what it needs for its work and nothing more, and is the first to go.
func TestTheChildIsConfined(t *testing.T) {
	t.Parallel()
	r := rulesOf(t, Settings{}, map[string]string{"site.rego": site})
	load(t, r)
	pid := r.child.pipes.(*child.Process).PID
	wanted := map[string]string{"status": "NoNewPrivs:\t1", "oom_score_adj": "1000\n"}
	if _, _, err := syscall.AllThreadsSyscall(syscall.SYS_GETPID, 0, 0, 0); err == syscall.ENOTSUP {
		delete(wanted, "status") // with cgo, as under the race detector, Go does not reach all threads
	}
	for file, want := range wanted {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s is %s, %v; want %q", file, text, err, want)
		}
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if os.Geteuid() == 0 && (err != nil || strings.Contains(string(limits), "Max address space         unlimited")) {
		t.Errorf("its memory has no limit: %s, %v", limits, err)
	}
}
