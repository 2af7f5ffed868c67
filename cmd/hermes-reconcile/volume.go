package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/volume"
	"hermes-reconcile/policy"
)

// A volumeSide does the work on the volume: facts, sweeps, seeds, logs. As root
// it is a child process under the unprivileged user, so that neither a planted
// link nor a volume that hangs is root's problem.
type volumeSide interface {
	// Collect returns the facts about the container that are on the volume, and
	// calls emit with the facts of each profile, one call at a time. With an
	// error it has called emit for the profiles that it got to.
	Collect(ctx context.Context, emit func(profile string, facts policy.Facts)) (policy.Facts, error)
	// Execute carries out the sweeps and seeds among the operations.
	Execute(ctx context.Context, operations []policy.Operation) []policy.Result
	// Change reads or writes what a life cycle command has to do with a profile. The
	// error wraps fs.ErrNotExist where there is no such profile.
	Change(ctx context.Context, c volumeChange) (volumeChanged, error)
	// AppendLog appends text to logs/<name> in the home.
	AppendLog(ctx context.Context, name string, text []byte) error
	// Ledger returns the lines of the ledger that are about a profile or about the
	// container, oldest first.
	Ledger(ctx context.Context, profile string) ([]ledgerLine, error)
	// Runs returns what the ledger has of the newest runs.
	Runs(ctx context.Context, q runsQuery) (ledgerRuns, error)
	Close()
}

// volumeSettings is what the volume's side has to know.
type volumeSettings struct {
	Home            string
	Phase           string
	FactsDir        string
	Timeout         time.Duration // for all facts
	SourceTimeout   time.Duration
	ExternalTimeout time.Duration
	OperatorFiles   []string
	OnlyRoot        bool // this is root's work, see facts.Config
}

func newVolumeSettings(c config, phase string) volumeSettings {
	return volumeSettings{
		Home: c.Home, Phase: phase, FactsDir: c.Facts.Dir, Timeout: c.Facts.Timeout, SourceTimeout: c.Facts.SourceTimeout,
		ExternalTimeout: c.Facts.ExternalTimeout, OperatorFiles: c.Facts.OperatorFiles,
		OnlyRoot: os.Geteuid() == 0,
	}
}

// logLimit is the size at which a log is rotated, as upstream does.
const logLimit = 256 << 10

// ledgerLimit is that of the ledger, whose lines are longer: some thousand of them
// are kept.
const ledgerLimit = 4 << 20

// localVolume is the volume's side in this process.
type localVolume struct {
	settings volumeSettings
	home     *volume.Home
}

func openVolume(s volumeSettings) (*localVolume, error) {
	home, err := volume.Open(s.Home)
	if err != nil {
		return nil, err
	}
	return &localVolume{settings: s, home: home}, nil
}

func (v *localVolume) Collect(ctx context.Context, emit func(string, policy.Facts)) (policy.Facts, error) {
	ctx, cancel := context.WithTimeout(ctx, v.settings.Timeout)
	defer cancel()
	sources, profileSources := volumeSources(v.settings, v.home)
	collector := engine.Collector{Home: v.home, Sources: sources, ProfileSources: profileSources, SourceTimeout: v.settings.SourceTimeout}
	container := make(chan policy.Facts, 1)
	go func() { container <- collector.Container(ctx) }()
	err := collector.Profiles(ctx, emit)
	return <-container, err
}

func (v *localVolume) Execute(ctx context.Context, operations []policy.Operation) []policy.Result {
	return (&volume.Executor{Home: v.home, Live: v.settings.Phase == policy.PhaseApply}).Execute(ctx, operations)
}

func (v *localVolume) AppendLog(_ context.Context, name string, text []byte) error {
	limit := int64(logLimit)
	if strings.HasSuffix(name, ".jsonl") {
		limit = ledgerLimit
	}
	return v.home.AppendLog(name, text, limit)
}

func (v *localVolume) Close() { v.home.Close() }

// The messages between the two processes, as a stream of JSON documents. A
// request is answered by any number of answers, of which the last is Done.
type volumeRequest struct {
	Settings *volumeSettings    `json:",omitempty"`
	Collect  bool               `json:",omitempty"`
	Execute  []policy.Operation `json:",omitempty"`
	Log      *logText           `json:",omitempty"`
	Ledger   *string            `json:",omitempty"` // the profile
	Runs     *runsQuery         `json:",omitempty"`
	Change   *volumeChange      `json:",omitempty"`
}

