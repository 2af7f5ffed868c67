package policy

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// A Set is one of the sets to which rule packages contribute.
type Set string

// The sets, in the order in which documents list them.
const (
	SetSkip    Set = "skip"    // no slot and no sweep, for the container or for one profile
	SetHold    Set = "hold"    // must stay down; wins over any start
	SetWaive   Set = "waive"   // cancels the holds of a named rule for a profile
	SetStart   Set = "start"   // should be up
	SetSweep   Set = "sweep"   // remove this runtime file
	SetRestart Set = "restart" // how the slot answers the death of its gateway
	SetDelay   Set = "delay"   // the slot waits before its first start
	SetEnv     Set = "env"     // exported by the run script
	SetSeed    Set = "seed"    // write an initial state file where none exists
	SetAlarm   Set = "alarm"   // shown, logged and counted; nothing is done
	SetRecheck Set = "recheck" // a watch asks the rules again then
)

var Sets = []Set{SetSkip, SetHold, SetWaive, SetStart, SetSweep, SetRestart, SetDelay, SetEnv, SetSeed, SetAlarm, SetRecheck}

// A Contribution is one member of one set, with the rule that contributed it and why.
type Contribution struct {
	Set      Set    `json:"set"`
	Rule     string `json:"rule"`     // the rule package
	Location string `json:"location"` // file:row of the rule
	// Layer is 0 for the built-in rules, 1 for the operator's first directory, 2 for the
	// second. When two rules of equal priority set different values, the higher layer wins.
	Layer   int    `json:"-"`
	Profile string `json:"profile,omitempty"` // empty: the container
	Code    string `json:"code,omitempty"`
	Reason  string `json:"reason"`
	// Enforced is false for a contribution of a warn-only rule package (enforce: warn),
	// which is shown and has no effect. Nil is true.
	Enforced *bool `json:"enforced,omitempty"`
	// Priority decides between different values of restart, env and seed: the higher wins.
	Priority float64 `json:"priority,omitempty"`

	Until        string   `json:"until,omitempty"`         // hold: RFC 3339 time at which it ends
	Waives       string   `json:"waives,omitempty"`        // waive: the rule package
	File         string   `json:"file,omitempty"`          // sweep
	Seconds      float64  `json:"seconds,omitempty"`       // delay
	Name         string   `json:"name,omitempty"`          // env
	Value        string   `json:"value,omitempty"`         // env
	State        string   `json:"state,omitempty"`         // seed
	MigratedFrom string   `json:"migrated_from,omitempty"` // seed: kept in the state file
	At           string   `json:"at,omitempty"`            // recheck: RFC 3339 time
	AfterSeconds float64  `json:"after_seconds,omitempty"` // recheck: in place of At, from input.now
	Restart      *Restart `json:"restart,omitempty"`       // restart
}

// Counts reports whether the contribution has an effect on decisions.
func (c Contribution) Counts() bool { return c.Enforced == nil || *c.Enforced }

// MaxValue is how many bytes the value of an environment variable may have. Linux starts no
// program with one of 128 KiB.
const MaxValue = 64 << 10

// MaxDelaySeconds is the longest delay that a rule may ask for: an hour.
const MaxDelaySeconds = 3600

// MaxRecheckSeconds bounds Contribution.AfterSeconds: 31 days.
const MaxRecheckSeconds = 31 * 24 * 3600

// MaxPriority bounds Contribution.Priority, below and above 0.
const MaxPriority = 1000

