package remote

import (
	"encoding/json"
	"fmt"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/child"
	"hermes-reconcile/engine/gatewaylog"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

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

// A result is that of one operation.
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
