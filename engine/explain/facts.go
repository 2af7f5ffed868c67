package explain

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// A Fact is something that a rule read.
type Fact struct {
	Name string   `json:"name"` // in short: prior_state.desired
	Path []string `json:"path"` // in the input document, or settings
	// Value is what the rule read; Present is false when there was nothing.
	Value       any    `json:"value,omitempty"`
	Present     bool   `json:"present"`
	Description string `json:"description,omitempty"`
	WrittenBy   string `json:"written_by"` // "image", "operator", "kernel" or "agent"
	Rule        string `json:"rule"`       // that read it
}

// decidingSets are those whose contributions make a profile go up or stay down.
var decidingSets = []policy.Set{policy.SetSkip, policy.SetHold, policy.SetWaive, policy.SetStart}

// facts lists what the rules read that bear on the decision. Without such rules it lists
// the prior state, which the usual rule would read.
func (s Subject) facts(contributions []policy.Contribution) []Fact {
	facts := []Fact{}
	add := func(f Fact) {
		if !slices.ContainsFunc(facts, func(o Fact) bool { return slices.Equal(o.Path, f.Path) }) {
			facts = append(facts, f)
		}
	}
	for _, c := range contributions {
		if !slices.Contains(decidingSets, c.Set) || !c.Counts() {
			continue
		}
		for _, r := range s.Rules.Reads(c, s.Profile) {
			if r.Setting {
				add(s.setting(r.Path, c.Rule))
				continue
			}
			add(s.fact(r.Path, c.Rule))
			for _, other := range s.othersIn(c, r.Path) {
				add(s.fact(slices.Concat(r.Path[:1], []string{other}, r.Path[2:]), c.Rule))
			}
		}
	}
	if len(facts) == 0 {
		for _, key := range []string{"status", "desired", "gateway", "error"} {
			if f := s.fact([]string{"profiles", s.Profile, "prior_state", key}, ""); f.Present {
				add(f)
			}
		}
	}
	return facts
}

// othersIn returns the profiles that the reason of a hold names. What the rule reads of the
// profile it reads of them too: their claims to the same token, for example.
func (s Subject) othersIn(c policy.Contribution, path []string) []string {
	if c.Set != policy.SetHold || len(path) < 3 || path[0] != "profiles" {
		return nil
	}
	words := strings.FieldsFunc(c.Reason, func(r rune) bool { return strings.ContainsRune(" ,;:()\"'", r) })
	var others []string
	for _, name := range slices.Sorted(maps.Keys(s.Situation.Input.Profiles)) {
		if name != s.Profile && slices.Contains(words, name) {
			others = append(others, name)
		}
	}
	return others
}

func (s Subject) setting(path []string, rule string) Fact {
	value := s.Rules.Setting(path[0])
	return Fact{
		Name: "settings." + path[0], Path: []string{"settings", path[0]}, Value: value, Present: value != nil,
		Description: "data/settings.yaml, or settings in the configuration", WrittenBy: "operator", Rule: rule,
	}
}

func (s Subject) fact(path []string, rule string) Fact {
	f := Fact{Name: s.nameOf(path), Path: path, Rule: rule}
	f.Value, f.Present = valueAt(s.Situation.Input, path)
	f.Description, f.WrittenBy = originOf(s.Schema, path)
	return f
}

// nameOf shortens the path of a fact of the profile itself.
func (s Subject) nameOf(path []string) string {
	if len(path) > 2 && path[0] == "profiles" && path[1] == s.Profile {
		path = path[2:]
	}
	return strings.Join(path, ".")
}

// valueAt looks a path up in the input document.
func valueAt(in policy.Input, path []string) (any, bool) {
	var text []byte
	var err error
	switch {
	case len(path) > 2 && path[0] == "profiles":
		text, path = in.Profiles[path[1]][path[2]], path[3:]
	case len(path) > 1 && path[0] == "container":
		text, path = in.Container[path[1]], path[2:]
	default:
		text, err = json.Marshal(in)
	}
	var value any
	if err != nil || json.Unmarshal(text, &value) != nil {
		return nil, false
	}
	for _, key := range path {
		object, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		if value, ok = object[key]; !ok {
			return nil, false
		}
	}
	return value, true
}

// originOf reads in the schema where a fact comes from and who could have written it.
func originOf(schema json.RawMessage, path []string) (description, writtenBy string) {
	type node struct {
		Description string                     `json:"description"`
		WrittenBy   string                     `json:"x-written-by"`
		Properties  map[string]json.RawMessage `json:"properties"`
		Additional  json.RawMessage            `json:"additionalProperties"`
	}
	at := schema
	for i := 0; ; i++ {
		var n node
		if json.Unmarshal(at, &n) != nil {
			return description, writtenBy
		}
		description, writtenBy = cmp.Or(n.Description, description), cmp.Or(n.WrittenBy, writtenBy)
		if i == len(path) {
			return description, writtenBy
		}
		next, ok := n.Properties[path[i]]
		if !ok {
			next = n.Additional
		}
		if len(next) == 0 {
			return description, writtenBy
		}
		at = next
	}
}

// A Boot is what the ledger has of one pass for the profile.
type Boot struct {
	Time     string `json:"time"`
	Command  string `json:"command,omitempty"` // absent at a boot
	BootID   string `json:"boot_id,omitempty"`
	Action   string `json:"action"` // "started", "registered", "skipped", "failed" or "absent"
	Code     string `json:"code"`
	Reason   string `json:"reason"`
	Policy   string `json:"policy"` // the revision
	Fallback bool   `json:"fallback"`
	Image    string `json:"image,omitempty"`
}

// history adds what the ledger knows.
func (s Subject) history(e *Explanation) {
	e.Changed = []string{}
	for _, b := range s.Boots {
		if b.IsBoot() {
			e.Boots++
			e.LastBoot = bootOf(b)
		}
	}
	good, ok := ledger.LastStart(s.Boots)
	if !ok {
		return
	}
	e.LastGood = bootOf(good)
	e.Changed = s.present().ChangedSince(good)
}

// present is the situation as the ledger would record it now.
func (s Subject) present() ledger.Boot {
	line := ledger.Line{Image: policy.ImageVersion(s.Situation.Input.Container), Policy: s.Decisions.Policy}
	profile, container := line, line
	profile.Facts = ledger.FactDigests(s.Situation.Input.Profiles[s.Profile])
	container.Facts = ledger.FactDigests(s.Situation.Input.Container)
	return ledger.Boot{Profile: &profile, Container: &container}
}

func bootOf(b ledger.Boot) *Boot {
	l := b.Line()
	v := &Boot{
		Time: l.Time, Command: l.Command, BootID: l.BootID, Action: l.Action, Code: l.Code, Reason: l.Reason,
		Policy: l.Policy.Revision, Fallback: l.Policy.Fallback, Image: l.Image,
	}
	if b.Profile == nil && l.Action == ledger.Reconciled {
		v.Action, v.Code, v.Reason = "absent", "absent", "the boot had no such profile"
	}
	return v
}
