package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"hermes-reconcile/engine/volume/remote"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/s6"
)

func newBoot() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "boot",
		Short: "Bring the gateways back after a container restart (the cont-init hook)",
		Long: `Collect the facts, decide, make the slots, sweep stale runtime files, and write
the boot log. It is the cont-init hook, and must not be the reason that a
container does not come up: it exits 0 whatever a policy, a profile or a log file
did, unless --strict says otherwise. Nothing runs until s6-svscan scans; in
s6-overlay that is after the last cont-init script.`,
		Args: cobra.NoArgs,
		RunE: boot,
	}
	cmd.Flags().Bool("strict", false, "exit 1 when something failed, 2 on a wrong configuration, 3 when the policy could not be used")
	cmd.Flags().String("rescan", "", "never: leave it to the caller; now: ask s6-svscan for a scan, and verify (default never)")
	cmd.Flags().String("deadline", "", "give up after this time (default 30s)")
	return cmd
}

func boot(cmd *cobra.Command, _ []string) error {
	remote.TuneMemory()
	c, wrong, err := readConfig(cmd.Flags(), os.Environ())
	if err != nil {
		return err
	}
	// Who read standard output may be gone before the boot log is written.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	b := &bootRun{config: c, log: newLogger(c, cmd.ErrOrStderr()), out: cmd.OutOrStdout()}
	if wrong != nil {
		b.trouble(exitUsage, "the configuration is wrong; going on without that part", wrong)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), c.Boot.Deadline)
	defer cancel()
	b.run(ctx)
	if c.Boot.Strict && b.code != exitDone {
		return &exitError{b.code, nil}
	}
	return nil
}

// A bootRun is one boot. What goes wrong is logged, counted and gone past.
type bootRun struct {
	config config
	log    *slog.Logger
	out    io.Writer

	mu     sync.Mutex
	code   int // the worst exit status so far
	errors []string
}

// trouble notes that something went wrong. The first trouble gives the exit
// status.
func (b *bootRun) trouble(code int, what string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log.Error(what, "err", err)
	b.errors = append(b.errors, fmt.Sprintf("%s: %v", what, err))
	if b.code == exitDone {
		b.code = code
	}
}

// run does the whole work. The volume's side starts first, so that it collects
// while the rules are compiled here.
func (b *bootRun) run(ctx context.Context) {
	side, err := b.openSide()
	if err != nil {
		b.trouble(exitProfile, "the volume cannot be reached", err)
		return
	}
	defer side.Close()

	compiled := make(chan *rego.Evaluator, 1)
	go func() { compiled <- b.compile() }()
	s := collect(ctx, b.config, side, policy.PhaseBoot)
	if s.volumeErr != nil {
		b.trouble(exitProfile, "the facts about profiles are not complete", s.volumeErr)
	}
	evaluator := <-compiled
	if evaluator == nil {
		return
	}
	decisions := decideOrFallBack(ctx, b.config, evaluator, s.input)
	noteVolume(&decisions, s)
	noteGone(&decisions, b.config)

	executor, err := b.executor(s)
	if err != nil {
		b.trouble(exitProfile, "the scan directory", err)
		return
	}
	defer b.keepOthersOut(ctx, executor, decisions)()
	if decisions.Plan, err = plan(ctx, executor, &decisions); err != nil {
		b.trouble(exitProfile, "plan", err)
	}
	b.tellPolicy(decisions)
	results := b.execute(ctx, executor, side, decisions.Plan)
	b.missing(executor, decisions)
	b.tell(decisions)
	b.record(ctx, side, s, decisions, results)
	b.keepPolicy(evaluator, s, decisions)
}

// keepOthersOut takes the lock from the plan to its end, so that what was planned is
// still so when it is done. A container that supervises nothing is not touched.
func (b *bootRun) keepOthersOut(ctx context.Context, executor *s6.Executor, d policy.Decisions) (unlock func()) {
	if len(d.Skip) > 0 {
		return func() {}
	}
	unlock, err := executor.Lock(ctx)
	if err != nil {
		b.log.Warn("others are not kept out while this plans", "err", err)
		return func() {}
	}
	return unlock
}

// openSide starts the volume's side; a user who is not there is upstream's.
func (b *bootRun) openSide() (remote.Volume, error) {
	if _, err := lookupUser(b.config.User); err != nil && os.Geteuid() == 0 {
		b.trouble(exitUsage, "going on as 10000:10000", err)
		b.config.User = "10000:10000"
	}
	return openChild(b.config, policy.PhaseBoot)
}

