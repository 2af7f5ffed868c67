package decisionlog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// keysOf returns the keys of a struct in JSON, as the text of a package of OPA declares it.
// To import the package would take 300 others.
func keysOf(t *testing.T, file, name string) (keys []string) {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/open-policy-agent/opa").Output()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), "v1/plugins", file), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared, ok := parsed.Scope.Lookup(name).Decl.(*ast.TypeSpec)
	if !ok {
		t.Fatalf("%s has no type %s", file, name)
	}
	for _, field := range declared.Type.(*ast.StructType).Fields.List {
		if field.Tag == nil {
			continue
		}
		tag, err := strconv.Unquote(field.Tag.Value)
		if err != nil {
			t.Fatal(err)
		}
		key, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
		keys = append(keys, key)
	}
	return keys
}

// OPA's collectors know every key of an event and of a status.
func TestKeysAreThoseOfOPA(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		ours       any
		file, name string
	}{
		{Event{}, "logs/plugin.go", "EventV1"},
		{Bundle{}, "logs/plugin.go", "BundleInfoV1"},
		{Status{}, "status/plugin.go", "UpdateRequestV1"},
		{BundleStatus{}, "bundle/status.go", "Status"},
	} {
		known := keysOf(t, test.file, test.name)
		for _, field := range reflect.VisibleFields(reflect.TypeOf(test.ours)) {
			if key, _, _ := strings.Cut(field.Tag.Get("json"), ","); !slices.Contains(known, key) {
				t.Errorf("%s: OPA has no key %q, it has %v", test.name, key, known)
			}
		}
	}
}

// A recorder records passes, and keeps what its log writes.
type recorder struct {
	Log
	t      *testing.T
	events []Event
}

func newRecorder(t *testing.T) *recorder {
	r := &recorder{t: t}
	r.RunDir, r.Version = inTemp(t, "run"), "1.2.3"
	r.Mask = func(_ context.Context, events [][]byte) ([][]byte, error) { return events, nil }
	r.Sinks = append(r.Sinks, func(events [][]byte) (int, error) {
		for _, text := range events {
			var e Event
			decoder := json.NewDecoder(bytes.NewReader(text))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&e); err != nil {
				t.Errorf("%s: %v", text, err)
			}
			r.events = append(r.events, e)
		}
		return 0, nil
	})
	return r
}

// pass records a pass over profiles, and returns which of them got an event.
func (r *recorder) pass(phase string, decisions map[string]policy.Decision) string {
	r.t.Helper()
	p := ledger.Pass{Input: policy.Input{
		Phase: phase, Now: policy.NewNow(time.Now()), Profiles: map[string]policy.Facts{},
		Container: policy.Facts{policy.LabelsFact: json.RawMessage(`{"status":"recorded","site":"berlin"}`)},
	}}
	p.Decisions.Profiles, p.Decisions.Policy.Revision = decisions, "r1"
	for name := range decisions {
		p.Input.Profiles[name] = policy.Facts{"tokens": json.RawMessage(`{"status":"recorded"}`)}
	}
	from := len(r.events)
	if err := r.Record(r.t.Context(), p); err != nil {
		r.t.Fatal(err)
	}
	var names []string
	for _, e := range r.events[from:] {
		names = append(names, e.Result.Profile)
	}
	return strings.Join(names, " ")
}

// A boot logs every profile. Later passes log what is new: another action, rule or reason, and a
// profile that is there again, also after a restart of the program.
func TestWhatIsNew(t *testing.T) {
	t.Parallel()
	r := newRecorder(t)
	held := func(rule string) policy.Decision {
		return policy.Decision{Action: policy.ActionDown, Code: "quiet", Reason: "night", Contributions: []policy.Contribution{{Set: policy.SetHold, Rule: rule}}}
	}
	up := policy.Decision{Action: policy.ActionStart, Code: "prior_intent", Reason: "was running"}
	for _, step := range []struct {
		why, phase string
		decisions  map[string]policy.Decision
		want       string
	}{
		{"a boot", policy.PhaseBoot, map[string]policy.Decision{"b": up, "a": held("one")}, "a b"},
		{"the same", policy.PhaseApply, map[string]policy.Decision{"b": up, "a": held("one")}, ""},
		{"another rule", policy.PhaseApply, map[string]policy.Decision{"b": up, "a": held("two")}, "a"},
		{"another action", policy.PhaseApply, map[string]policy.Decision{"b": held("two"), "a": held("two")}, "b"},
		{"one is gone", policy.PhaseApply, map[string]policy.Decision{"a": held("two")}, ""},
		{"it is there again", policy.PhaseApply, map[string]policy.Decision{"a": held("two"), "b": held("two")}, "b"},
		{"the next boot", policy.PhaseBoot, map[string]policy.Decision{"a": held("two"), "b": held("two")}, "a b"},
	} {
		if got := r.pass(step.phase, step.decisions); got != step.want {
			t.Errorf("%s: events of %q, want %q", step.why, got, step.want)
		}
	}
	e := r.events[0]
	if e.Labels["site"] != "berlin" || e.Labels["version"] != "1.2.3" || e.Bundles[PolicyName].Revision != "r1" || e.RequestedBy != "boot" || e.Path != Path || e.Result.Reason != "night" {
		t.Errorf("%+v", e)
	}
	seen := map[string]bool{}
	for _, e := range r.events {
		seen[e.DecisionID] = true
	}
	if len(seen) != len(r.events) {
		t.Errorf("%d ids of %d events", len(seen), len(r.events))
	}
}

