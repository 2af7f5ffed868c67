package rego

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"hermes-reconcile/policy"
)

// hostileProfiles are as many as an agent cares to make, each with what makes a rule
// say something of it.
func hostileProfiles(n int) policy.Input {
	in := manyProfiles(0)
	for i := range n {
		facts := benchFacts(1)
		facts["name"] = json.RawMessage(`{"status":"recorded","valid":false,"problem":"link","kind":"link","length":6}`)
		facts["markers"] = json.RawMessage(`{"status":"recorded","files":{}}`)
		facts["restart_hold"] = json.RawMessage(fmt.Sprintf(`{"status":"recorded","since_unix":1,"deaths":%d,"changed_files":[],"ended":""}`, i))
		facts["prior_state"] = json.RawMessage(fmt.Sprintf(`{"status":"recorded","desired":"running","gateway":"%d"}`, i))
		in.Profiles[fmt.Sprintf("x%06d", i)] = facts
	}
	return in
}

// An agent can make as many profiles as it likes that a rule refuses. A rule whose work
// grows with the square of them is one that the agent can make run out of its time;
// and then it refuses nobody. What is allocated is counted, and not the time.
func TestRefusedProfilesGrowLinearly(t *testing.T) {
	skipUnderRace(t)
	e := benchEvaluator(t)
	for _, p := range e.packages {
		var used []uint64
		for _, n := range []int{100, 1000} {
			in := hostileProfiles(n)
			document, err := NewDocument(in)
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			countSteps(t, e, p, document)
			runtime.ReadMemStats(&after)
			used = append(used, after.TotalAlloc-before.TotalAlloc)
		}
		if used[1] > 13*used[0] {
			t.Errorf("%s: %d bytes for 100 profiles and %d for 1000", p.Name, used[0], used[1])
		}
	}
}

// An object that a rule makes key by key, as in refused[name] := reason, takes four times
// as long for twice as many keys, which neither steps nor bytes show. 20,000 links among
// the profiles once made profile_name run out of its time.
func TestNoRuleMakesAnObjectKeyByKey(t *testing.T) {
	t.Parallel()
	keyByKey := regexp.MustCompile(`(?m)^\w+\[[a-z]\w*\] :?= `)
	for _, pattern := range []string{"policies/*.rego", "recipes/*/*.rego"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if found := keyByKey.Find(text); found != nil && !strings.HasSuffix(file, "_test.rego") {
				t.Errorf("%s: %s", file, found)
			}
		}
	}
}