type logText struct {
	Name string
	Text []byte
}

type volumeAnswer struct {
	Profile   string         `json:",omitempty"`
	Facts     policy.Facts   `json:",omitempty"`
	Container policy.Facts   `json:",omitempty"`
	Results   []volumeResult `json:",omitempty"`
	Ledger    []ledgerLine   `json:",omitempty"`
	Runs      *ledgerRuns    `json:",omitempty"`
	Changed   *volumeChanged `json:",omitempty"`
	Error     string         `json:",omitempty"`
	Done      bool           `json:",omitempty"`
}

// A volumeResult is a policy.Result; the index is that of the operation.
type volumeResult struct {
	Index int
	Done  bool
	Error string `json:",omitempty"`
}

// answerLimit bounds what is read from the child: what it says comes from the
// volume. It is ten times the facts of 10,000 profiles.
const answerLimit = 512 << 20

// childVolume is the volume's side in a child process.
type childVolume struct {
	process  *exec.Cmd
	requests *json.Encoder
	answers  *json.Decoder
	stdin    io.Closer
	stdout   io.Closer
	settings volumeSettings
}

// startVolume starts the child, as another user where credential is not nil.
func startVolume(s volumeSettings, credential *syscall.Credential) (*childVolume, error) {
	theirStdin, stdin, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	stdout, theirStdout, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	// By descriptor rather than by path, which the other user may not be able to
	// search.
	process := &exec.Cmd{Path: "/proc/self/exe", Args: []string{os.Args[0], volumeCommand}}
	process.Stdin, process.Stdout, process.Stderr = theirStdin, theirStdout, os.Stderr
	process.Dir = "/"
	process.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	err = process.Start()
	theirStdin.Close()
	theirStdout.Close()
	if err != nil {
		return nil, fmt.Errorf("start the process for the volume: %w", err)
	}
	v := &childVolume{
		process: process, requests: json.NewEncoder(stdin), answers: json.NewDecoder(io.LimitReader(stdout, answerLimit)),
		stdin: stdin, stdout: stdout, settings: s,
	}
	go process.Wait() // only so that it leaves no zombie; a hung one is left behind
	return v, v.requests.Encode(volumeRequest{Settings: &s})
}

// ask sends a request and hands every answer to use. When ctx ends first, the
// child is given up: it may be in a system call that nothing interrupts.
func (v *childVolume) ask(ctx context.Context, r volumeRequest, use func(volumeAnswer)) error {
	defer context.AfterFunc(ctx, v.Close)()
	err := v.requests.Encode(r)
	for err == nil {
		var a volumeAnswer
		if err = v.answers.Decode(&a); err != nil {
			break
		}
		use(a)
		if a.Error != "" {
			return errors.New(a.Error)
		}
		if a.Done {
			return nil
		}
	}
	if ctx.Err() != nil {
		return errors.New("the volume does not answer in time")
	}
	return fmt.Errorf("the process for the volume ended: %w", err)
}

func (v *childVolume) Collect(ctx context.Context, emit func(string, policy.Facts)) (policy.Facts, error) {
	// The child keeps to the time limit by itself, unless the volume hangs.
	ctx, cancel := context.WithTimeout(ctx, v.settings.Timeout+time.Second)
	defer cancel()
	var container policy.Facts
	err := v.ask(ctx, volumeRequest{Collect: true}, func(a volumeAnswer) {
		if a.Profile != "" {
			emit(a.Profile, a.Facts)
		}
		if a.Container != nil {
			container = a.Container
		}
	})
	return container, err
}

func (v *childVolume) Execute(ctx context.Context, operations []policy.Operation) []policy.Result {
	var mine []policy.Operation
	for _, op := range operations {
		if op.Op == policy.OpSweep || op.Op == policy.OpSeed {
			mine = append(mine, op)
		}
	}
	if len(mine) == 0 {
		return nil
	}
	answered := map[int]volumeResult{}
	err := v.ask(ctx, volumeRequest{Execute: mine}, func(a volumeAnswer) {
		for _, r := range a.Results {
			answered[r.Index] = r
		}
	})
	results := make([]policy.Result, len(mine))
	for i, op := range mine {
		results[i] = policy.Result{Operation: op}
		if err != nil {
			results[i].Err = fmt.Errorf("%s %s of profile %s: %w", op.Op, op.File, op.Profile, err)
		}
		if r, ok := answered[i]; ok {
			results[i] = policy.Result{Operation: op, Done: r.Done}
			if r.Error != "" {
				results[i].Err = errors.New(r.Error)
			}
		}
	}
	return results
}

