package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/pflag"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine"
	"hermes-reconcile/engine/hometest"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/engine/watch"
	"hermes-reconcile/rego"
)

// rulesHere run the rules in this process: under a test's clock no time passes while a child
// process lives.
type rulesHere struct{ e *rego.Evaluator }

func (r rulesHere) Load(context.Context) (engine.Evaluator, error)           { return r.e, nil }
func (r rulesHere) LoadOrFallBack(context.Context) (engine.Evaluator, error) { return r.e, nil }
func (r rulesHere) Keep(context.Context, engine.Evaluator) error             { return nil }
func (r rulesHere) Mended(context.Context, engine.Evaluator, []string) (engine.Evaluator, error) {
	return nil, nil
}

// dayRules hold a profile until a time, and another one between two times that it asks for.
const dayRules = `package reconcile.rules.day

hold contains {"profile": "until", "until": "2027-03-28T10:00:00Z", "reason": "until ten"}

_noon := time.parse_rfc3339_ns("2027-03-28T12:00:00Z")

hold contains {"profile": "asks", "reason": "an hour from noon"} if {
	input.now.unix_ns >= _noon
	input.now.unix_ns < _noon + 3600000000000
}

recheck contains {"at": "2027-03-28T12:00:00Z", "reason": "noon"}

recheck contains {"after_seconds": seconds, "reason": "one o'clock"} if {
	input.now.unix_ns >= _noon
	seconds := ceil((_noon + 3600000000000 - input.now.unix_ns) / 1000000000)
	seconds > 0
}
`

// Two days of a watch, in which the clocks go forward: quiet hours begin and end to the
// second, a hold ends at its time, and a rule is asked again when it wants to be. The facts, the
// rules, the plans and the files of the slots are real. Nothing scans the directory.
func TestTwoDaysOfAWatch(t *testing.T) {
	home := hometest.New(t, map[string]string{
		"profiles/sleeps/SOUL.md": "x", "profiles/sleeps/gateway_state.json": `{"desired_state":"running"}`,
		"profiles/until/SOUL.md": "x", "profiles/until/gateway_state.json": `{"desired_state":"running"}`,
		"profiles/asks/SOUL.md": "x", "profiles/asks/gateway_state.json": `{"desired_state":"running"}`,
		"logs/": "",
	})
	dir := t.TempDir()
	scan, run := filepath.Join(dir, "scan"), filepath.Join(dir, "run")
	hometest.Put(t, dir, "policy/day.rego", dayRules)
	hometest.Put(t, dir, "config.yaml", `
settings:
  quiet_hours_from: "22:00"
  quiet_hours_to: "07:00"
  quiet_hours_zone: Europe/Zurich
  quiet_hours_days: []
  quiet_hours_profiles: [sleeps]
`)
	for _, d := range []string{scan, run} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(dir, "policy"), os.DirFS("../../rego/recipes/quiet_hours")); err != nil {
		t.Fatal(err)
	}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.AddFlags(flags)
	if err := flags.Parse([]string{"--home", home, "--scandir", scan, "--policy", filepath.Join(dir, "policy"), "--config", filepath.Join(dir, "config.yaml"), "--trust-policy"}); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(flags, []string{"HERMES_RECONCILE_USER=0:0"})
	if err != nil {
		t.Fatal(err)
	}
	e, err := cli.LoadPolicy(c)
	if err != nil {
		t.Fatal(err)
	}
	var changes []string
	passes := map[string]int{}
	synctest.Test(t, func(t *testing.T) {
		begin := time.Date(2027, 3, 27, 12, 0, 30, 0, time.UTC)
		time.Sleep(time.Until(begin))
		ctx, cancel := context.WithTimeout(t.Context(), 48*time.Hour)
		defer cancel()
		loop := &watch.Loop{
			Dir: run, Triggers: make(chan watch.Trigger), Log: slog.New(slog.DiscardHandler),
			Times: func() watch.Times {
				return watch.Times{Debounce: c.Watch.Debounce, Resync: 6 * time.Hour, MaxStops: -1}
			},
			Events: func() map[string]string { return nil },
			Pass: func(ctx context.Context, log *slog.Logger, o reconcile.Options) (reconcile.Report, error) {
				w, closeWorld, err := world.New(c, o.Phase, log, log)
				if err != nil {
					t.Fatal(err)
				}
				defer closeWorld()
				w.Rules = rulesHere{e}
				return reconcile.Pass(ctx, w, o)
			},
			Passed: func(r reconcile.Report, err error, triggers []string, _ time.Duration, _ *watch.State) {
				if err != nil || r.Failed() {
					t.Errorf("%v %v", err, r.Errors)
				}
				for _, trigger := range triggers {
					passes[trigger]++
				}
			},
		}
		go func() {
			defer cancel()
			if err := loop.Run(ctx); err != nil {
				t.Error(err)
			}
		}()
		down := map[string]bool{}
		for tick := time.NewTicker(time.Second); ctx.Err() == nil; {
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
			for _, name := range []string{"asks", "sleeps", "until"} {
				_, err := os.Lstat(filepath.Join(scan, "gateway-"+name, "down"))
				if is := err == nil; is != down[name] {
					down[name] = is
					change := time.Now().UTC().Add(-time.Second).Format("02 15:04:05 ") + name
					changes = append(changes, change)
				}
			}
		}
	})
	want := []string{
		"27 12:00:30 until", // begins held
		"27 21:00:00 sleeps",
		"28 05:00:00 sleeps", // 07:00 in summer time
		"28 10:00:00 until",
		"28 12:00:00 asks",
		"28 13:00:00 asks",
		"28 20:00:00 sleeps",
		"29 05:00:00 sleeps",
	}
	if !slices.Equal(changes, want) {
		t.Errorf("the down files came and went at\n%q, want\n%q", changes, want)
	}
	if passes["started"] != 1 || passes["time"] < 7 || passes["time"] > 12 || passes["resync"] > 8 {
		t.Errorf("the passes were %v", passes)
	}
	t.Setenv("HERMES_RECONCILE_USER", "0:0")
	recorded := string(output(t, "events", "sleeps", "-n", "2", "--home", home))
	wantEvents := `2027-03-28T20:00:00Z  sleeps            down file made: quiet hours from 22:00 to 07:00, Europe/Zurich (watch, time)
2027-03-29T05:00:00Z  sleeps            down file removed: desired state was running (watch, time)
`
	if recorded != wantEvents {
		t.Errorf("events prints\n%swant\n%s", recorded, wantEvents)
	}
	if _, err := os.Stat(filepath.Join(home, "logs", ledger.Name)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a pass of the watch is in the ledger of boots: %v", err)
	}
}