var (
	codePattern = Pattern(`^[a-z][a-z0-9_]*$`)
	envPattern  = Pattern(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// fields names the keys that a member of each set must and may have.
var fields = map[Set]struct{ required, optional []string }{
	SetSkip:    {[]string{"reason"}, []string{"profile", "code"}},
	SetHold:    {[]string{"profile", "reason"}, []string{"code", "until"}},
	SetWaive:   {[]string{"rule", "profile", "reason"}, []string{"code"}},
	SetStart:   {[]string{"profile", "reason"}, []string{"code"}},
	SetSweep:   {[]string{"profile", "file", "reason"}, []string{"code"}},
	SetRestart: {[]string{"profile", "reason"}, []string{"code", "priority", "budget", "exit_codes", "on_exhaustion", "hold_seconds", "reset_after_seconds", "count_term"}},
	SetDelay:   {[]string{"profile", "seconds", "reason"}, []string{"code"}},
	SetEnv:     {[]string{"profile", "name", "value", "reason"}, []string{"code", "priority"}},
	SetSeed:    {[]string{"profile", "state", "reason"}, []string{"code", "priority", "migrated_from"}},
	SetAlarm:   {[]string{"reason"}, []string{"profile", "code"}},
	SetRecheck: {[]string{"reason"}, []string{"at", "after_seconds", "profile", "code"}},
}

// Fields returns the keys that a member of the set must have, and the keys that it may have.
func Fields(set Set) (required, optional []string) {
	f := fields[set]
	return f.required, f.optional
}

// DecodeMember decodes one member of a set as a rule wrote it. The values are what encoding/json
// decodes into an any with UseNumber. An unknown or missing key and a value of the wrong type
// are errors that name the key and what would have been right. A number out of its range is
// cut to the range, and cut says so. A reason of more than MaxText bytes is cut; another text
// of that length is an error. The caller adds Rule, Location and Layer.
func DecodeMember(set Set, object map[string]any) (c Contribution, cut string, err error) {
	c = Contribution{Set: set}
	if err := checkKeys(set, object); err != nil {
		return Contribution{}, "", fmt.Errorf("member of %s: %w", set, err)
	}
	for key, value := range object {
		if err := c.assign(key, value); err != nil {
			return Contribution{}, "", fmt.Errorf("member of %s: %w", set, err)
		}
	}
	cuts := c.cut()
	if err := c.check(); err != nil {
		return Contribution{}, "", fmt.Errorf("member of %s: %w", set, err)
	}
	if len(cuts) > 0 {
		cut = fmt.Sprintf("member of %s: %s", set, strings.Join(cuts, "; "))
	}
	return c, cut, nil
}

// cut cuts the numbers to their ranges, and says which.
func (c *Contribution) cut() (cuts []string) {
	limit := func(key string, value *float64, least, most float64) {
		if within := min(max(*value, least), most); within != *value {
			cuts = append(cuts, fmt.Sprintf("%s is %.10g, want %.10g to %.10g; %.10g counts", key, *value, least, most, within))
			*value = within
		}
	}
	limit("seconds", &c.Seconds, 0, MaxDelaySeconds)
	if c.Set == SetRecheck && c.At == "" {
		limit("after_seconds", &c.AfterSeconds, 1, MaxRecheckSeconds)
	}
	limit("priority", &c.Priority, -MaxPriority, MaxPriority)
	if c.Restart == nil {
		return cuts
	}
	limit("hold_seconds", &c.Restart.HoldSeconds, 0, MaxHoldSeconds)
	limit("reset_after_seconds", &c.Restart.ResetAfterSeconds, 0, MaxHoldSeconds)
	if b := c.Restart.Budget; b != nil {
		deaths := float64(b.Deaths)
		limit("deaths", &deaths, 1, MaxDeaths)
		b.Deaths = int(deaths)
	}
	return cuts
}

func checkKeys(set Set, object map[string]any) error {
	f := fields[set]
	for _, key := range f.required {
		if _, ok := object[key]; !ok {
			return fmt.Errorf("%q is missing", key)
		}
	}
	_, at := object["at"]
	_, after := object["after_seconds"]
	if set == SetRecheck && at == after {
		return errors.New("want exactly one of at and after_seconds")
	}
	if len(object) == len(f.required) {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if !slices.Contains(f.required, key) && !slices.Contains(f.optional, key) {
			return fmt.Errorf("unknown key %q, have %s", Cut(key), quoted(slices.Concat(f.required, f.optional)))
		}
	}
	return nil
}

// The fields of a contribution and of its restart, by their keys.
var (
	memberFields  = fieldsOf[Contribution]()
	restartFields = fieldsOf[Restart]()
)

func fieldsOf[T any]() map[string]int {
	all := map[string]int{}
	for i, field := range slices.Collect(reflect.TypeFor[T]().Fields()) {
		key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		all[key] = i
	}
	return all
}

// assign sets the field that key names. checkKeys has refused unknown keys.
func (c *Contribution) assign(key string, value any) (err error) {
	in, name := reflect.ValueOf(c).Elem(), key
	if key == "rule" { // else it is that of the contribution
		name = "waives"
	}
	at, ok := memberFields[name]
	if !ok {
		if c.Restart == nil {
			c.Restart = &Restart{}
		}
		in, at = reflect.ValueOf(c.Restart).Elem(), restartFields[name]
	}
	switch field := in.Field(at).Addr().Interface().(type) {
	case *string:
		if *field, err = text(key, value); err == nil && key == "at" {
			err = checkTime(key, *field)
		}
	case *float64:
		*field, err = number(key, value)
	case *bool:
		if *field, ok = value.(bool); !ok {
			err = fmt.Errorf("%s is %s, want a boolean", key, jsonType(value))
		}
	default:
		err = decodeObject(key, value, field)
	}
	return err
}

func text(key string, value any) (string, error) {
	s, ok := value.(string)
	if !ok {
		return "", fmt.Errorf("%s is %s, want a string", key, jsonType(value))
	}
	most := MaxText
	switch key {
	case "value":
		most = MaxValue
	case "reason":
		s = Cut(s)
	}
	if len(s) > most {
		return "", fmt.Errorf("%s has %d bytes, want at most %d", key, len(s), most)
	}
	return s, nil
}

func number(key string, value any) (float64, error) {
	n, ok := value.(json.Number)
	if !ok {
		return 0, fmt.Errorf("%s is %s, want a number", key, jsonType(value))
	}
	f, _ := n.Float64() // infinite when it is out of range
	return f, nil
}

func jsonType(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	case []any:
		return "an array"
	}
	return "an object"
}

// check validates what the types do not.
func (c Contribution) check() error {
	if strings.TrimSpace(c.Reason) == "" {
		return errors.New("reason is empty")
	}
	if c.Code != "" && !codePattern().MatchString(c.Code) {
		return fmt.Errorf("code %q is not a word like quiet_hours", c.Code)
	}
	switch c.Set {
	case SetHold:
		if c.Until != "" {
			return checkTime("until", c.Until)
		}
	case SetEnv:
		return c.checkEnv()
	case SetSeed:
		if c.State != "running" && c.State != "stopped" {
			return fmt.Errorf("state %q is not running or stopped", c.State)
		}
	case SetRestart:
		if c.Restart == nil {
			return errors.New("has neither budget nor exit_codes")
		}
		return c.Restart.check()
	}
	return nil
}

func checkTime(key, value string) error {
	if _, err := time.Parse(time.RFC3339, value); err != nil {
		return fmt.Errorf("%s %q is not a time like 2026-11-22T06:00:00Z", key, value)
	}
	return nil
}

// IsVariable reports whether a shell can export a variable of that name.
func IsVariable(name string) bool { return envPattern().MatchString(name) }

func (c Contribution) checkEnv() error {
	if !IsVariable(c.Name) {
		return fmt.Errorf("name %q is not the name of an environment variable", c.Name)
	}
	if strings.ContainsFunc(c.Value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("the value of %s has a control character", c.Name)
	}
	return nil
}

// Compare orders contributions the same way in every run: by set, profile, rule,
// location, code and the other fields. Only equal contributions compare as 0.
func (c Contribution) Compare(o Contribution) int {
	if d := slices.Index(Sets, c.Set) - slices.Index(Sets, o.Set); d != 0 {
		return d
	}
	return cmp.Or(
		slices.Compare(c.texts(), o.texts()),
		cmp.Compare(c.Seconds, o.Seconds),
		cmp.Compare(c.AfterSeconds, o.AfterSeconds),
		cmp.Compare(c.Layer, o.Layer),
		cmp.Compare(c.Priority, o.Priority),
		c.Restart.Compare(o.Restart),
	)
}

func (c Contribution) texts() []string {
	return []string{c.Profile, c.Rule, c.Location, c.Code, c.Reason, c.File, c.Name, c.Value, c.State, c.MigratedFrom, c.Waives, c.Until, c.At}
}

func quoted(words []string) string {
	q := make([]string, len(words))
	for i, w := range words {
		q[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(q, ", ")
}

// A Read is something that a rule reads: a path in the input document such as
// profiles, coder, prior_state, desired, or one in the settings.
type Read struct {
	Setting bool     // below data.settings, else below input
	Path    []string // ends before the first part that only the evaluation knows
}
