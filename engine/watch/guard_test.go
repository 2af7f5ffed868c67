package watch

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/policy"
)

var start = time.Unix(1_800_000_000, 0)

// A scene is a report before anything is done.
type scene struct{ reconcile.Report }

func newScene() scene {
	r := reconcile.Report{}
	r.Input.Profiles = map[string]policy.Facts{"default": {}}
	r.Decisions.Profiles = map[string]policy.Decision{}
	r.Slots = policy.Slots{Status: policy.StatusRecorded, Slots: map[string]policy.Slot{}}
	return scene{r}
}

// profile adds a profile with a supervised slot.
func (s *scene) profile(name string, action policy.Action, up bool, ops ...policy.Operation) {
	s.Input.Profiles[name] = policy.Facts{}
	s.Decisions.Profiles[name] = policy.Decision{Action: action, Code: "a_rule"}
	s.slot(name, up, ops...)
}

func (s *scene) hold(name string) {
	d := s.Decisions.Profiles[name]
	d.Contributions = []policy.Contribution{{Set: policy.SetHold, Rule: "a_rule", Profile: name, Reason: "a reason"}}
	s.Decisions.Profiles[name] = d
}

// slot adds a supervised slot, whose profile may be gone.
func (s *scene) slot(name string, up bool, ops ...policy.Operation) {
	s.Slots.Slots[policy.SlotName(name)] = policy.Slot{Profile: name, Kind: "directory", Ours: true, Supervised: new(true), Up: up, WantedUp: up}
	for _, op := range ops {
		op.Profile, op.Slot = name, policy.SlotName(name)
		s.Plan.Operations = append(s.Plan.Operations, op)
	}
}

// left amends the plan, and returns what is left of it in words.
func (s *scene) left(g *guard, now time.Time) []string {
	g.amend(&s.Report, now)
	var words []string
	for _, op := range s.Plan.Operations {
		words = append(words, strings.TrimSpace(string(op.Op)+" "+op.Profile))
	}
	return words
}

func (s *scene) codes() (codes []string) {
	for _, a := range s.Alarms {
		codes = append(codes, a.Code)
	}
	return codes
}

var (
	up     = policy.Operation{Op: policy.OpBringUp}
	down   = policy.Operation{Op: policy.OpBringDown}
	remove = policy.Operation{Op: policy.OpRemove}
	rescan = policy.Operation{Op: policy.OpRescan}
)

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// A watch that is no longer wanted does not end itself in the middle of a pass.
func TestItsOwnSlotStays(t *testing.T) {
	s := newScene()
	s.profile("a", policy.ActionDown, true, down)
	s.Plan.Operations = append(s.Plan.Operations, policy.Operation{Op: policy.OpRemove, Slot: policy.WatchSlot}, rescan)
	g := newGuard(map[string]Applied{"a": {Action: policy.ActionStart}})
	expect(t, "the service is switched off", s.left(g, start), "bring-down a")
}

func TestStartsAreForChanges(t *testing.T) {
	was := func(a policy.Action) map[string]Applied { return map[string]Applied{"a": {Action: a}} }
	publish := policy.Operation{Op: policy.OpPublish}
	for _, c := range []struct {
		what    string
		applied map[string]Applied
		ops     []policy.Operation
		want    []string
	}{
		{"stopped by hand", was(policy.ActionStart), []policy.Operation{up}, nil},
		{"a hold is over", was(policy.ActionDown), []policy.Operation{up}, []string{"bring-up a"}},
		{"a profile that was not there", map[string]Applied{}, []policy.Operation{up}, []string{"bring-up a"}},
		{"nothing is known of before", nil, []policy.Operation{up}, nil},
		{"the slot is made anew", was(policy.ActionStart), []policy.Operation{publish, up}, []string{"publish a", "bring-up a"}},
	} {
		s := newScene()
		s.profile("a", policy.ActionStart, false, c.ops...)
		expect(t, c.what, s.left(newGuard(c.applied), start), c.want...)
	}
}

// A gateway that used up its budget is mended before the watch has seen the hold.
func TestAMendedGatewayStarts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, hold string
		downSince  int64
		want       []string
	}{
		{"a file changed", `{"status":"recorded","since_unix":1000,"ended":"changed"}`, 1001, []string{"bring-up coder"}},
		{"its time is over", `{"status":"recorded","since_unix":1000,"ended":"time"}`, 999, []string{"bring-up coder"}},
		{"the hold counts", `{"status":"recorded","since_unix":1000,"ended":""}`, 1001, nil},
		{"stopped by hand later", `{"status":"recorded","since_unix":1000,"ended":"changed"}`, 1060, nil},
		{"no hold", `{"status":"missing"}`, 1001, nil},
	} {
		s, g := newScene(), newGuard(map[string]Applied{"coder": {policy.ActionStart, "a_rule"}})
		s.profile("coder", policy.ActionStart, false, up)
		s.Input.Profiles["coder"] = policy.Facts{"restart_hold": json.RawMessage(c.hold)}
		slot := s.Slots.Slots[policy.SlotName("coder")]
		slot.SinceUnix = c.downSince
		s.Slots.Slots[policy.SlotName("coder")] = slot
		expect(t, c.name, s.left(g, start), c.want...)
	}
}

