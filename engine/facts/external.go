package facts

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"hermes-reconcile/engine/facts/fact"
	"hermes-reconcile/engine/facts/plugins"
	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

type externalFact struct {
	read.Outcome
	Plugins map[string]pluginFact      `json:"plugins" about:"how each plug-in ended, by its name: the file's without the ending" of:"one plug-in"`
	Values  map[string]json.RawMessage `json:"values" about:"what each plug-in answered about the container, by plug-in" of:"the plug-in's own keys"`
	Ignored []string                   `json:"ignored" about:"files whose name is not that of a plug-in, or whose name another plug-in has" of:"file"`
}

type externalProfileFact struct {
	read.Outcome
	Values map[string]json.RawMessage `json:"values" about:"what each plug-in answered about this profile, by plug-in" of:"the plug-in's own keys"`
}

type pluginFact struct {
	Status          string `json:"status" about:"recorded: it answered; timed_out: it took too long; failed: it could not be run, or its exit status was not 0; unreadable: its file must not be used; invalid: its answer is not valid" words:"status"`
	Error           string `json:"error,omitempty" about:"what went wrong; never quotes what the plug-in printed"`
	Kind            string `json:"kind" about:"static: a .json or .yaml file; executable: a program" words:"static,executable"`
	DurationMS      int64  `json:"duration_ms" about:"how long it ran, in milliseconds"`
	StderrBytes     int64  `json:"stderr_bytes" about:"how many bytes it wrote to standard error, which is not kept"`
	UnknownProfiles int    `json:"unknown_profiles" about:"names in its answer that no profile has"`
}

// AddExternal asks the operator's plug-ins about the profiles of an input document, and adds
// their answers to it.
func AddExternal(ctx context.Context, c plugins.Config, in *policy.Input) {
	c.Phase = in.Phase
	r := plugins.Run(ctx, c, slices.Sorted(maps.Keys(in.Profiles)))
	in.Container[policy.ExternalFact] = encoded(externalOf(r))
	nothing := encoded(externalProfileFact{r.Outcome, map[string]json.RawMessage{}})
	for name, facts := range in.Profiles {
		facts[policy.ExternalFact] = nothing
		if values := r.Profiles[name]; values != nil {
			facts[policy.ExternalFact] = encoded(externalProfileFact{r.Outcome, values})
		}
	}
}

// encoded returns a fact as JSON. A value of a plug-in that is no JSON costs the whole fact;
// plugins accepts none.
func encoded(fact any) json.RawMessage {
	text, err := json.Marshal(fact)
	if err != nil {
		return json.RawMessage(`{"status":"failed","error":"an answer cannot be encoded"}`)
	}
	return text
}

func externalOf(r plugins.Report) externalFact {
	f := externalFact{r.Outcome, map[string]pluginFact{}, r.Values, r.Ignored}
	for name, a := range r.Plugins {
		kind := "executable"
		if a.Static {
			kind = "static"
		}
		f.Plugins[name] = pluginFact{a.Status, a.Error, kind, a.Duration.Milliseconds(), a.StderrBytes, a.UnknownProfiles}
	}
	return f
}

// External returns sources that only describe the facts that AddExternal adds.
func External() (fact.Source, fact.ProfileSource) {
	return fact.OfContainer[externalFact](policy.ExternalFact, fact.ByOperator, "facts of the operator's plug-ins, which are files in the facts directory", nil),
		fact.OfProfile[externalProfileFact](policy.ExternalFact, fact.ByOperator, "facts of the operator's plug-ins about this profile", nil)
}
