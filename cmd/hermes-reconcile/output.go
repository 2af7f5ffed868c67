package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

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
// policy.Clean), and drops what nobody reads in time.
type sink struct {
	to       io.Writer
	name     string
	patience time.Duration
	optional bool // dropped output is not a failure

	mu      sync.Mutex
	rest    []byte     // the beginning of a character
	pending chan error // the result of a write that somebody has to read first; nil: none
	dropped int        // bytes
}

var errNobodyReads = errors.New("nobody reads it")

func (o *sink) Write(text []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	whole := slices.Concat(o.rest, text)
	end := len(whole)
	for i := 1; i < utf8.UTFMax && i <= len(whole); i++ {
		if tail := whole[len(whole)-i:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				end -= i
			}
			break
		}
	}
	o.rest = slices.Clone(whole[end:])
	return len(text), o.write([]byte(policy.Clean(string(whole[:end]))))
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

// end writes what is left, and returns an error when something was dropped.
func (o *sink) end() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.write([]byte(policy.Clean(string(o.rest))))
	o.rest = nil
	if o.dropped > 0 {
		return fmt.Errorf("%s: %w, %s are dropped", o.name, errNobodyReads, policy.Count(o.dropped, "byte"))
	}
	return err
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
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(text), c.write(text)
}
