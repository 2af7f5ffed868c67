// Package remote does the work on the volume, such as facts, sweeps, intents and logs, in a
// child process. For root, the child becomes the unprivileged user: a planted link then leads
// to nothing that the agent could not reach itself. A volume that hangs does not stop the
// parent. The package holds both ends of the pipes to the child.
//
// The package knows which sources read the volume. It knows no rules, no supervisor, no flags
// and no configuration.
package remote

import (
	"encoding/json"
	"fmt"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/child"
	"hermes-reconcile/engine/facts"
	"hermes-reconcile/engine/facts/fact"
	"hermes-reconcile/engine/gatewaylog"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/volume"
	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
)

// Settings are what the work on the volume needs to know.
type Settings struct {
	Home          string
	Phase         string
	Timeout       time.Duration // for all facts
	SourceTimeout time.Duration
	OperatorFiles []string
	ConfigKeys    []string
	User          *trust.User // the child becomes this user before it opens anything; nil: it stays who it is
	Crowded       bool        // the user may have no process left: the child works without new threads
}

// Sources returns the sources that read the volume. A nil home serves for their schemas.
func Sources(s Settings, home *volume.Home) ([]fact.Source, []fact.ProfileSource) {
	config := facts.Config{Home: s.Home, Phase: s.Phase, OperatorFiles: s.OperatorFiles, ConfigKeys: s.ConfigKeys}
	if home != nil {
		config.Root, config.ProfilesDir = home.Root(), home.ProfilesDir
	}
	builtin := facts.Builtin(config)
	return builtin.Volume, builtin.Profile
}

// A request asks for one thing. The child replies with any number of answers, the last
// of which is Done.
type request struct {
	Settings *Settings          `json:",omitempty"` // the first request, which has no answer
	Collect  bool               `json:",omitempty"`
	Execute  []policy.Operation `json:",omitempty"`
	Log      string             `json:",omitempty"` // its name; the text is attached
	Runs     *ledger.Query      `json:",omitempty"`
	Change   *engine.Change     `json:",omitempty"`
	Events   *time.Duration     `json:",omitempty"` // how long to wait
	Lines    *gatewaylog.Query  `json:",omitempty"`
}

// An answer of a collection has the facts of one profile attached; the last one has the
// facts about the container attached. The answer to another request has its value attached.
type answer struct {
	Profile string `json:",omitempty"`
	Error   string `json:",omitempty"` // of the whole request
	Done    bool   `json:",omitempty"`
}

type result struct {
	Done  bool   `json:",omitempty"`
	Error string `json:",omitempty"`
}

// factsOf returns the facts that are attached to a message.
func factsOf(texts [][]byte) (policy.Facts, error) {
	facts := child.Map(texts)
	for name, value := range facts {
		if !json.Valid(value) {
			return nil, fmt.Errorf("the fact %q is not valid JSON", name)
		}
	}
	return facts, nil
}
