package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"hermes-reconcile/policy"
)

// How long a sink waits for somebody to read. A person may read standard output in a
// pager. Nobody may stop the work of the program by not reading its log.
var (
	patienceForData = 5 * time.Minute
	patienceForLog  = time.Second
)

// chunk is how many bytes a sink writes at a time. Each chunk has the whole patience.
const chunk = 64 << 10

// A sink is standard output or standard error. It cleans all that is written (see
// policy.Clean), and drops what nobody reads in time. Each write has whole characters.
type sink struct {
	to       io.Writer
	name     string
	patience time.Duration
	optional bool   // dropped output is not a failure
	before   func() // makes room for what is written; nil: nothing is in the way

	mu      sync.Mutex
	pending chan error // the result of a write that somebody has to read first; nil: none
	dropped int        // bytes
}

var errNobodyReads = errors.New("nobody reads it")

func (o *sink) Write(text []byte) (int, error) {
	o.makeRoom()
	return len(text), o.locked([]byte(policy.Clean(string(text))))
}

func (o *sink) makeRoom() {
	if o.before != nil {
		o.before()
	}
}

// draw writes a sign of life, which has its own way to make room.
func (o *sink) draw(text string) { _ = o.locked([]byte(text)) }

func (o *sink) locked(text []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.write(text)
}

// write writes text as it is. Text that is dropped is no error here, see end.
func (o *sink) write(text []byte) error {
	for len(text) > 0 {
		n := min(len(text), chunk)
		err := o.writeChunk(text[:n])
		if errors.Is(err, errNobodyReads) {
			o.dropped += len(text)
			return nil
		}
		if err != nil {
			return err
		}
		text = text[n:]
	}
	return nil
}

func (o *sink) writeChunk(text []byte) error {
	if o.pending != nil {
		select {
		case <-o.pending:
		default:
			return errNobodyReads
		}
	}
	o.pending = make(chan error, 1)
	go func(done chan<- error) {
		_, err := o.to.Write(text)
		done <- err
	}(o.pending)
	enough := time.NewTimer(o.patience)
	defer enough.Stop()
	select {
	case err := <-o.pending:
		o.pending = nil
		return err
	case <-enough.C:
		return errNobodyReads
	}
}

// end returns an error when something was dropped.
func (o *sink) end() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dropped > 0 {
		return fmt.Errorf("%s: %w, %s are dropped", o.name, errNobodyReads, policy.Count(o.dropped, "byte"))
	}
	return nil
}

// doNotWait is for a command whose work must not wait for a reader of its output.
func doNotWait(stream io.Writer) {
	if o, ok := stream.(*sink); ok {
		o.patience, o.optional = patienceForLog, true
	}
}

// terminalOf returns the terminal that a stream is, else nil.
func terminalOf(stream any) *os.File {
	if o, ok := stream.(*sink); ok {
		stream = o.to
	}
	file, ok := stream.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	return file
}

// A coloured is a sink for text that is clean and has colours.
type coloured struct{ *sink }

func (c coloured) Write(text []byte) (int, error) {
	c.makeRoom()
	return len(text), c.locked(text)
}
