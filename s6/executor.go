package s6

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"os"
	"slices"
	"time"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
	"hermes-reconcile/s6/scandir"
	"hermes-reconcile/s6/scripts"
)

// An Executor plans and carries out changes of one scan directory. It holds only
// what is fixed for the scan directory; what a caller wants of one plan is in the
// options of Plan and Execute. A zero field has the default that its comment names.
//
// Hold Lock around Plan and Execute. An Executor keeps no state between calls, so
// two Executors, also in two processes, need nothing but that lock.
type Executor struct {
	ScanDir string
	User    trust.User // of the gateways
	Root    bool       // this process is root, so files are given to User
	// Upstream gives User the slots, the scan directory itself and the control FIFO of
	// s6-svscan, as upstream's profile commands expect. A user who can make slots is root:
	// s6-supervise runs as root whatever the run script does. Without it, User gets
	// the control FIFOs of slots, which is enough to control them. It matters only for root.
	Upstream bool
	scripts.Settings

	// Capacity is how many gateways get a slot: nil as many as s6-svscan can
	// hold, 0 any number.
	Capacity *int

	LockTimeout time.Duration // 10 s
	Log         *slog.Logger  // none
}

// withDefaults returns a copy with every field filled in.
func (e *Executor) withDefaults() *Executor {
	c := *e
	c.LockTimeout = cmp.Or(c.LockTimeout, 10*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &c
}

// newRenderer makes the files of slots.
func (e *Executor) newRenderer() (*scripts.Renderer, error) {
	return scripts.New(e.Settings, e.slotPath(""), e.User.String())
}

// Execute carries out the operations on slots and ignores those of other executors. It
// returns a result for each of its own, in their order. Consecutive publishes run in
// parallel, consecutive removals, starts and stops together.
//
// The caller holds Lock. A user who may not lock (the error wraps fs.ErrPermission) can
// still execute bring-up, bring-down, mark-down and clear-down, which need only control
// commands; other operations then fail one by one. Without any operation on slots,
// Execute touches nothing.
func (e *Executor) Execute(ctx context.Context, operations []policy.Operation, o policy.ExecuteOptions) []policy.Result {
	var results []policy.Result
	for _, op := range operations {
		if op.Slot != "" || op.Op == policy.OpRescan { // else it is another executor's
			results = append(results, policy.Result{Operation: op})
		}
	}
	if len(results) == 0 {
		return nil
	}
	x, err := e.begin(o)
	if err != nil {
		for i := range results {
			results[i].Err = err
		}
		return results
	}
	defer x.scan.Close()
	x.operations = operations
	for from := 0; from < len(results); {
		to := from + 1
		for to < len(results) && results[to].Operation.Op == results[from].Operation.Op {
			to++
		}
		x.carryOut(ctx, results[from:to])
		from = to
	}
	if x.gives() {
		x.handOverAll(results)
	}
	return results
}

// Slots finds out what is in the scan directory, as scandir.Slots does. It takes no lock.
func (e *Executor) Slots(ctx context.Context) policy.Slots { return scandir.Slots(ctx, e.ScanDir) }

// Missing returns, sorted, the profiles that are decided to have a slot and have
// none after p was carried out: those that Plan left out (the alarms of p have the
// reason) and those that Execute could not make (its results have it).
func (e *Executor) Missing(d policy.Decisions, p policy.Plan) []string {
	if len(d.Skip) > 0 {
		return nil
	}
	entries, _ := os.ReadDir(e.ScanDir) // what cannot be read is missing
	exists := make(map[string]bool, len(entries))
	for _, entry := range entries {
		exists[entry.Name()] = entry.IsDir()
	}
	for _, a := range p.Alarms {
		if a.Code == alarmForeign || a.Code == alarmUnreadable {
			exists[policy.SlotName(a.Profile)] = false // the directory is not a slot of ours
		}
	}
	var missing []string
	for _, profile := range slices.Sorted(maps.Keys(d.Profiles)) {
		if d.Profiles[profile].Action != policy.ActionSkip && !exists[policy.SlotName(profile)] {
			missing = append(missing, profile)
		}
	}
	return missing
}
