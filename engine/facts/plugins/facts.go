package plugins

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"hermes-reconcile/engine/facts/fact"
	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

// A report is what all plug-ins answered: the fact about the container.
type report struct {
	read.Outcome
	Plugins map[string]answer          `json:"plugins" about:"how each plug-in ended, by its name: the file's without the ending" of:"one plug-in"`
	Values  map[string]json.RawMessage `json:"values" about:"what each plug-in answered about the container, by plug-in" of:"the plug-in's own keys"`
	Ignored []string                   `json:"ignored" about:"files whose name is not that of a plug-in, or whose name another plug-in has" of:"file"`

	profiles map[string]map[string]json.RawMessage // by profile, then by plug-in
}

// newReport returns a report without answers.
func newReport(out read.Outcome) report {
	return report{out, map[string]answer{}, map[string]json.RawMessage{}, []string{}, map[string]map[string]json.RawMessage{}}
}

// A profileReport is the fact about a profile.
type profileReport struct {
	read.Outcome
	Values map[string]json.RawMessage `json:"values" about:"what each plug-in answered about this profile, by plug-in" of:"the plug-in's own keys"`
}

// An answer is what one plug-in answered, and how.
type answer struct {
	Status          string `json:"status" about:"recorded: it answered; timed_out: it took too long; failed: it could not be run, or its exit status was not 0; unreadable: its file must not be used; invalid: its answer is not valid" words:"status"`
	Error           string `json:"error,omitempty" about:"what went wrong; never quotes what the plug-in printed"`
	Kind            string `json:"kind" about:"static: a .json or .yaml file; executable: a program" words:"static,executable"`
	DurationMS      int64  `json:"duration_ms" about:"how long it ran, in milliseconds"`
	UnknownProfiles int    `json:"unknown_profiles" about:"names in its answer that no profile has"`

	container json.RawMessage
	profiles  map[string]json.RawMessage
}

// ended returns the answer of a plug-in that has none.
func ended(out read.Outcome) answer { return answer{Status: out.Status, Error: out.Error} }

// AddFacts asks the plug-ins about the profiles of an input document, and adds their answers
// to it. It returns soon after the time limit, whatever the plug-ins do, with the answers that
// came by then.
func AddFacts(ctx context.Context, c Config, in *policy.Input) {
	c.phase = in.Phase
	r := c.ask(ctx, slices.Sorted(maps.Keys(in.Profiles)))
	in.Container[policy.ExternalFact] = encoded(r)
	nothing := encoded(profileReport{r.Outcome, map[string]json.RawMessage{}})
	for name, facts := range in.Profiles {
		facts[policy.ExternalFact] = nothing
		if values := r.profiles[name]; values != nil {
			facts[policy.ExternalFact] = encoded(profileReport{r.Outcome, values})
		}
	}
}

// encoded returns a fact as JSON. A value of a plug-in that is no JSON costs the whole fact;
// parseAnswer accepts none.
func encoded(fact any) json.RawMessage {
	text, err := json.Marshal(fact)
	if err != nil {
		return json.RawMessage(`{"status":"failed","error":"an answer cannot be encoded"}`)
	}
	return text
}

// Sources only describe the facts that AddFacts adds.
func Sources() (fact.Source, fact.ProfileSource) {
	return fact.OfContainer[report](policy.ExternalFact, fact.ByOperator, "facts of the operator's plug-ins, which are files in the facts directory", nil),
		fact.OfProfile[profileReport](policy.ExternalFact, fact.ByOperator, "facts of the operator's plug-ins about this profile", nil)
}
