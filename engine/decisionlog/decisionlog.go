// Package decisionlog tells a fleet what was decided: an event for each decision that is new,
// in the format of OPA's decision logs, to a file, to a stream, or to a collector. A pass only
// writes to the disk. The watch uploads what waits in the buffer, with the status of OPA's
// status format. Other packages decide which facts an event may hold and mask it.
package decisionlog

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/watch"
	"hermes-reconcile/policy"
)

// An Event is the decision about one profile. Its keys are those of EventV1 of OPA's package
// plugins/logs.
type Event struct {
	Labels      map[string]string `json:"labels"`
	DecisionID  string            `json:"decision_id"`
	Bundles     map[string]Bundle `json:"bundles"`
	Path        string            `json:"path"`
	Input       any               `json:"input,omitempty"`
	Result      Result            `json:"result"`
	Erased      []string          `json:"erased,omitempty"`
	Masked      []string          `json:"masked,omitempty"`
	RequestedBy string            `json:"requested_by"`
	Timestamp   time.Time         `json:"timestamp"`
	Metrics     map[string]int64  `json:"metrics"` // timer_pass_ns: from the look to the event
}

// A Bundle is the revision of rules that decided.
type Bundle struct {
	Revision string `json:"revision"`
}

// A Result is the decision, without values of variables.
type Result struct {
	Profile       string                `json:"profile"`
	Action        policy.Action         `json:"action"`
	Code          string                `json:"code"`
	Reason        string                `json:"reason,omitempty"`
	PriorState    policy.Maybe          `json:"prior_state"`
	PriorExit     policy.Maybe          `json:"prior_exit"`
	Contributions []policy.Contribution `json:"contributions,omitempty"`
}

func resultOf(name string, d policy.Decision) Result {
	contributions := append([]policy.Contribution{}, d.Contributions...)
	for i := range contributions {
		contributions[i].Value = "" // of a variable: it may be a secret
	}
	return Result{name, d.Action, d.Code, d.Reason, d.PriorState, d.PriorExit, contributions}
}

// Path is that of every event.
const Path = "reconcile/decision"

// MaxEvent limits an event, in bytes. A larger one is written without input and reasons.
const MaxEvent = 256 << 10

// mostNew limits the events of a pass: an agent can make any number of odd profiles. Those
// that start come first, those without a slot last.
const mostNew = 1000

var rank = map[policy.Action]string{policy.ActionStart: "1", policy.ActionDown: "2", policy.ActionSkip: "3"}

// A State is what is known of the events until the container stops.
type State struct {
	Logged  map[string]string `json:"logged"`            // digests of what was logged last, by that of the profile
	Dropped int               `json:"dropped"`           // events
	Problem string            `json:"problem,omitempty"` // of the last pass that logged
}

const stateFile = "decision-log.json"

// ReadState reads the state; see watch.Read.
func ReadState(runDir string) (State, error) { return watch.Read[State](runDir, stateFile) }

// A Log writes the events of passes.
type Log struct {
	RunDir  string // has what was logged last
	Version string // of this program
	Masked  bool   // events hold their input, else its digest
	// Mask masks events, in their order. Its error means that they cannot be masked.
	Mask func(ctx context.Context, events [][]byte) ([][]byte, error)
	// Sinks take events, and return how many events they dropped, these or older ones.
	Sinks []func(events [][]byte) (dropped int, err error)
}

