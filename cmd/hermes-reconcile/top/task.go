package top

import (
	"context"
	"fmt"
	"io"
	"time"

	tea "charm.land/bubbletea/v2"
)

// A task is a command of this program that runs beside the model.
type task struct {
	cancel     context.CancelFunc
	exitStatus int // once it has ended
}

// stop ends a task, if there is one.
func (t *task) stop() {
	if t != nil {
		t.cancel()
	}
}

// begin runs a command as the task of a place. As long as it is that, take gets what the command
// prints, and then its end.
func (m *model) begin(place **task, command []string, take func(text string, ended bool)) tea.Cmd {
	ctx, cancel := context.WithCancel(m.ctx)
	(*place).stop()
	t := &task{cancel: cancel}
	*place = t
	from, to := io.Pipe()
	context.AfterFunc(ctx, func() { from.Close() }) // nobody reads on
	run := func() tea.Msg {
		defer to.Close()
		t.exitStatus = m.Run(ctx, to, command...)
		return nil
	}
	var next func() tea.Msg
	next = func() tea.Msg {
		text := make([]byte, 32<<10)
		n, err := from.Read(text)
		return event(func() tea.Cmd {
			if *place == t {
				take(string(text[:n]), err != nil)
			}
			if err != nil {
				cancel()
				return nil
			}
			return next
		})
	}
	return tea.Batch(run, next)
}

// The stages of an action: it shows what it would do, asks, and does it.
type stage int

const (
	planning stage = iota
	asking
	doing
	done
)

// An action changes a profile, as the command of its name does.
type action struct {
	verb, profile string
	stage         stage
	begun         time.Time
	task          *task
	page          page
}

func (a *action) String() string { return a.verb + " " + a.profile }

// asks reports whether an action waits for an answer, or will.
func (a *action) asks() bool { return a != nil && a.stage <= asking }

// ask shows what a command would do to the chosen profile, and then asks. One action runs at a
// time.
func (m *model) ask(verb string) tea.Cmd {
	if m.chosen == "" || m.action != nil && m.action.stage == doing {
		return nil
	}
	if m.tab != tabAction {
		m.before = m.tab
	}
	a := &action{verb: verb, profile: m.chosen, begun: m.now, page: page{width: m.width}}
	m.action, m.tab = a, tabAction
	return m.begin(&a.task, []string{verb, "--dry-run", "--", a.profile}, func(text string, ended bool) {
		a.page.add(text)
		if ended {
			a.stage = asking
		}
	})
}

// answer does what was asked for, or leaves it. What is typed before the question is no answer.
func (m *model) answer(key string) tea.Cmd {
	a := m.action
	switch {
	case a.stage == planning && key != "esc":
		return nil
	case key != "y" && key != "Y":
		a.task.stop()
		m.action, m.tab, m.notice = nil, m.before, a.String()+": nothing is done"
		return nil
	}
	a.stage, a.begun, a.page.follows = doing, m.now, true
	a.page.add("\n" + a.String() + "\n")
	return m.begin(&a.task, []string{a.verb, "--", a.profile}, func(text string, ended bool) {
		a.page.add(text)
		if ended {
			a.stage, m.leaving, m.lookAt = done, false, m.now
			m.notice = fmt.Sprintf("%s: done, exit status %d", a, a.task.exitStatus)
		}
	})
}