func TestStopsAreForChangesAndHolds(t *testing.T) {
	for _, c := range []struct {
		what    string
		applied map[string]Applied
		held    bool
		want    []string
	}{
		{"an intent changed", map[string]Applied{"a": {Action: policy.ActionStart}}, false, []string{"bring-down a"}},
		{"started by hand", map[string]Applied{"a": {Action: policy.ActionDown}}, false, nil},
		{"started by hand, and nothing is known of before", nil, false, nil},
		{"started by hand in spite of a hold", map[string]Applied{"a": {Action: policy.ActionDown}}, true, []string{"bring-down a"}},
	} {
		s := newScene()
		s.profile("a", policy.ActionDown, true, down)
		if c.held {
			s.hold("a")
		}
		expect(t, c.what, s.left(newGuard(c.applied), start), c.want...)
	}
}

func TestAScanThatNothingNeedsIsLeftOut(t *testing.T) {
	g := newGuard(map[string]Applied{})
	g.failures["a"] = failure{1, start.Add(time.Minute)}
	s := newScene()
	s.profile("a", policy.ActionStart, false, policy.Operation{Op: policy.OpPublish})
	s.Plan.Operations = append(s.Plan.Operations, rescan)
	expect(t, "a fails, and waits", s.left(g, start))
}

func TestContested(t *testing.T) {
	g := newGuard(map[string]Applied{"a": {Action: policy.ActionDown}})
	pass := func(at time.Duration, action policy.Action) ([]string, []string) {
		s := newScene()
		s.profile("a", action, true, down)
		s.hold("a")
		left := s.left(g, start.Add(at))
		for _, op := range s.Plan.Operations {
			s.Results = append(s.Results, policy.Result{Operation: op, Done: true})
		}
		g.learn(s.Report, nil, start.Add(at))
		g.applied = after(g.applied, s.Report, g.alone)
		return left, s.codes()
	}
	for i := range 3 {
		left, _ := pass(time.Duration(i)*time.Minute, policy.ActionDown)
		expect(t, "it is stopped again", left, "bring-down a")
	}
	left, codes := pass(4*time.Minute, policy.ActionDown)
	expect(t, "left alone", left)
	expect(t, "alarms", codes, CodeContested)
	left, _ = pass(11*time.Minute, policy.ActionDown)
	expect(t, "after ten minutes, once more", left, "bring-down a")
	left, _ = pass(11*time.Minute+time.Second, policy.ActionStart)
	expect(t, "another decision begins anew", left, "bring-down a")
}

// A hold that begins and ends again and again while the gateway is down is no contest.
func TestAHoldThatComesAndGoesIsNotContested(t *testing.T) {
	g := newGuard(map[string]Applied{"a": {Action: policy.ActionDown}})
	for i := range 4 * contestedTimes {
		s := newScene()
		s.profile("a", policy.ActionDown, false, policy.Operation{Op: policy.OpUpdate, File: "supervise/control"})
		d := s.Decisions.Profiles["a"]
		d.Code = []string{"rest", "no_start_rule"}[i%2]
		s.Decisions.Profiles["a"] = d
		expect(t, "it is opened or sealed", s.left(g, start), "update a")
		expect(t, "alarms", s.codes())
		s.Results = []policy.Result{{Operation: s.Plan.Operations[0], Done: true}}
		g.learn(s.Report, nil, start)
	}
}

// A gateway that takes its time to stop is no contest.
func TestASlowStopIsNotContested(t *testing.T) {
	g := newGuard(map[string]Applied{"a": {Action: policy.ActionDown}})
	for i := range 2 * contestedTimes {
		s := newScene()
		s.profile("a", policy.ActionDown, true, down)
		s.hold("a")
		slot := s.Slots.Slots[policy.SlotName("a")]
		slot.WantedUp = i == 0
		s.Slots.Slots[policy.SlotName("a")] = slot
		s.left(g, start)
		expect(t, "alarms", s.codes())
		for _, op := range s.Plan.Operations {
			s.Results = append(s.Results, policy.Result{Operation: op, Done: true})
		}
		g.learn(s.Report, nil, start)
	}
}

