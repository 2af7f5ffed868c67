// Package top is the live status in a terminal: a list of profiles, a pane about the chosen
// one, and keys that act on it. The model knows neither where a picture comes from nor how a
// command runs: a Program has both.
package top

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/engine/status"
)

// A Program is what top shows and acts with. Look and Run work beside the model, several at a
// time, and end soon after their context.
type Program struct {
	Look   func(context.Context) (*status.Document, error)
	Run    func(ctx context.Context, out io.Writer, command ...string) (exitStatus int)
	Now    func() time.Time
	Colour bool
}

const (
	beat      = 250 * time.Millisecond
	lookAfter = 2 * time.Second // from one look to the next
	lookShare = 10              // looks take at most this part of the time
	settling  = 200 * time.Millisecond
)

// A model is what top shows.
type model struct {
	Program
	ctx context.Context
	now time.Time

	width, height int
	document      *status.Document // the newest picture
	lookErr       error            // of a look after it
	looking       bool
	lookAt        time.Time

	names           []string // that are shown, in order
	trouble         []string // a line for each cause
	coloured, plain []string // a line for the head of the table, and one for each name
	chosen          string
	first           int // name at the top of the list
	filter          string
	filtering       bool // keys go to the filter
	zoomed          bool // the pane has the screen

	tab     int
	page    page
	about   [2]string // tab and profile of the page, and what else it depends on
	asked   time.Time // when its command began
	showing *task     // writes it

	action  *action // the newest; nil: none
	before  int     // tab where it was asked for
	leaving bool    // it is under way, and q has been pressed
	notice  string  // until the next key
}

// An event is what follows from something that ran beside the model.
type event func() tea.Cmd

func newModel(ctx context.Context, p Program, first *status.Document) *model {
	m := &model{Program: p, ctx: ctx, width: 80, height: 24, now: p.Now()}
	m.see(first, nil, 0)
	return m
}

func (m *model) Init() tea.Cmd { return m.beat() }

func (m *model) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	m.now = m.Now()
	var cmd tea.Cmd
	switch message := message.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = message.Width, message.Height
		m.arrange()
	case tea.KeyPressMsg:
		cmd = m.press(message)
	case event:
		cmd = message()
	}
	return m, tea.Batch(cmd, m.turnPage())
}

func (m *model) beat() tea.Cmd {
	next := tea.Tick(beat, func(time.Time) tea.Msg { return event(m.beat) })
	if m.looking || m.now.Before(m.lookAt) {
		return next
	}
	m.looking = true
	begun := m.now
	return tea.Batch(next, func() tea.Msg {
		d, err := m.Look(m.ctx)
		return event(func() tea.Cmd { m.see(d, err, m.now.Sub(begun)); return nil })
	})
}

// see takes what a look found. After a look that failed the last picture stays.
func (m *model) see(d *status.Document, err error, took time.Duration) {
	m.looking, m.lookErr, m.lookAt = false, err, m.now.Add(max(lookAfter, lookShare*took))
	if err == nil {
		m.document = d
		m.list()
	}
}

// list makes the list: profiles with an alarm first, then by name.
func (m *model) list() {
	rank := map[string]int{}
	for _, a := range m.document.Alarms {
		rank[a.Profile] = -1
	}
	m.names = slices.DeleteFunc(m.document.Names(), func(name string) bool {
		p := m.document.Profiles[name]
		return !strings.Contains(strings.ToLower(fmt.Sprintln(name, p.Wanted, p.DescribeNow(), p.Code)), strings.ToLower(m.filter))
	})
	slices.SortStableFunc(m.names, func(a, b string) int { return rank[a] - rank[b] })
	if len(m.names) > 0 && !slices.Contains(m.names, m.chosen) {
		m.chosen = m.names[min(m.first, len(m.names)-1)]
	}
	m.arrange()
}

// arrange draws what depends on the width.
func (m *model) arrange() {
	screen := view.Screen{Width: max(1, m.width-len(marker))}
	m.plain = strings.Split(screen.Table(m.document, m.names), "\n")
	screen.Colour = m.Colour
	m.coloured = strings.Split(screen.Table(m.document, m.names), "\n")
	m.trouble = strings.Split(view.Screen{Colour: m.Colour}.Trouble(m.document), "\n")
	m.trouble = m.trouble[:len(m.trouble)-1] // after the last end of a line
	m.keepChosen()
	m.page.resize(m.width)
	if m.action != nil {
		m.action.page.resize(m.width)
	}
}

// keepChosen moves the list so that the chosen profile is seen.
func (m *model) keepChosen() {
	chosen, height := max(0, slices.Index(m.names, m.chosen)), m.listHeight()
	m.first = max(min(m.first, chosen), chosen-height+1)
	m.first = max(0, min(m.first, len(m.names)-height))
}

// turnPage makes the page anew when it is about something else by now. Until its command prints
// something, a page about the same profile stays. While the choice moves fast, little runs.
func (m *model) turnPage() tea.Cmd {
	about, tab := m.subject(), tabs[m.tab]
	if m.tab == tabAction || about == m.about {
		return nil
	}
	wait := lookAfter
	if about[0] != m.about[0] {
		wait = settling
		m.page = page{width: m.width, follows: tab.follows}
		m.showing.stop()
		m.showing = nil
	}
	if len(tab.command) == 0 || m.chosen == "" {
		m.about, m.page.old = about, true
		if m.tab != tabHelp {
			m.page.add(view.Screen{}.Trouble(m.document) + view.Screen{}.Summary(m.document))
			return nil
		}
		for _, key := range Keys {
			m.page.add(fmt.Sprintf("%-22s %s\n", key[0], key[1]))
		}
		return nil
	}
	if m.now.Sub(m.asked) < wait {
		return nil // a beat comes soon
	}
	m.about, m.asked, m.page.old = about, m.now, true
	command := slices.Concat(tab.command, []string{"--", m.chosen})
	return m.begin(&m.showing, command, func(text string, ended bool) {
		m.page.add(text)
		if ended && tab.follows {
			m.about[1] = "ended" // so it is tried again
		}
	})
}

// subject is what the page is about: the tab and the profile, and how that is.
func (m *model) subject() [2]string {
	p, which := m.document.Profiles[m.chosen], fmt.Sprint(m.tab, m.chosen)
	switch {
	case tabs[m.tab].follows:
		return [2]string{which}
	case len(tabs[m.tab].command) == 0:
		return [2]string{fmt.Sprint(m.tab), m.document.Time}
	}
	return [2]string{which, fmt.Sprint(p.Wanted, p.Now, p.PID, p.Slot, p.Code, p.Reason)}
}

// Run shows the picture and those that follow it until a key or the context ends it, and
// leaves the terminal as it was.
func Run(ctx context.Context, p Program, first *status.Document, in io.Reader, out io.Writer) error {
	program := tea.NewProgram(newModel(ctx, p, first), tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler())
	stop := context.AfterFunc(ctx, program.Quit) // unlike WithContext, it waits for the reader of keys
	defer stop()
	_, err := program.Run()
	return err
}
