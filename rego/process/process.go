// Package process loads and runs the rules of an operator in a child process. A builtin that
// looks at no limit, or a rule that takes all memory, ends the child and not the program: the
// parent starts another child and goes on without the package that did it. The package holds
// both ends of the pipes to the child. Built-in rules alone need no child.
//
// The child limits time itself, as package rego does, and reports a package that breaks. The
// parent ends a child that does not keep to the limit. The kernel limits the memory of the
// child.
package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/bundle"
)

// Rules load and run the rules of a configuration, as a reconcile.Rules. They start the
// child when rules of an operator are needed first.
type Rules struct {
	// Configure returns the settings. It is called once, before the child is needed.
	Configure func() Settings
	// Print gets what the rules print. Without it print() does nothing.
	Print io.Writer
	// Loaded, if set, gets the status of the present rules when they are loaded.
	Loaded func(policy.Status)

	mutex    sync.Mutex
	settings *Settings
	child    *peer // nil: none runs
}

// Start starts the child early. It waits for its settings. A child that cannot be started is
// tried again when it is needed.
func (r *Rules) Start() { r.child, _ = startChild() }

// Close ends the child without waiting for it.
func (r *Rules) Close() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.child != nil {
		r.child.pipes.Close()
		r.child = nil
	}
}

// Load compiles the present rules. Its error is a mistake in a package, or that the rules are
// gone.
func (r *Rules) Load(ctx context.Context) (engine.Evaluator, error) {
	p, err := r.load(ctx, bundle.Present)
	if err == nil && len(p.Mistakes) > 0 {
		err = errors.New(strings.Join(p.Mistakes, "\n"))
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// LoadOrFallBack compiles the present rules, of which single packages may fail. If there are
// no rules to be compiled, it compiles the last good copy of them, else the built-in rules
// with a failure for the others; Status says which. Its error is that none can be used.
func (r *Rules) LoadOrFallBack(ctx context.Context) (engine.Evaluator, error) {
	p, cause := r.load(ctx, bundle.Present)
	if cause == nil {
		return p, nil
	}
	p, err := r.load(ctx, bundle.Copy)
	if err != nil && !errors.Is(err, bundle.ErrNoLastGood) {
		cause = errors.Join(cause, err)
	}
	if err != nil {
		if p, err = r.load(ctx, bundle.BuiltIn); err != nil {
			return nil, errors.Join(cause, err)
		}
		p.failures = []policy.RuleFailure{{Rule: "reconcile", Error: "the operator's rules cannot be used, see the alarm " + policy.CodePolicyFallback}}
	}
	p.loaded.Status.Fallback, p.loaded.Status.Errors = true, strings.Split(cause.Error(), "\n")
	if refused, ok := errors.AsType[*refusal](cause); ok {
		p.loaded.Status.Untrusted = refused.untrusted
	}
	if gone, ok := errors.AsType[*bundle.Gone](cause); ok {
		p.loaded.Status.Gone = gone.Directories
	}
	return p, nil
}

// Mended returns rules in which the last good copy decides for packages that broke, by their
// names. They are nil when the copy has none of them. The error is about the copy.
func (r *Rules) Mended(ctx context.Context, rules engine.Evaluator, broken []string) (engine.Evaluator, error) {
	present, ok := rules.(*Policy)
	if !ok {
		return nil, nil
	}
	copied, err := r.load(ctx, bundle.Copy)
	if errors.Is(err, bundle.ErrNoLastGood) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, copies := *present, *copied
	m.Packages, copies.Packages = nil, nil
	var names []string
	for _, p := range present.Packages {
		at := slices.IndexFunc(copied.Packages, func(c rego.Package) bool {
			return c.Layer > 0 && (c.Name == p.Name || p.Name == p.File && c.File == bundle.Prefix+p.File)
		})
		if at < 0 || !slices.Contains(broken, p.Name) {
			m.Packages = append(m.Packages, p)
			continue
		}
		copies.Packages = append(copies.Packages, copied.Packages[at])
		names = append(names, copied.Packages[at].Name)
	}
	if names == nil {
		return nil, nil
	}
	m.copies, m.loaded.Status.Fallback = &copies, true
	m.loaded.Status.Source += strings.TrimPrefix(copied.loaded.Status.Source, "built-in") + " of " + strings.Join(names, ", ")
	rego.Describe(&m.loaded.Status, slices.Concat(m.Packages, copies.Packages))
	return &m, nil
}

// Keep saves rules that decided as the last good ones.
func (r *Rules) Keep(ctx context.Context, e engine.Evaluator) error {
	p, ok := e.(*Policy)
	if !ok || r.settings.StateDir == "" {
		return nil
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	var err error
	if p.here != nil {
		err = bundle.Save(r.settings.StateDir, p.here, time.Now())
	} else if err = r.ready(ctx, p); err == nil {
		err = r.ask(ctx, loadTime, func(c *peer) error { return c.stream.Write(request{Keep: p.choice}) }, 1, func(answer, [][]byte) error { return nil })
	}
	if err != nil {
		return fmt.Errorf("state_dir %s: %w", r.settings.StateDir, err)
	}
	return nil
}

// loadTime is the longest time that the child gets to compile rules, or to do anything else
// that is no evaluation.
const loadTime = 10 * time.Second

// load loads one choice, within a quarter of the time that is left.
func (r *Rules) load(ctx context.Context, choice bundle.Choice) (*Policy, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.settings == nil {
		r.configure()
	}
	p := &Policy{rules: r, choice: choice}
	var err error
	if r.inChild(choice) {
		p.loaded, err = r.ofChild(ctx, min(loadTime, left(ctx)/4), choice)
	} else if p.here, err = r.settings.Load(choice, r.settings.Options); p.here != nil {
		p.loaded, err = describe(p.here, err), nil
	}
	if err != nil {
		return nil, err
	}
	if choice == bundle.Present {
		if r.Loaded != nil {
			r.Loaded(p.Status())
		}
		err = bundle.CheckGone(r.settings.StateDir, r.settings.Policy, p.Empty)
	}
	return p, err
}

// inChild reports whether a choice has rules of an operator. The built-in rules alone run in
// this process: they end, whatever the facts are, and without a third process a boot of 10
// profiles saves a third of its time.
func (r *Rules) inChild(choice bundle.Choice) bool {
	return choice == bundle.Copy || choice == bundle.Present && len(r.settings.Policy) > 0
}

func (r *Rules) configure() {
	s := r.Configure()
	s.Timeout, s.Memory = cmp.Or(s.Timeout, rego.DefaultTimeout), cmp.Or(s.Memory, rego.DefaultMemory)
	s.Print = r.Print != nil
	s.Directory, _ = os.Getwd()
	r.settings = &s
}

// ofChild makes the child load one choice. A child that somebody else has ended gets a second
// chance.
func (r *Rules) ofChild(ctx context.Context, limit time.Duration, choice bundle.Choice) (l loaded, err error) {
	for range 2 {
		err = r.ask(ctx, limit, func(c *peer) error { return c.stream.Write(request{Load: choice}) }, 1, func(_ answer, texts [][]byte) error {
			return attached(texts, &l)
		})
		ended, ok := errors.AsType[*endedError](err)
		if !ok {
			break
		}
		err = fmt.Errorf("compile the %s: %s", choice, ended.words(limit, r.settings.Memory))
		if ended.why != endedByOthers {
			break
		}
	}
	if err == nil {
		r.child.revisions[choice] = l.Status.Revision
	}
	return l, err
}

// ready makes sure that a child runs that has loaded a policy. It ends early with ctx.
func (r *Rules) ready(ctx context.Context, p *Policy) error {
	if r.child != nil && r.child.revisions[p.choice] == p.loaded.Status.Revision {
		return nil
	}
	l, err := r.ofChild(ctx, loadTime, p.choice)
	if err == nil && l.Status.Revision != p.loaded.Status.Revision {
		err = errors.New("the rules changed while they were in use")
	}
	return err
}

// left returns the time that a context has left. Without a deadline it is that of a boot.
func left(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return time.Until(deadline)
	}
	return 30 * time.Second
}

// ask calls send, which sends a request to the child, and calls use with each of its answers. It
// starts a child if none runs. The error is that of the child's answer. It ends the child, with
// an endedError, when ctx ends, when nothing comes within the limit, and when the child breaks
// the protocol, because a later request would read a stale answer.
func (r *Rules) ask(ctx context.Context, limit time.Duration, send func(*peer) error, answers int, use func(answer, [][]byte) error) error {
	if r.child == nil {
		started, err := startChild()
		if err != nil {
			return err
		}
		r.child = started
	}
	c := r.child
	end := func() { c.pipes.Close() }
	inTime := context.AfterFunc(ctx, end)
	watch := time.AfterFunc(limit, end)
	refused, err := c.talk(r.settings, send, answers, func(a answer, texts [][]byte) error {
		watch.Reset(limit)
		return use(a, texts)
	})
	late, silent := !inTime(), !watch.Stop()
	if err == nil && !late && !silent {
		return refused
	}
	r.child = nil
	end()
	ended := c.ending()
	switch {
	case late:
		ended = &endedError{text: "stopped: " + context.Cause(ctx).Error()}
	case silent:
		ended = &endedError{why: endedSilent}
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.EPIPE):
		ended = &endedError{text: "its process answers wrongly: " + err.Error()}
	}
	return ended
}