func TestMaxStops(t *testing.T) {
	for _, c := range []struct {
		what     string
		running  int
		max      int
		code     string
		accepted []string
		want     int // stops of the three that are planned
	}{
		{"three of five", 5, -1, "quiet_hours", nil, 0},
		{"three of six", 6, -1, "quiet_hours", nil, 3},
		{"three of five, and three are allowed", 5, 3, "quiet_hours", nil, 3},
		{"an operator accepts", 5, -1, "quiet_hours", []string{"p0", "p1", "p2"}, 3},
		{"an operator accepted fewer", 5, -1, "quiet_hours", []string{"p0", "p1"}, 0},
		{"the volume is another's", 5, -1, codeVolumeOwned, nil, 3},
	} {
		g := newGuard(map[string]Applied{})
		g.maxStops, g.accepted = c.max, c.accepted
		s := newScene()
		for i := range c.running {
			name := "p" + string(rune('0'+i))
			if i < 3 {
				s.profile(name, policy.ActionDown, true, down)
				s.Decisions.Profiles[name] = policy.Decision{Action: policy.ActionDown, Code: c.code}
				s.hold(name)
			} else {
				s.profile(name, policy.ActionStart, true)
			}
		}
		if left := s.left(g, start); len(left) != c.want {
			t.Errorf("%s: left is %q, want %d stops", c.what, left, c.want)
		}
		if blocked := len(g.blocked) == 3 && slices.Contains(s.codes(), CodeMaxStops); blocked != (c.want == 0) {
			t.Errorf("%s: blocked is %q, alarms %q", c.what, g.blocked, s.codes())
		}
	}
}

func TestAnEmptyDirectoryOfProfiles(t *testing.T) {
	s := newScene()
	s.slot("a", false, remove)
	s.slot("b", false, remove)
	expect(t, "two vanish", s.left(newGuard(map[string]Applied{}), start))
	expect(t, "alarms", s.codes(), engine.CodeVolume)
	s = newScene()
	s.slot("a", false, remove)
	expect(t, "the last profile goes", s.left(newGuard(map[string]Applied{}), start), "remove a")
	s = newScene()
	s.profile("c", policy.ActionDown, false)
	s.slot("a", false, remove)
	s.slot("b", false, remove)
	expect(t, "one stays", s.left(newGuard(map[string]Applied{}), start), "remove a", "remove b")
}

func TestFailuresBackOffAlone(t *testing.T) {
	g := newGuard(map[string]Applied{})
	try := func(now time.Time, fails bool) []string {
		s := newScene()
		s.profile("bad", policy.ActionStart, false, up)
		s.profile("good", policy.ActionStart, false, up)
		left := s.left(g, now)
		for _, op := range s.Plan.Operations {
			r := policy.Result{Operation: op, Done: true}
			if fails && op.Profile == "bad" {
				r = policy.Result{Operation: op, Err: errors.New("no")}
			}
			s.Results = append(s.Results, r)
		}
		g.learn(s.Report, nil, now)
		return left
	}
	now := start
	var pauses []time.Duration
	for range 12 {
		expect(t, "both", try(now, true), "bring-up bad", "bring-up good")
		expect(t, "one waits", try(now.Add(time.Millisecond), true), "bring-up good")
		pauses = append(pauses, g.retry().Sub(now))
		now = g.retry()
	}
	if pauses[0] > 2*time.Second || pauses[4] < 10*time.Second || pauses[11] < 4*time.Minute || pauses[11] > 6*time.Minute {
		t.Errorf("the pauses are %v", pauses)
	}
	try(now, false)
	if !g.retry().IsZero() {
		t.Error("a success does not end the pauses")
	}
}

// While the volume does not answer, a new slot of a known profile is scanned for, as before.
func TestAFailedPassDoesNotKeepScansBack(t *testing.T) {
	g := newGuard(map[string]Applied{})
	g.learn(reconcile.Report{Situation: engine.Situation{VolumeErr: errors.New("it does not answer")}}, nil, start)
	rescan := policy.Operation{Op: policy.OpRescan}
	for _, want := range [][]string{{"publish new", "rescan", "bring-up new"}, {"publish new"}} {
		s := newScene()
		s.profile("new", policy.ActionStart, false, policy.Operation{Op: policy.OpPublish})
		s.Plan.Operations = append(s.Plan.Operations, rescan, policy.Operation{Op: policy.OpBringUp, Profile: "new"})
		if len(want) == 1 {
			s.Plan.Operations = s.Plan.Operations[:2]
		}
		expect(t, "a profile comes", s.left(g, start), want...)
		s.Results = []policy.Result{{Operation: rescan, Err: errors.New("no")}}
		g.learn(s.Report, nil, start)
	}
}

// What failed and is not tried again, because it is right by now, must not keep the watch awake.
func TestAFailureThatWentAway(t *testing.T) {
	g := newGuard(map[string]Applied{})
	g.failures["a"] = failure{3, start}
	s := newScene()
	s.profile("a", policy.ActionStart, true)
	g.learn(s.Report, nil, start.Add(time.Second))
	if !g.retry().IsZero() {
		t.Error("it is tried again and again")
	}
}