// Record writes an event for each profile whose decision differs from the last that was
// logged, and at a boot for every profile. The error says what could not be written or masked.
func (l *Log) Record(ctx context.Context, p ledger.Pass) error {
	s, _ := ReadState(l.RunDir) // what cannot be read is logged again
	before := s.Logged
	s.Logged = map[string]string{}
	for name := range p.Input.Profiles {
		if key, logged := before[digest(name)]; logged && p.Input.Phase != policy.PhaseBoot {
			s.Logged[digest(name)] = key
		}
	}
	var events []Event
	for _, name := range slices.Sorted(maps.Keys(p.Decisions.Profiles)) {
		d := p.Decisions.Profiles[name]
		if key := keyOf(d); s.Logged[digest(name)] != key {
			s.Logged[digest(name)] = key
			events = append(events, l.event(p, name, d))
		}
	}
	if len(events) == 0 && maps.Equal(before, s.Logged) {
		return nil
	}
	if over := len(events) - mostNew; over > 0 {
		slices.SortStableFunc(events, func(a, b Event) int { return strings.Compare(rank[a.Result.Action], rank[b.Result.Action]) })
		events, s.Dropped = events[:mostNew], s.Dropped+over
	}
	var errs []error
	for some := range slices.Chunk(events, mostEvents) {
		dropped, err := l.write(ctx, some)
		s.Dropped += dropped
		errs = append(errs, err)
	}
	problem := errors.Join(errs...)
	if s.Problem = ""; problem != nil {
		s.Problem = policy.Cut(problem.Error())
	}
	err := os.MkdirAll(l.RunDir, 0o755)
	return errors.Join(problem, err, watch.Write(l.RunDir, stateFile, s))
}

// write masks some events and gives them to all sinks.
func (l *Log) write(ctx context.Context, events []Event) (dropped int, err error) {
	texts := make([][]byte, len(events))
	for i, e := range events {
		texts[i], err = json.Marshal(e)
		if err != nil {
			return len(events), err
		}
	}
	masked, maskErr := l.Mask(ctx, texts)
	for i, e := range events {
		if maskErr == nil && len(masked[i]) <= MaxEvent {
			texts[i] = masked[i]
		} else {
			texts[i], _ = json.Marshal(e.bare()) // words and numbers
		}
	}
	if maskErr != nil {
		err = fmt.Errorf("the decision log cannot be masked, so the events have neither input nor reasons: %w", maskErr)
	}
	for _, sink := range l.Sinks {
		n, sinkErr := sink(texts)
		dropped, err = dropped+n, errors.Join(err, sinkErr)
	}
	return dropped, err
}

// bare returns the event without what a mask could hide.
func (e Event) bare() Event {
	e.Input, e.Result.Reason, e.Result.Contributions = nil, "", nil
	e.Erased = []string{"/input", "/result/reason", "/result/contributions"}
	return e
}

func (l *Log) event(p ledger.Pass, name string, d policy.Decision) Event {
	e := Event{
		Labels: policy.LabelsOf(p.Input.Container), DecisionID: rand.Text(), Bundles: map[string]Bundle{PolicyName: {p.Decisions.Policy.Revision}},
		Path: Path, Result: resultOf(name, d), RequestedBy: p.Command, Timestamp: time.Unix(0, p.Input.Now.UnixNS).UTC(),
		Metrics: map[string]int64{"timer_pass_ns": time.Now().UnixNano() - p.Input.Now.UnixNS},
	}
	for _, layer := range p.Decisions.Policy.Bundles {
		e.Bundles[layer.Source] = Bundle{layer.Revision}
	}
	if l.Version != "" {
		e.Labels["version"] = l.Version
	}
	if e.RequestedBy == "" {
		e.RequestedBy = policy.PhaseBoot
	}
	if l.Masked {
		in := p.Input
		in.Profiles = map[string]policy.Facts{name: p.Input.Profiles[name]}
		e.Input = in
	} else {
		e.Input = map[string]string{
			"container_digest": ledger.FactsDigest(p.Input.Container), "facts_digest": ledger.FactsDigest(p.Input.Profiles[name]),
		}
	}
	return e
}

// PolicyName names the rules as a bundle: all layers together have one revision.
const PolicyName = "policy"

// keyOf identifies what makes a decision new.
func keyOf(d policy.Decision) string {
	words := []any{d.Action, d.Code, d.Reason}
	for _, c := range d.Contributions {
		words = append(words, c.Set, c.Rule, c.Code)
	}
	return digest(words...)
}

func digest(words ...any) string {
	hash := fnv.New64a()
	fmt.Fprintf(hash, "%q", words)
	return fmt.Sprintf("%016x", hash.Sum64())
}
