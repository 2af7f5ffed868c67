package top

import (
	"slices"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
)

// A tab is what the pane can show: what a command prints of the profile, or something else.
type tab struct {
	key, name string
	command   []string
	follows   bool // it grows at its end
}

var tabs = []tab{
	{key: "1", name: "explain", command: []string{"explain"}},
	{key: "2", name: "log", command: []string{"logs", "-f", "-n", "500"}, follows: true},
	{key: "3", name: "events", command: []string{"events", "-f", "-n", "200"}, follows: true},
	{key: "4", name: "alarms"},
	{key: "5"}, // the newest action
	{key: "?", name: "help"},
}

const tabAction, tabHelp = 4, 5

// Keys says what each key does.
var Keys = [][2]string{
	{"up, down, k, j", "choose a profile"},
	{"PgUp, PgDn, Home, End", "choose, by a page or to the end"},
	{"1, 2, 3, 4, tab", "the pane shows explain, the log, the events, the alarms"},
	{"enter", "the pane alone, where the keys above scroll; esc: back"},
	{"/", "filter by name or state; enter: keep it, esc: end it"},
	{"s", "start: later boots start it too"},
	{"x", "stop: later boots keep it down"},
	{"r", "restart"},
	{"e", "release: end its holds, and start it if it should run"},
	{"5", "what the last of these four did"},
	{"?", "this help"},
	{"q, ctrl-c", "quit"},
}

var verbs = map[string]string{"s": "start", "x": "stop", "r": "restart", "e": "release"}

// moves are the keys that move by lines, or by pages.
var moves = map[string]struct{ lines, pages int }{
	"up": {lines: -1}, "k": {lines: -1}, "down": {lines: 1}, "j": {lines: 1},
	"pgup": {pages: -1}, "pgdown": {pages: 1}, "home": {lines: -1 << 30}, "end": {lines: 1 << 30},
}

func (m *model) press(pressed tea.KeyPressMsg) tea.Cmd {
	key := pressed.String()
	by, moving := moves[key]
	verb, acting := verbs[key]
	tab := slices.IndexFunc(tabs, func(t tab) bool { return t.key == key })
	m.notice = ""
	switch {
	case key == "ctrl+c":
		return m.quit()
	case m.filtering:
		m.typeFilter(key, pressed.Text)
	case moving:
		m.move(by.lines, by.pages)
	case m.action.asks():
		return m.answer(key)
	case acting:
		return m.ask(verb)
	case key == "q":
		return m.quit()
	case key == "/":
		m.filtering = true
	case key == "enter", key == "esc":
		m.zoomed = key == "enter"
	case key == "tab":
		m.tab = (m.tab + 1) % tabAction
	case tab >= 0 && (tab != tabAction || m.action != nil):
		m.tab = tab
	}
	return nil
}

// move scrolls the pane when it is alone, or while it asks, and else chooses a profile.
func (m *model) move(lines, pages int) {
	if m.zoomed || m.action.asks() {
		p, height := m.shownPage(), m.paneHeight()
		p.move(lines+pages*height, height)
		return
	}
	if len(m.names) == 0 {
		return
	}
	at := slices.Index(m.names, m.chosen) + lines + pages*m.listHeight()
	m.chosen = m.names[max(0, min(at, len(m.names)-1))]
	m.keepChosen()
	if m.tab == tabAction && m.action.stage == done {
		m.tab = m.before
	}
}

// typeFilter changes the filter by a key, which may be a character.
func (m *model) typeFilter(key, text string) {
	switch key {
	case "enter":
		m.filtering = false
	case "esc":
		m.filtering, m.filter = false, ""
	case "backspace":
		_, size := utf8.DecodeLastRuneInString(m.filter)
		m.filter = m.filter[:len(m.filter)-size]
	default:
		m.filter += text
	}
	m.list()
}

// quit ends the program. An action that is under way ends with it, so then it takes two.
func (m *model) quit() tea.Cmd {
	if m.action != nil && m.action.stage == doing && !m.leaving {
		m.leaving, m.notice = true, m.action.String()+" is under way: again to leave it half done"
		return nil
	}
	return tea.Quit
}