func (v *childVolume) AppendLog(ctx context.Context, name string, text []byte) error {
	return v.ask(ctx, volumeRequest{Log: &logText{Name: name, Text: text}}, func(volumeAnswer) {})
}

// Close ends the child without waiting for it.
func (v *childVolume) Close() {
	v.stdin.Close()
	v.stdout.Close()
	v.process.Process.Kill()
}

// volumeCommand is the hidden command that the child runs.
const volumeCommand = "volume"

func newVolume() *cobra.Command {
	return &cobra.Command{
		Use:    volumeCommand,
		Short:  "Work on the volume for another hermes-reconcile (internal)",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			tuneMemory()
			err := serveVolume(c.Context(), c.InOrStdin(), c.OutOrStdout())
			if err != nil {
				return &exitError{exitProfile, err}
			}
			return nil
		},
	}
}

// serveVolume answers requests until there are no more.
func serveVolume(ctx context.Context, in io.Reader, out io.Writer) error {
	buffered := newBatch(out)
	defer buffered.flush()
	requests, answers := json.NewDecoder(in), json.NewEncoder(buffered)
	var local *localVolume
	openErr := errors.New("this command is for hermes-reconcile itself")
	for {
		var r volumeRequest
		if err := requests.Decode(&r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read a request: %w", err)
		}
		if r.Settings != nil {
			if r.Settings.OnlyRoot {
				// Others of this user must not trace what speaks to root.
				_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
			}
			local, openErr = openVolume(*r.Settings)
			continue
		}
		last := volumeAnswer{Done: true}
		if openErr != nil {
			last.Error = openErr.Error()
		} else {
			last = local.answer(ctx, r, answers)
		}
		if err := errors.Join(answers.Encode(last), buffered.flush()); err != nil {
			return err
		}
	}
}

// A batch gathers small writes. What is in it is written soon all the same, so that
// what was found out is known when a volume hangs in the middle.
type batch struct {
	mu      sync.Mutex
	out     *bufio.Writer
	pending bool // it will be flushed
}

// batchTime is how long an answer may wait for others.
const batchTime = 20 * time.Millisecond

func newBatch(out io.Writer) *batch { return &batch{out: bufio.NewWriterSize(out, 128<<10)} }

func (b *batch) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.pending {
		b.pending = true
		time.AfterFunc(batchTime, func() { _ = b.flush() })
	}
	return b.out.Write(p)
}

// flush writes what is there; an error is that of the next Write too.
func (b *batch) flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending = false
	return b.out.Flush()
}

// answer does what a request asks and returns its last answer.
func (v *localVolume) answer(ctx context.Context, r volumeRequest, answers *json.Encoder) volumeAnswer {
	last := volumeAnswer{Done: true}
	switch {
	case r.Collect:
		container, err := v.Collect(ctx, func(profile string, facts policy.Facts) {
			if err := answers.Encode(volumeAnswer{Profile: profile, Facts: facts}); err != nil {
				slog.Error("answer", "err", err)
			}
		})
		last.Container = container
		if err != nil {
			last.Error = err.Error()
		}
	case r.Execute != nil:
		for i, result := range v.Execute(ctx, r.Execute) {
			answer := volumeResult{Index: i, Done: result.Done}
			if result.Err != nil {
				answer.Error = result.Err.Error()
			}
			last.Results = append(last.Results, answer)
		}
	case r.Ledger != nil:
		lines, err := v.Ledger(ctx, *r.Ledger)
		last.Ledger = lines
		if err != nil {
			last.Error = err.Error()
		}
	case r.Runs != nil:
		runs, err := v.Runs(ctx, *r.Runs)
		last.Runs = &runs
		if err != nil {
			last.Error = err.Error()
		}
	case r.Change != nil:
		changed, err := v.Change(ctx, *r.Change)
		last.Changed = &changed
		if err != nil {
			last.Error = err.Error()
		}
	case r.Log != nil:
		if err := v.AppendLog(ctx, r.Log.Name, r.Log.Text); err != nil {
			last.Error = err.Error()
		}
	}
	return last
}
