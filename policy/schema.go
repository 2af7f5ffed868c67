package policy

import _ "embed" // for the schema

// DecisionSchema is the JSON Schema of the decision document.
//
//go:embed decision.schema.json
var DecisionSchema string
