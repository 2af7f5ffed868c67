package process

import (
	"encoding/json"
	"fmt"

	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/bundle"
)

// Settings are what the child needs to know of the configuration.
type Settings struct {
	Directory string // relative paths start there
	bundle.Sources
	rego.Options // the child has the schema itself
}

// A request asks for one thing. Settings, Document and Profile have no answer. An
// evaluation has one for each package, unless one is an error, and the others have one.
type request struct {
	Settings *Settings     `json:",omitempty"` // the first request
	Load     bundle.Choice `json:",omitempty"`
	Keep     bundle.Choice `json:",omitempty"` // save what Load has loaded as the last good copy
	// Document begins a document, without facts. The facts about the container are attached.
	Document *policy.Input `json:",omitempty"`
	Profile  *string       `json:",omitempty"` // its facts are attached
	Evaluate *evaluation   `json:",omitempty"`
	Mask     bundle.Choice `json:",omitempty"` // mask the attached events with what Load has loaded
}

// An evaluation asks for the contributions of packages to the document.
type evaluation struct {
	Choice    bundle.Choice
	Packages  []string                  // they begin in this order
	AtOnce    int                       // how many of them
	Decisions map[string]policy.Verdict `json:",omitempty"`
}

// An answer of an evaluation names a package, whose result is attached. The answer to Load has
// the policy attached.
type answer struct {
	Package string `json:",omitempty"`
	Error   string `json:",omitempty"`
	NoCopy  bool   `json:",omitempty"` // the error is bundle.ErrNoLastGood

	Untrusted []string `json:",omitempty"` // the errors about rules that the agents could have written
}

// A loaded is a policy that the child has loaded.
type loaded struct {
	Status   policy.Status
	Packages []rego.Package
	Mistakes []string // in packages
	Empty    []string // directories without rules and settings
	Settings rego.Values
	Masks    bool // see rego.Evaluator
}

// describe describes a policy, with the mistakes that its packages have.
func describe(e *rego.Evaluator, mistakes error) loaded {
	l := loaded{Status: e.Status(), Packages: e.Packages(), Settings: e.Settings(), Masks: e.Masks()}
	_, l.Empty = e.Operator().Directories()
	for _, mistake := range rego.OfPackages(mistakes) {
		l.Mistakes = append(l.Mistakes, mistake.Error())
	}
	return l
}

// attached decodes the one text of a message.
func attached(texts [][]byte, value any) error {
	if len(texts) != 1 {
		return fmt.Errorf("%d texts, want 1", len(texts))
	}
	return json.Unmarshal(texts[0], value)
}
