package rego

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"hermes-reconcile/policy"
)

// benchSizes are the numbers of profiles that the benchmarks run with.
var benchSizes = []int{10, 100, 1000, 10000}

// manyProfiles makes an input document in which every built-in rule has work:
// profiles take turns in their state, every second one has a gateway.pid, every
// tenth has no marker or a name that is none, is up, ended with 78, or has a lock
// that is held, every twentieth has used up its restarts, with an override;
// multiplexing is on.
func manyProfiles(n int) policy.Input {
	in := policy.Input{
		SchemaVersion: policy.SchemaVersion,
		Phase:         policy.PhaseApply,
		Now:           policy.NewNow(time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)),
		Container: policy.Facts{
			"command":     json.RawMessage(`{"status":"recorded","role":"gateway run","argv":["main-wrapper.sh","gateway","run"],"no_supervise":false,"source":"rc.init"}`),
			"environment": json.RawMessage(`{"status":"recorded","source":"s6","vars":{"HERMES_GATEWAY_BOOTSTRAP_STATE":"running"},"flags":{},"secrets":[]}`),
			"owner_lease": json.RawMessage(`{"status":"invalid"}`),
			"multiplex":   json.RawMessage(`{"status":"recorded","on":true,"source":"environment","config_status":"missing","routes":0,"warnings":["config.yaml: multiplex_profiles: want true or false"]}`),
		},
		Profiles: map[string]policy.Facts{policy.RootProfile: benchFacts(0)},
	}
	var slots, overrides, pauses []string
	for i := range n {
		slots = append(slots, fmt.Sprintf(`"gateway-p%05d":{"profile":"p%05[1]d","kind":"directory","status":"recorded","ours":true,"down_file":false,"supervised":true,"logger_supervised":true,"up":%[2]t,"wanted_up":%[2]t,"exit_code":%[3]d,"since_unix":1795317851}`, i+1, i%10 == 2, 78*(i%10/9)))
		if i%20 == 0 {
			overrides = append(overrides, fmt.Sprintf(`"p%05d":[{"rule":"reconcile.rules.restart_budget","code":"budget_exhausted","at_unix":1795381851,"active":true}]`, i+1))
		}
		if i%20 == 1 {
			pauses = append(pauses, fmt.Sprintf(`"p%05d":{"at_unix":1795381851,"up":true,"ended":%t,"reason":"a backup","text":"root paused it"}`, i+1, i%40 == 1))
		}
		in.Profiles[fmt.Sprintf("p%05d", i+1)] = benchFacts(i + 1)
	}
	in.Container["s6"] = json.RawMessage(`{"status":"recorded","slots":{` + strings.Join(slots, ",") + `}}`)
	in.Container["pauses"] = json.RawMessage(`{"status":"recorded","profiles":{` + strings.Join(pauses, ",") + `}}`)
	in.Container["overrides"] = json.RawMessage(`{"status":"recorded","profiles":{` + strings.Join(overrides, ",") + `}}`)
	return in
}

// benchFacts are the facts of one profile, in the shape in which they are
// collected. Number 0 is the root profile, which has no state yet.
func benchFacts(i int) policy.Facts {
	states := []string{
		`"status":"recorded","desired":"running","gateway":"running"`,
		`"status":"recorded","desired":"stopped","gateway":"stopped"`,
		`"status":"recorded","gateway":"draining"`,
		`"status":"recorded","gateway":"running"`,
	}
	state, marker, name, files := states[i%len(states)], "SOUL.md", `"valid":true,"problem":""`, ""
	switch {
	case i == 0:
		state = `"status":"missing"`
	case i%10 == 5:
		marker = "config.yaml"
	case i%10 == 6:
		name = `"valid":false,"problem":"characters"`
	}
	if i%2 == 0 {
		files = fmt.Sprintf(`"gateway.pid":{"status":"recorded","kind":"file","sweepable":true,"identity":"%d-1795381851000000000-33","pid":%d,"pid_alive":false}`, 1000+i, 100+i)
	}
	held := i%10 == 7
	hold := `{"status":"missing","changed_files":[],"ended":""}`
	if i%20 == 1 {
		hold = `{"status":"recorded","since_unix":1795381851,"until_unix":1795385451,"deaths":5,"window_seconds":600,"exit_code":1,"changed_files":[],"ended":""}`
	}
	texts := map[string]string{
		"config":         `{"status":"missing","platforms":{},"job_count":0,"enabled_jobs":0,"jobs_status":"missing","provider_count":0,"providers_status":"missing"}`,
		"external":       `{"status":"missing","values":{}}`,
		"lifecycle":      `{"status":"missing","exit":"unknown"}`,
		"log_directory":  `{"status":"missing","lock":false,"bytes":0}`,
		"markers":        fmt.Sprintf(`{"status":"recorded","files":{%q:{"kind":"file","size":7,"modified_unix":%d}}}`, marker, 1795381851+i/1000),
		"name":           `{"status":"recorded",` + name + `,"length":6}`,
		"operator_files": `{"status":"recorded","files":{}}`,
		"ownership":      `{"status":"recorded","uid":10000,"gid":10000,"mode":"0755","writable":true}`,
		"ports":          fmt.Sprintf(`{"status":"missing","ports":[],"derived":%d,"api_server_enabled":false,"api_server_key":false,"config_status":"missing"}`, 9200+i%600),
		"prior_state":    `{` + state + `}`,
		"restart_hold":   hold,
		"runtime_files":  `{"status":"recorded","files":{` + files + `},"lock":{"status":"recorded","held":` + strconv.FormatBool(held) + `}}`,
		"starts":         `{"status":"missing","count":0,"times_unix":[],"chained_boots":0,"chain_status":"missing"}`,
		"tokens":         `{"status":"missing","tokens":[],"env_link":false,"config_status":"missing"}`,
		"unclean_exits":  `{"status":"missing","count":0,"times_unix":[]}`,
	}
	facts := make(policy.Facts, len(texts))
	for source, text := range texts {
		facts[source] = json.RawMessage(text)
	}
	return facts
}

