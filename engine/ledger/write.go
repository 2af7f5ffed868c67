package ledger

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"hermes-reconcile/policy"
)

// The names of the logs below logs in the home.
const (
	BootLogName = "container-boot.log"
	Name        = "container-boot.jsonl"
	// WatchName is the ledger of the watch. It has a file of its own, so that the passes of
	// a watch push no boot out of the other, however many they are.
	WatchName = "container-watch.jsonl"
)

// A Pass is what one pass decided and did, to be recorded.
type Pass struct {
	Command   string   // the command that made the pass; empty at a boot
	Cause     []string // why a watch looked
	Input     policy.Input
	Decisions policy.Decisions
	Alarms    []policy.Alarm // of the decisions and of the plan
	Results   []policy.Result
	Errors    []string // that are not about a profile
}

// Action returns upstream's word for what a boot did with a profile.
func Action(a policy.Action) string {
	switch a {
	case policy.ActionStart:
		return Started
	case policy.ActionDown:
		return "registered"
	case policy.ActionSkip:
		return Skipped
	}
	return ""
}

// The words of Action that other packages look for, and those of the container's line.
const (
	Started    = "started"
	Skipped    = "skipped"
	Reconciled = "reconciled"
	failed     = "failed"
)

// CodeNotDecided is the code of a pass in which nothing could be decided.
const CodeNotDecided = "not_decided"

// BootLog returns the lines of container-boot.log: one for each profile, in the form of
// upstream, whose tests and runbooks look for it:
//
//	2026-11-22T06:00:11+0000 profile=coder prior_state=running action=started prior_exit=unclean code=prior_intent
//
// For a container that supervises nothing, and for a boot that could decide nothing, there is
// one line that gives the reason.
func (p Pass) BootLog() []byte {
	stamp := time.Unix(0, p.Input.Now.UnixNS).UTC().Format("2006-01-02T15:04:05-0700")
	word := func(text string) string { return policy.Word(policy.Cut(text)) }
	about := func(action, code, reason string) []byte {
		return fmt.Appendf(nil, "%s action=%s code=%s reason=%s\n", stamp, action, word(code), word(reason))
	}
	if action, code, reason := p.container(); action != Reconciled {
		return about(action, code, reason)
	}
	names := slices.Sorted(maps.Keys(p.Decisions.Profiles))
	lines := make([][]byte, len(names))
	for i, name := range names {
		d := p.Decisions.Profiles[name]
		lines[i] = fmt.Appendf(nil, "%s profile=%s prior_state=%s action=%s prior_exit=%s code=%s\n",
			stamp, word(name), word(d.LoggedState()), Action(d.Action), word(string(d.PriorExit)), word(d.Code))
	}
	text, leftOut := p.fit(names, lines, BootLogLimit-1<<10)
	if leftOut > 0 {
		text = append(text, about(Reconciled, "left_out", policy.Count(leftOut, "more profile"))...)
	}
	return text
}

// container returns what the pass did with the container as a whole.
func (p Pass) container() (action, code, reason string) {
	switch {
	case len(p.Decisions.Skip) > 0:
		return Skipped, p.Decisions.Skip[0].Code, p.Decisions.Skip[0].Reason
	case p.Decisions.Profiles == nil:
		reason = "nothing could be decided"
		if len(p.Errors) > 0 {
			reason += ": " + p.Errors[len(p.Errors)-1]
		}
		return failed, CodeNotDecided, reason
	}
	return Reconciled, Reconciled, policy.Count(len(p.Decisions.Profiles), "profile")
}

// File returns the name of the ledger that the pass belongs to.
func (p Pass) File() string {
	if len(p.Cause) > 0 {
		return WatchName
	}
	return Name
}

