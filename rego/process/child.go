package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"hermes-reconcile/engine/child"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego/bundle"
)

// A peer is the parent's end of one child.
type peer struct {
	pipes      io.ReadWriteCloser // Close ends the child
	ending     func() *endedError // waits for the end of the child, and explains it
	stream     *child.Stream
	configured bool
	revisions  map[bundle.Choice]string // of what it has loaded
	document   *policy.Input            // that it has
}

// maxAnswer limits an answer, in bytes: the largest has the contributions of one package.
const maxAnswer = maxResult + 1<<20

func startChild() (*peer, error) {
	said, stderr, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the process for the rules: %w", err)
	}
	defer stderr.Close()
	process, err := child.Start(Command, stderr)
	if err != nil {
		said.Close()
		return nil, fmt.Errorf("start the process for the rules: %w", err)
	}
	text := make(chan string, 1)
	go func() { // the Go runtime prints more than a pipe holds
		defer said.Close()
		first, _ := io.ReadAll(io.LimitReader(said, 16<<10))
		text <- string(first)
		_, _ = io.Copy(io.Discard, said)
	}()
	return newPeer(process, func() *endedError { return endOf(process, <-text) }), nil
}

func newPeer(pipes io.ReadWriteCloser, ending func() *endedError) *peer {
	c := &peer{pipes: pipes, ending: ending, stream: child.NewStream(pipes, pipes), revisions: map[bundle.Choice]string{}}
	c.stream.Limit = maxAnswer
	return c
}

// talk sends requests, the settings before the first one, and calls use with each answer.
// Refused is the error of an answer.
func (c *peer) talk(s *Settings, send func(*peer) error, answers int, use func(answer, [][]byte) error) (refused, err error) {
	if !c.configured {
		c.configured, err = true, c.stream.Write(request{Settings: s})
	}
	err = errors.Join(err, send(c), c.stream.Flush())
	for range answers {
		var a answer
		var texts [][]byte
		if err == nil {
			texts, err = c.stream.Read(&a)
		}
		switch {
		case err != nil:
			return nil, err
		case a.NoCopy:
			return bundle.ErrNoLastGood, nil
		case a.Error != "":
			return &refusal{a.Error, a.Untrusted}, nil
		}
		err = use(a, texts)
	}
	return nil, err
}

// A refusal is an error that the child reports.
type refusal struct {
	text      string
	untrusted []string // see policy.Status
}

func (r *refusal) Error() string { return r.text }

// An endedError is the end of a child.
type endedError struct {
	why  end
	text string
}

// An end is a reason why a child ended.
type end int

// The ends.
const (
	endedSomehow   end = iota // text says how
	endedForMemory            // it needed too much
	endedSilent               // it did not answer, and the parent ended it
	endedByOthers             // text says how
)

func (e *endedError) Error() string { return e.words(0, 0) }

// words explains the end, with the limits that counted.
func (e *endedError) words(limit time.Duration, memory int64) string {
	switch e.why {
	case endedForMemory:
		return fmt.Sprintf("needs more than %d MiB of memory, was killed", memory>>20)
	case endedSilent:
		return fmt.Sprintf("not done after %s, was killed", limit.Round(time.Millisecond))
	}
	return e.text
}

// endOf explains how a child ended by what it printed.
func endOf(process *child.Process, text string) *endedError {
	// The collector of Go 1.26 does not check one of its own allocations, and gets a SIGSEGV.
	memory := strings.HasPrefix(text, "SIGSEGV: ")
	for _, sign := range []string{"out of memory", "cannot allocate memory", "cannot map pages", "stack exceeds"} {
		memory = memory || strings.Contains(text, sign)
	}
	if memory {
		return &endedError{why: endedForMemory}
	}
	if status, _, known := process.Wait(); known && status.Signaled() {
		return &endedError{why: endedByOthers, text: "its process was ended from outside: " + status.Signal().String()}
	}
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return &endedError{text: "its process ended: " + policy.Line(line)}
}