// An event has the digest of its input, or the input of its own profile alone. Values of
// variables are in neither.
func TestInputOfAnEvent(t *testing.T) {
	t.Parallel()
	r := newRecorder(t)
	secret := policy.Decision{Action: policy.ActionStart, Env: map[string]string{"KEY": "hush"}, Contributions: []policy.Contribution{{Set: policy.SetEnv, Name: "KEY", Value: "hush"}}}
	two := map[string]policy.Decision{"a": secret, "b": secret}
	r.pass(policy.PhaseBoot, two)
	r.Masked = true
	r.pass(policy.PhaseBoot, two)
	digest, _ := json.Marshal(r.events[0])
	whole, _ := json.Marshal(r.events[2])
	if want := `"facts_digest":"` + ledger.FactsDigest(policy.Facts{"tokens": json.RawMessage(`{"status":"recorded"}`)}) + `"`; !bytes.Contains(digest, []byte(want)) || bytes.Contains(digest, []byte(`"tokens"`)) {
		t.Errorf("%s, want %s", digest, want)
	}
	if !bytes.Contains(whole, []byte(`"profiles":{"a":{"tokens":{"status":"recorded"}}}`)) {
		t.Errorf("%s", whole)
	}
	if bytes.Contains(slices.Concat(digest, whole), []byte("hush")) {
		t.Error("the value of a variable is in an event")
	}
}

// What cannot be masked, or is too large, loses its input and its reasons, and the state says
// why.
func TestEventsThatCannotBeMasked(t *testing.T) {
	t.Parallel()
	r := newRecorder(t)
	r.Masked = true
	boot := map[string]policy.Decision{"a": {Action: policy.ActionDown, Code: "c", Reason: strings.Repeat("x", MaxEvent)}}
	r.pass(policy.PhaseBoot, boot)
	r.Mask = func(context.Context, [][]byte) ([][]byte, error) { return nil, errors.New("mask.rego:3: no") }
	boot["a"] = policy.Decision{Action: policy.ActionDown, Code: "c", Reason: "because"}
	p := ledger.Pass{Input: policy.Input{Phase: policy.PhaseBoot, Profiles: map[string]policy.Facts{"a": {}}}, Decisions: policy.Decisions{Profiles: boot}}
	if err := r.Record(t.Context(), p); err == nil || !strings.Contains(err.Error(), "mask.rego:3: no") {
		t.Errorf("error %v", err)
	}
	for _, e := range r.events {
		if e.Input != nil || e.Result.Reason != "" || e.Result.Contributions != nil || e.Result.Code != "c" || !slices.Equal(e.Erased, []string{"/input", "/result/reason", "/result/contributions"}) {
			t.Errorf("%+v", e)
		}
	}
	if s, err := ReadState(r.RunDir); err != nil || len(r.events) != 2 || !strings.Contains(s.Problem, "mask.rego:3: no") {
		t.Errorf("%d events, state %+v, %v", len(r.events), s, err)
	}
}

// Profiles that an agent makes by the thousand push no event of a gateway out, and are counted.
func TestOddProfilesDoNotFlood(t *testing.T) {
	t.Parallel()
	r := newRecorder(t)
	decisions := map[string]policy.Decision{"zz": {Action: policy.ActionStart}, "zy": {Action: policy.ActionDown}}
	for n := range 20000 {
		decisions[strings.Repeat("a", 200)+strconv.Itoa(n)] = policy.Decision{Action: policy.ActionSkip, Code: "not_a_profile"}
	}
	r.pass(policy.PhaseBoot, decisions)
	if n := len(r.events); n != mostNew || r.events[0].Result.Profile != "zz" || r.events[1].Result.Profile != "zy" {
		t.Errorf("%d events", n)
	}
	if s, err := ReadState(r.RunDir); err != nil || s.Dropped != len(decisions)-mostNew {
		t.Errorf("state has %d dropped, %v", s.Dropped, err)
	}
	if again := r.pass(policy.PhaseApply, decisions); again != "" {
		t.Errorf("they are logged again: %.100s", again)
	}
}

// What a sink does not take is counted.
func TestDroppedEventsAreCounted(t *testing.T) {
	t.Parallel()
	r := newRecorder(t)
	r.Sinks = append(r.Sinks, func(events [][]byte) (int, error) { return len(events), nil })
	decisions := map[string]policy.Decision{}
	for n := range 2*mostEvents + 1 {
		decisions[strconv.Itoa(n)] = policy.Decision{Action: policy.ActionDown}
	}
	r.pass(policy.PhaseBoot, decisions)
	r.pass(policy.PhaseBoot, decisions)
	if s, err := ReadState(r.RunDir); err != nil || s.Dropped != 2*len(decisions) || len(r.events) != s.Dropped {
		t.Errorf("state has %d dropped of %d, %v", s.Dropped, 2*len(decisions), err)
	}
}
