package terminal

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/term"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/wait"
)

// When a wait is shown: on a terminal soon, and then as a line that changes, elsewhere with a
// line now and then.
const (
	waitShown = time.Second
	waitDrawn = 200 * time.Millisecond
	waitLine  = 5 * time.Second
)

// A signOfLife shows on standard error what a command waits for: the newest of its waits.
type signOfLife struct {
	to *Sink

	mutex sync.Mutex
	waits []*wait.Wait
	timer *time.Timer // to the next look
	step  int         // of the drawing
	lines int         // of the newest wait
	drawn bool        // a line stands on the terminal
}

// begin is for wait.With.
func (s *signOfLife) begin(w *wait.Wait) (end func()) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.waits, s.lines = append(s.waits, w), 0
	if len(s.waits) == 1 {
		s.timer = time.AfterFunc(waitShown, s.show)
	}
	return func() {
		s.clear()
		s.mutex.Lock()
		defer s.mutex.Unlock()
		s.waits = slices.DeleteFunc(s.waits, func(other *wait.Wait) bool { return other == w })
		if len(s.waits) == 0 {
			s.timer.Stop()
		}
	}
}

func (s *signOfLife) show() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if len(s.waits) == 0 {
		return
	}
	s.timer.Reset(waitDrawn)
	w := s.waits[len(s.waits)-1]
	waited, text := time.Since(w.Since), policy.Line(w.String())
	if terminal := Of(s.to); terminal != nil && waited >= waitShown {
		if width, _, err := term.GetSize(int(terminal.Fd())); err == nil {
			text = fmt.Sprintf("%.*s", max(0, width-3), text) // the terminal must not break the line
		}
		s.step, s.drawn = s.step+1, true
		s.draw(fmt.Sprintf("\r%c %s\x1b[K", `|/-\`[s.step%4], text))
	} else if terminal == nil && waited >= time.Duration(s.lines+1)*waitLine {
		s.lines = int(waited / waitLine)
		s.draw(text + "\n")
	}
}

// clear takes the line from the terminal before something else is written.
func (s *signOfLife) clear() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.drawn {
		s.drawn = false
		s.draw("\r\x1b[K")
	}
}

// draw writes a sign of life, which makes no room for itself.
func (s *signOfLife) draw(text string) { _ = s.to.write([]byte(text)) }