func benchEvaluator(tb testing.TB) *Evaluator {
	tb.Helper()
	e, err := Load([]Layer{BuiltIn()}, Options{Timeout: time.Minute})
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// BenchmarkEvaluate runs one rule package over all profiles:
// BenchmarkEvaluate/<rule>/<profiles>. From 1,000 to 10,000 profiles the time of
// no rule may grow more than eleven times; fixtures/bench looks at that.
func BenchmarkEvaluate(b *testing.B) {
	e := benchEvaluator(b)
	for _, p := range e.packages {
		short := p.Name[strings.LastIndex(p.Name, ".")+1:]
		for _, n := range benchSizes {
			b.Run(fmt.Sprintf("%s/%d", short, n), func(b *testing.B) {
				benchPackage(b, e, p, manyProfiles(n))
			})
		}
	}
}

// benchPackage measures one rule package over an input document.
func benchPackage(b *testing.B, e *Evaluator, p rulePackage, in policy.Input) {
	b.Helper()
	document, err := NewDocument(in)
	if err != nil {
		b.Fatal(err)
	}
	evaluate := func() {
		if got := e.EvaluatePackage(b.Context(), p.Name, document); len(got.Failures) > 0 {
			b.Fatalf("failures: %+v", got.Failures)
		}
	}
	// The first runs make the heap as large as it has to be. That is not the rule's
	// work, and with many profiles there are few other runs.
	for range 5 {
		evaluate()
	}
	b.ReportAllocs()
	for b.Loop() {
		evaluate()
	}
}

// BenchmarkEvaluateAll is a whole decision of the rules, the conversion of the
// input document included.
func BenchmarkEvaluateAll(b *testing.B) {
	e := benchEvaluator(b)
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in := manyProfiles(n)
			b.ReportAllocs()
			for b.Loop() {
				if got := e.Evaluate(b.Context(), policy.StageRules, in); len(got.Failures) > 0 {
					b.Fatalf("failures: %+v", got.Failures)
				}
			}
		})
	}
}

// BenchmarkInput converts the input document.
func BenchmarkInput(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in := manyProfiles(n)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := NewDocument(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLoad parses and compiles the built-in rules.
func BenchmarkLoad(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		benchEvaluator(b)
	}
}

// In the benchmarks every built-in rule has something to say, so that none is
// fast because it had nothing to do. container_role would leave the others
// without a say, and is asked alone; live_elsewhere is asked as at a boot.
func TestBenchmarkInputGivesEveryRuleWork(t *testing.T) {
	t.Parallel()
	e := benchEvaluator(t)
	said := map[string]int{}
	for _, phase := range []string{policy.PhaseApply, policy.PhaseBoot} {
		in := manyProfiles(40)
		in.Phase = phase
		got := e.Evaluate(t.Context(), policy.StageRules, in)
		if len(got.Failures) > 0 {
			t.Fatalf("failures: %+v", got.Failures)
		}
		for _, c := range got.Contributions {
			said[c.Rule]++
		}
	}
	for _, p := range e.packages {
		if said[p.Name] == 0 && p.Name != "reconcile.rules.container_role" {
			t.Errorf("%s contributes nothing for the input of the benchmarks", p.Name)
		}
	}
}

// Ten times the profiles are about ten times the work, in every built-in rule.
func TestBuiltInRulesGrowLinearly(t *testing.T) {
	skipUnderRace(t)
	t.Parallel()
	e := benchEvaluator(t)
	for _, p := range e.packages {
		var counts []int
		for _, n := range []int{50, 500} {
			in := manyProfiles(n)
			document, err := NewDocument(in)
			if err != nil {
				t.Fatal(err)
			}
			counts = append(counts, countSteps(t, e, p, document))
		}
		if counts[1] > 11*counts[0] {
			t.Errorf("%s: %d steps for 50 profiles and %d for 500", p.Name, counts[0], counts[1])
		}
	}
}