// compile loads the rules, without the operator's where those are broken.
func (b *bootRun) compile() *rego.Evaluator {
	evaluator, err := loadOrFallBack(b.config)
	if err != nil {
		b.trouble(exitPolicy, "the built-in rules cannot be used", err)
		return nil
	}
	return evaluator
}

func (b *bootRun) executor(s situation) (*s6.Executor, error) {
	e, err := newExecutor(b.config, b.log)
	if err != nil {
		return nil, err
	}
	_, e.Prune = s.gone()
	e.Rescan = b.config.Boot.Rescan == "now"
	return e, nil
}

// tellPolicy says loudly when the operator's rules did not decide.
func (b *bootRun) tellPolicy(d policy.Decisions) {
	if d.Policy.Fallback {
		b.trouble(exitPolicy, "policy fallback: "+whoDecides(d.Policy), errors.New(join(d.Policy.Errors)))
	}
	for _, a := range fewAlarms(d.Alarms) {
		if a.Code == policy.CodeRuleError {
			b.trouble(exitPolicy, "a rule broke", errors.New(a.Reason))
			continue
		}
		if a.Code == policy.CodePolicyFallback {
			continue // said above
		}
		b.log.Warn("alarm", "profile", a.Profile, "code", a.Code, "reason", a.Reason)
	}
}

// execute carries the plan out: the slots here and the volume's part at its side,
// both at once, since neither needs the other. A scan comes last, so that no
// gateway starts before the files of the dead one are gone.
func (b *bootRun) execute(ctx context.Context, executor *s6.Executor, side remote.Volume, operations []policy.Operation) []policy.Result {
	isScan := func(op policy.Operation) bool { return op.Op == policy.OpRescan }
	before := slices.DeleteFunc(slices.Clone(operations), isScan)
	last := slices.DeleteFunc(slices.Clone(operations), func(op policy.Operation) bool { return !isScan(op) })
	var onVolume []policy.Result
	var group sync.WaitGroup
	group.Go(func() { onVolume = side.Execute(ctx, before) })
	results := executor.Execute(ctx, before)
	group.Wait()
	results = slices.Concat(results, onVolume, executor.Execute(ctx, last))
	for _, r := range results {
		if r.Err != nil {
			b.trouble(exitProfile, "operation", r.Err)
		}
	}
	return results
}

// missing turns the decision of a profile that got no slot into what happened, so
// that neither log nor ledger calls it started.
func (b *bootRun) missing(executor *s6.Executor, d policy.Decisions) {
	profiles, err := executor.Missing(d)
	if err != nil {
		b.trouble(exitProfile, "the slots cannot be verified", err)
		for name, p := range d.Profiles {
			if p.Action != policy.ActionSkip {
				profiles = append(profiles, name)
			}
		}
		slices.Sort(profiles)
	}
	for _, name := range profiles {
		p := d.Profiles[name]
		p.Reason = fmt.Sprintf("it has no slot, see alarms and operations; decided was %s: %s", p.Action, p.Reason)
		p.Action, p.Code = policy.ActionSkip, codeNoSlot
		d.Profiles[name] = p
		b.trouble(exitProfile, "no slot", errors.New(name))
	}
}

// codeNoSlot says that a slot was decided and is not there.
const codeNoSlot = "no_slot"

// actionWords are upstream's words for what was done.
var actionWords = map[policy.Action]string{
	policy.ActionStart: "started",
	policy.ActionDown:  "registered",
	policy.ActionSkip:  "skipped",
}

// tell repeats the outcome on standard output, as upstream does.
func (b *bootRun) tell(d policy.Decisions) {
	var text bytes.Buffer
	for _, c := range d.Skip {
		fmt.Fprintf(&text, "reconcile: skipped: %s\n", line(c.Reason))
	}
	if len(d.Skip) == 0 {
		for _, name := range slices.Sorted(maps.Keys(d.Profiles)) {
			p := d.Profiles[name]
			fmt.Fprintf(&text, "reconcile: profile=%s prior_state=%s action=%s\n", word(name), word(p.PriorState), actionWords[p.Action])
		}
	}
	_, _ = b.out.Write(text.Bytes()) // who read it may be gone
}

// record writes the boot log and the ledger.
func (b *bootRun) record(ctx context.Context, side remote.Volume, s situation, d policy.Decisions, results []policy.Result) {
	text := bootLog(s.input.Now, d)
	if err := side.AppendLog(ctx, "container-boot.log", text); err != nil {
		b.trouble(exitProfile, "the boot log", err)
	}
	ledger, err := ledgerText(s, d, results, b.errors, "")
	if err == nil {
		err = side.AppendLog(ctx, "container-boot.jsonl", ledger)
	}
	if err != nil {
		b.trouble(exitProfile, "the ledger", err)
	}
}
