package facts

import (
	"encoding/json"
	"strings"

	"hermes-reconcile/engine/facts/fact"
	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

// Said is what the gateway of a profile has recorded of itself by now.
func Said(dir policy.Directory) policy.Said {
	fact, _ := json.Marshal(priorState(dir)) // plain values marshal
	return policy.SaidOf(policy.Facts{"prior_state": fact})
}

// How much of a log is shown.
const (
	lastLogBytes = 8 << 10
	lastLogLines = 5
	lastLogLine  = 300 // bytes
)

// secretInText finds what looks like a credential in a line of a log: user and password of a
// URL, and long words.
var secretInText = policy.Pattern(`//[^/\s@]*@|[A-Za-z0-9_-]{24,}`)

// LastLog returns the last lines of the log of a profile's gateway, without what looks like a
// credential. It is empty when there is no log that can be read.
func LastLog(root policy.Directory, p policy.Profile) []string {
	dir := LogDirectory(p)
	if dir == "" {
		return nil
	}
	data, out := read.Tail(root, dir+"/current", lastLogBytes)
	text := strings.TrimSpace(string(data))
	if out.Status != "" || text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	lines = lines[max(0, len(lines)-lastLogLines):]
	for i, line := range lines {
		lines[i] = read.Bounded(secretInText().ReplaceAllString(line, fact.Redacted), lastLogLine)
	}
	return lines
}
