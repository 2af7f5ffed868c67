package ledger_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hermes-reconcile/engine/hometest"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/volume"
	"hermes-reconcile/policy"
)

// floods are passes in which rules or agents say too much.
func floods() map[string]ledger.Pass {
	huge := strings.Repeat("x\x1b", 1<<20)
	pass := func() ledger.Pass {
		return ledger.Pass{
			Input:     policy.Input{Phase: policy.PhaseBoot, Now: policy.NewNow(time.Now())},
			Decisions: policy.Decisions{Profiles: map[string]policy.Decision{"zoe": {Action: policy.ActionStart, Code: "x", Reason: "x", PriorExit: "clean"}}},
		}
	}
	all := map[string]ledger.Pass{}
	p := pass()
	p.Decisions.Profiles["coder"] = policy.Decision{Action: policy.ActionDown, Code: "x", Reason: huge, PriorState: policy.Maybe(huge), PriorExit: policy.Maybe(huge)}
	all["long texts"] = p

	p = pass()
	var many []policy.Contribution
	for i := range 50_000 {
		many = append(many, policy.Contribution{Set: policy.SetHold, Profile: "coder", Code: fmt.Sprintf("code_%d", i), Reason: "because"})
		p.Alarms = append(p.Alarms, policy.Alarm{Code: fmt.Sprintf("code_%d", i), Reason: "because"})
	}
	p.Decisions.Profiles["coder"] = policy.Decision{Action: policy.ActionDown, Code: "x", Reason: "x", Contributions: many}
	all["many contributions and alarms"] = p

	p = pass()
	for range 30 {
		p.Errors = append(p.Errors, huge)
		p.Alarms = append(p.Alarms, policy.Alarm{Code: "x", Reason: huge})
		p.Results = append(p.Results, policy.Result{Operation: policy.Operation{Op: policy.OpSweep, Profile: "coder", File: "f"}, Err: errors.New(huge)})
	}
	p.Decisions.Policy.Errors = p.Errors
	p.Decisions.Profiles["coder"] = policy.Decision{Action: policy.ActionDown, Code: "x", Reason: "x"}
	all["long errors"] = p

	p = pass()
	for i := range 60_000 {
		p.Decisions.Profiles[fmt.Sprintf("a%05d", i)] = policy.Decision{Action: policy.ActionSkip, Code: "not_a_profile", Reason: "no profile marker (SOUL.md)", PriorState: "None", PriorExit: "unknown"}
	}
	all["many profiles"] = p

	p = pass()
	for i, text := range hometest.Hostile() {
		p.Decisions.Profiles[fmt.Sprintf("p%02d", i)] = policy.Decision{Action: policy.ActionDown, Code: text, Reason: text, PriorState: policy.Maybe(text), PriorExit: policy.Maybe(text)}
	}
	all["hostile texts"] = p
	return all
}

// However much rules and agents say, a pass leaves lines that can be read back, and that
// stay below the size at which the log is rotated. Who was started is always recorded.
func TestLogsKeepTheirLimits(t *testing.T) {
	for why, pass := range floods() {
		t.Run(why, func(t *testing.T) {
			text, err := pass.Text()
			if err != nil {
				t.Fatal(err)
			}
			bootLog := pass.BootLog()
			if len(text) > ledger.Limit || len(bootLog) > ledger.BootLogLimit {
				t.Errorf("%d bytes of ledger, %d of boot log", len(text), len(bootLog))
			}
			if clean := policy.Clean(string(text)); clean != string(text) {
				t.Error("the ledger has text that may not be printed")
			}
			lines := bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
			var container ledger.Line
			if err := json.Unmarshal(lines[0], &container); err != nil || container.Action != ledger.Reconciled {
				t.Errorf("the first line is %.200s, %v", lines[0], err)
			}
			if missing := len(pass.Decisions.Profiles) + 1 - len(lines); missing > 0 && container.LeftOut < missing {
				t.Errorf("%d lines are missing, the container's line says %d", missing, container.LeftOut)
			}
			home := homeWithLogs(t, map[string]string{"container-boot.jsonl": string(text)})
			runs := ledger.ReadRuns(home.Root(), ledger.Query{Most: 5, Profiles: []string{"zoe"}})
			if len(runs.Runs) != 1 || len(runs.Runs[0].Profiles) != 1 || len(runs.Notes) > 0 {
				t.Errorf("read back are %d runs, notes %q", len(runs.Runs), runs.Notes)
			}
			if !strings.Contains(string(bootLog), " profile=zoe ") {
				t.Error("the boot log has no line of the profile that starts")
			}
		})
	}
}

// No log is larger than its limit, whatever is appended.
func TestLogsAreRotatedAtTheirLimit(t *testing.T) {
	home := t.TempDir()
	root, err := volume.Open(home)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for range 2 {
		for why, pass := range floods() {
			text, err := pass.Text()
			err = errors.Join(err, root.AppendLog(ledger.Name, text, ledger.Limit), root.AppendLog(ledger.BootLogName, pass.BootLog(), ledger.BootLogLimit))
			if err != nil {
				t.Fatalf("%s: %v", why, err)
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(home, "logs/container*"))
	if err != nil || len(files) != 4 {
		t.Errorf("the logs are %v, %v", files, err)
	}
	for _, name := range files {
		limit := int64(ledger.BootLogLimit)
		if strings.Contains(name, ".jsonl") {
			limit = ledger.Limit
		}
		if info, err := os.Stat(name); err != nil || info.Size() > limit {
			t.Errorf("%s has %d bytes, %v", name, info.Size(), err)
		}
	}
}