// Text returns the lines of the ledger: first one for the container, then one for each
// profile that is decided or whose slot is removed, by name.
func (p Pass) Text() ([]byte, error) {
	line := Line{
		Time:   time.Unix(0, p.Input.Now.UnixNS).UTC().Format(time.RFC3339),
		BootID: policy.HostOf(p.Input.Container).BootID,
		Phase:  p.Input.Phase, Command: p.Command, Cause: p.Cause,
		Image:  policy.ImageVersion(p.Input.Container),
		Policy: p.Decisions.Policy,
	}
	operations, decisions := map[string][]Operation{}, maps.Clone(p.Decisions.Profiles)
	for _, r := range p.Results {
		o := Operation{Op: r.Operation.Op, File: r.Operation.File, Done: r.Done}
		if r.Operation.Profile == "" {
			o.Slot = r.Operation.Slot
		}
		if r.Err != nil {
			o.Error = r.Err.Error()
		}
		name := r.Operation.Profile
		operations[name] = append(operations[name], o)
		_, decided := decisions[name]
		if !decided && decisions != nil && name != "" && o.Op == policy.OpRemove && (o.Done || o.Error != "") {
			decisions[name] = policy.Decision{Action: policy.ActionSkip, Code: "gone", Reason: r.Operation.Cause}
		}
	}
	container := line
	container.Action, container.Code, container.Reason = p.container()
	container.Rules = p.Decisions.Skip
	container.Facts = FactDigests(p.Input.Container)
	container.Alarms, container.Operations, container.Errors = p.Alarms, operations[""], p.Errors
	if container.Action != Reconciled {
		return container.marshal()
	}
	line.Policy.Errors, line.Policy.Bundles = nil, nil // the container's line has them
	names := slices.Sorted(maps.Keys(decisions))
	lines := make([][]byte, len(names))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, name := range names {
		group.Go(func() (err error) {
			d, one := decisions[name], line
			one.Profile, one.Action, one.Code, one.Reason = name, Action(d.Action), d.Code, d.Reason
			one.PriorState, one.PriorExit, one.Rules = string(d.PriorState), string(d.PriorExit), d.Contributions
			one.Facts = FactDigests(p.Input.Profiles[name])
			one.FactsDigest = digestOf(one.Facts)
			one.Operations = operations[name]
			lines[i], err = one.marshal()
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	profiles, leftOut := p.fit(names, lines, Limit-MaxLine)
	container.LeftOut = leftOut
	first, err := container.marshal()
	return append(first, profiles...), err
}

// mostAlike is how many alarms of one code, or errors, a log lists. An agent can make any
// number of odd names. People read the log of a boot, and the container's line has to stay
// below MaxLine to be read back.
const mostAlike = 20

// FewAlarms keeps the first alarms of each code and counts the others. It cuts long reasons.
func FewAlarms(alarms []policy.Alarm) []policy.Alarm {
	var few []policy.Alarm
	alike := map[string]int{}
	for _, a := range alarms {
		a.Reason = policy.Cut(a.Reason)
		if alike[a.Code]++; alike[a.Code] <= mostAlike {
			few = append(few, a)
		}
	}
	for _, code := range slices.Sorted(maps.Keys(alike)) {
		if more := alike[code] - mostAlike; more > 0 {
			few = append(few, policy.Alarm{Code: code, Reason: fmt.Sprintf("and %d more; see: hermes-reconcile eval", more)})
		}
	}
	return few
}

func fewErrors(errs []string) []string {
	few := errs[:0:0]
	for _, err := range errs[:min(len(errs), mostAlike)] {
		few = append(few, policy.Cut(err))
	}
	if more := len(errs) - mostAlike; more > 0 {
		few = append(few, fmt.Sprintf("and %d more", more))
	}
	return few
}

// FactsDigest identifies the facts about a profile or a container, as facts_digest of a line.
func FactsDigest(facts policy.Facts) string { return digestOf(FactDigests(facts)) }

// digestOf identifies all facts that FactDigests identifies one by one, in any order.
func digestOf(facts map[string]string) string {
	var all uint64
	digest := fnv.New64a()
	for name, value := range facts {
		digest.Reset()
		io.WriteString(digest, name)
		io.WriteString(digest, value)
		all ^= digest.Sum64()
	}
	return fmt.Sprintf("%016x", all)
}

// alwaysDifferent are the facts that differ between two boots although nothing was changed, or
// between two users who collect them.
var alwaysDifferent = []string{"disk", "host", "identity", "labels", "log_directory", "own_lease", "owner_lease", "previous", "resources", "starts", "s6", "runtime_files"}

// passing are the keys of other facts whose values differ from call to call, or with each run of
// a gateway, although nothing was changed. Of the markers these are the files that a gateway
// writes itself.
var passing = map[string][]string{
	"config":       {"changed_unix"},
	"environment":  {"source"},
	"external":     {"duration_ms"},
	"lifecycle":    {"started_at_unix", "exited_at_unix"},
	"markers":      {"auth.json", "cron/jobs.json", "state.db"},
	"prior_state":  {"active_agents", "pid", "retrying_since_unix", "start_time", "updated_at_unix"},
	"restart_hold": {"since_unix", "until_unix"},
}

// withoutKeys cuts keys with their values out of a fact. A quote within a text has a backslash
// before it, so what looks like a key is one.
func withoutKeys(fact []byte, keys []string) []byte {
	for _, key := range keys {
		var kept []byte
		before, after, found := bytes.Cut(fact, []byte(`"`+key+`":`))
		for ; found; before, after, found = bytes.Cut(fact, []byte(`"`+key+`":`)) {
			end := bytes.IndexAny(after, ",}")
			if bytes.HasPrefix(after, []byte("{")) {
				end = bytes.IndexByte(after, '}') + 1
			}
			fact = after[max(0, end):]
			before, isLater := bytes.CutSuffix(before, []byte(","))
			if !isLater {
				fact = bytes.TrimPrefix(fact, []byte(","))
			}
			kept = append(kept, before...)
		}
		fact = append(kept, fact...)
	}
	return fact
}

// FactDigests identifies each fact, so that a later pass can name the changed facts.
func FactDigests(facts policy.Facts) map[string]string {
	digests := make(map[string]string, len(facts))
	for name, value := range facts {
		if slices.Contains(alwaysDifferent, name) {
			continue
		}
		digest := fnv.New32a()
		digest.Write(withoutKeys(value, passing[name]))
		digests[name] = hex.EncodeToString(digest.Sum(nil))
	}
	return digests
}
