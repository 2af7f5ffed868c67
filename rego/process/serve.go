package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"hermes-reconcile/engine/child"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/bundle"
)

// Command is the only argument of a child.
const Command = "rules"

// IsChild reports whether args are those of the child. main then calls Serve before it
// reads flags or configuration.
func IsChild(args []string) bool { return len(args) == 2 && args[1] == Command }

// Serve is the whole program of the child. It answers the requests on standard input until
// the input ends, and returns the exit status.
func Serve() int {
	parent := os.Getppid()
	debug.SetTraceback("none") // the parent looks for the first lines only
	debug.SetGCPercent(400)
	err := confine(parent)
	if err == nil {
		err = serve(os.Stdin, os.Stdout, allow)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "hermes-reconcile: %v\n", err)
		return 1
	}
	return 0
}

// A server does the work of the child.
type server struct {
	mutex    sync.Mutex // of pipes
	pipes    *child.Stream
	allow    func(bytes int64) error
	settings Settings
	policies map[bundle.Choice]*rego.Evaluator
	input    policy.Input
	size     int64          // of the facts in input, in bytes
	document *rego.Document // of input, once it is needed
}

// serve answers requests until the input ends.
func serve(in io.Reader, out io.Writer, allow func(bytes int64) error) error {
	s := &server{pipes: child.NewStream(in, out), allow: allow, policies: map[bundle.Choice]*rego.Evaluator{}}
	for {
		var r request
		texts, err := s.pipes.Read(&r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a request: %w", err)
		}
		if err := s.answer(r, texts); err != nil {
			return err
		}
	}
}

// answer does what a request asks. Its error ends the child.
func (s *server) answer(r request, texts [][]byte) (err error) {
	switch {
	case r.Settings != nil:
		s.settings = *r.Settings
		s.settings.Schema = policy.InputSchema
		_ = os.Chdir(s.settings.Directory)
	case r.Document != nil:
		s.input, s.document, s.size = *r.Document, nil, 0
		s.input.Container, s.input.Profiles = s.facts(texts), map[string]policy.Facts{}
	case r.Profile != nil && s.input.Profiles != nil:
		s.input.Profiles[*r.Profile] = s.facts(texts)
	case r.Load != "":
		return s.load(r.Load)
	case r.Keep != "":
		return s.keep(r.Keep)
	case r.Mask != "":
		return s.mask(r.Mask, texts)
	case r.Evaluate != nil:
		return s.evaluate(*r.Evaluate)
	default:
		return errors.New("this command is for hermes-reconcile itself")
	}
	return nil
}

func (s *server) facts(texts [][]byte) policy.Facts {
	for _, text := range texts {
		s.size += int64(len(text))
	}
	return child.Map(texts)
}

// write sends one answer at once.
func (s *server) write(a answer, texts ...[]byte) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return errors.Join(s.pipes.Write(a, texts...), s.pipes.Flush())
}

func (s *server) load(choice bundle.Choice) error {
	if err := s.allow(s.settings.Memory); err != nil {
		return err
	}
	e, err := s.settings.Load(choice, s.settings.Options)
	if e == nil {
		return s.write(answer{Error: err.Error(), NoCopy: errors.Is(err, bundle.ErrNoLastGood), Untrusted: rego.Untrusted(err)})
	}
	s.policies[choice] = e
	text, err := json.Marshal(describe(e, err))
	return errors.Join(err, s.write(answer{}, text))
}

func (s *server) keep(choice bundle.Choice) error {
	a := answer{}
	if e := s.policies[choice]; e == nil {
		a.Error = "these rules are not loaded"
	} else if err := bundle.Save(s.settings.StateDir, e, time.Now()); err != nil {
		a.Error = err.Error()
	}
	return s.write(a)
}

func (s *server) mask(choice bundle.Choice, events [][]byte) error {
	e, err := s.policies[choice], s.allow(s.settings.Memory)
	if e == nil || err != nil {
		return errors.Join(err, s.write(answer{Error: "these rules are not loaded"}))
	}
	for i, event := range events {
		if events[i], err = e.Mask(context.Background(), event); err != nil {
			return s.write(answer{Error: err.Error()})
		}
	}
	return s.write(answer{}, events...)
}

// bytesPerFact is how many bytes a byte of a fact's text takes as a term of OPA, at most.
const bytesPerFact = 40

func (s *server) evaluate(asked evaluation) error {
	e := s.policies[asked.Choice]
	if e == nil {
		return s.write(answer{Error: "these rules are not loaded"})
	}
	if s.document == nil {
		if err := s.allow(bytesPerFact * s.size); err != nil {
			return err
		}
		document, err := rego.NewDocument(s.input)
		if err != nil {
			return s.write(answer{Error: err.Error()})
		}
		s.document = &document
	}
	if err := s.allow(s.settings.Memory); err != nil {
		return err
	}
	document := s.document.WithDecisions(asked.Decisions)
	var group errgroup.Group
	group.SetLimit(asked.AtOnce)
	for _, name := range asked.Packages {
		group.Go(func() error { return s.end(name, e.EvaluatePackage(context.Background(), name, document)) })
	}
	return group.Wait()
}

// maxResult limits what one package contributes, in bytes. The built-in packages have a
// fiftieth of it for 10,000 profiles.
const maxResult = 32 << 20

func (s *server) end(name string, result policy.Evaluation) error {
	text, err := json.Marshal(result)
	if err == nil && len(text) > maxResult {
		err = fmt.Errorf("its contributions have %d MiB, want at most %d", len(text)>>20, maxResult>>20)
	}
	if err != nil {
		text, err = json.Marshal(policy.Evaluation{Failures: []policy.RuleFailure{{Rule: name, Error: err.Error()}}})
	}
	return errors.Join(err, s.write(answer{Package: name}, text))
}
