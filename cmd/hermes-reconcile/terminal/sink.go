// Package terminal is standard output and standard error: text is clean, nobody waits long for a
// reader, and a wait gives signs of life.
package terminal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/wait"
)

// How long a Sink waits for somebody to read. A person may read standard output in a
// pager. Nobody may stop the work of the program by not reading its log.
var (
	PatienceForData = 5 * time.Minute
	PatienceForLog  = time.Second
)

// chunk is how many bytes a Sink writes at a time. Each chunk has the whole patience.
const chunk = 64 << 10

// A Sink is standard output or standard error. It cleans all that is written (see
// policy.Clean), and drops what nobody reads in time. Each write has whole characters.
type Sink struct {
	to       io.Writer
	name     string
	patience time.Duration
	Optional bool   // dropped output is not a failure
	before   func() // makes room for what is written

	mu      sync.Mutex
	pending chan error // the result of a write that somebody has to read first; nil: none
	dropped int        // bytes
}

var errNobodyReads = errors.New("nobody reads it")

func (o *Sink) Write(text []byte) (int, error) {
	o.before()
	return len(text), o.write([]byte(policy.Clean(string(text))))
}

// write writes text as it is. Text that is dropped is no error here, see End.
func (o *Sink) write(text []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
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

func (o *Sink) writeChunk(text []byte) error {
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

// End returns an error when something was dropped.
func (o *Sink) End() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dropped > 0 {
		return fmt.Errorf("%s: %w, %s are dropped", o.name, errNobodyReads, policy.Count(o.dropped, "byte"))
	}
	return nil
}

// DoNotWait is for a command whose work must not wait for a reader of its output.
func DoNotWait(stream io.Writer) {
	if o, ok := stream.(*Sink); ok {
		o.patience, o.Optional = PatienceForLog, true
	}
}

// Of returns the terminal that a stream is, else nil.
func Of(stream any) *os.File {
	if o, ok := stream.(*Sink); ok {
		stream = o.to
	}
	file, ok := stream.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	return file
}

// Streams are standard output and standard error. Begin is for wait.With.
func Streams(stdout, stderr io.Writer) (out, errs *Sink, begin func(*wait.Wait) (end func())) {
	out = &Sink{to: stdout, name: "standard output", patience: PatienceForData}
	errs = &Sink{to: stderr, name: "standard error", patience: PatienceForLog}
	life := &signOfLife{to: errs}
	out.before, errs.before = life.clear, life.clear
	return out, errs, life.begin
}

// ForColours returns a writer to the same stream for text that is clean and has colours.
func ForColours(stream io.Writer) io.Writer {
	if o, ok := stream.(*Sink); ok {
		return coloured{o}
	}
	return stream
}

// A coloured is a Sink for text that is clean and has colours.
type coloured struct{ *Sink }

func (c coloured) Write(text []byte) (int, error) {
	c.before()
	return len(text), c.write(text)
}
