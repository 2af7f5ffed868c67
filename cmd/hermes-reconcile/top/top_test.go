package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"hermes-reconcile/engine/hometest"
	"hermes-reconcile/engine/status"
	"hermes-reconcile/policy"
)

// A bench is a model without a terminal. Commands print what they are called, unless says has
// something else for the first word, and end at once unless they follow or are blocked.
type bench struct {
	t        *testing.T
	m        *model
	messages chan tea.Msg
	now      time.Time
	picture  *status.Document
	lookErr  error

	mutex   sync.Mutex
	called  []string
	says    map[string]string
	exits   map[string]int
	ends    bool          // also commands that follow
	blocked chan struct{} // commands without --dry-run wait for it; nil: they do not
}

func newBench(t *testing.T, d *status.Document) *bench {
	b := &bench{t: t, messages: make(chan tea.Msg), now: d.At, picture: d, says: map[string]string{}, exits: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	b.m = newModel(ctx, Program{Run: b.run, Now: func() time.Time { return b.now }, Look: func(context.Context) (*status.Document, error) {
		return b.picture, b.lookErr
	}}, d)
	b.follow(b.m.Init())
	return b
}

func (b *bench) run(ctx context.Context, out io.Writer, command ...string) int {
	line := strings.Join(command, " ")
	b.mutex.Lock()
	b.called = append(b.called, line)
	text, isSaid := b.says[command[0]]
	code, blocked, ends := b.exits[command[0]], b.blocked, b.ends
	b.mutex.Unlock()
	if !isSaid {
		text = "this is " + line + "\n"
	}
	io.WriteString(out, text)
	switch {
	case slices.Contains(command, "-f") && !ends:
		<-ctx.Done()
	case blocked != nil && slices.Contains([]string{"start", "stop", "restart", "release"}, command[0]) && !slices.Contains(command, "--dry-run"):
		select {
		case <-blocked:
		case <-ctx.Done():
		}
	}
	return code
}

// say has commands of this name print a text from now on.
func (b *bench) say(command, text string) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.says[command] = text
}

// acted are the commands that changed something.
func (b *bench) acted() (commands []string) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for _, line := range b.called {
		if verb, _, _ := strings.Cut(line, " "); slices.Contains([]string{"start", "stop", "restart", "release"}, verb) && !strings.Contains(line, "--dry-run") {
			commands = append(commands, line)
		}
	}
	return commands
}

// follow runs what the model wants to have run.
func (b *bench) follow(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	go func() {
		message := cmd()
		select {
		case b.messages <- message:
		case <-b.m.ctx.Done():
		}
	}()
}

func (b *bench) send(message tea.Msg) {
	if all, ok := message.(tea.BatchMsg); ok {
		for _, cmd := range all {
			b.follow(cmd)
		}
		return
	}
	_, cmd := b.m.Update(message)
	b.follow(cmd)
}

// press presses keys, such as "j" or "esc". Between them a second passes, so each choice stands.
func (b *bench) press(keys ...string) {
	named := map[string]rune{"esc": tea.KeyEscape, "enter": tea.KeyEnter, "tab": tea.KeyTab, "down": tea.KeyDown, "up": tea.KeyUp, "pgdown": tea.KeyPgDown, "pgup": tea.KeyPgUp, "home": tea.KeyHome, "end": tea.KeyEnd, "backspace": tea.KeyBackspace}
	for _, key := range keys {
		b.now = b.now.Add(time.Second)
		if code, ok := named[key]; ok {
			b.send(tea.KeyPressMsg{Code: code})
			continue
		}
		if rest, ok := strings.CutPrefix(key, "ctrl+"); ok {
			b.send(tea.KeyPressMsg{Code: rune(rest[0]), Mod: tea.ModCtrl})
			continue
		}
		r, _ := utf8.DecodeRuneInString(key)
		b.send(tea.KeyPressMsg{Code: r, Text: key})
	}
}

func (b *bench) screen() string { return b.m.View().Content }

// until runs what is under way until the screen has a text.
func (b *bench) until(text string) {
	b.t.Helper()
	b.untilTrue(fmt.Sprintf("%q on the screen", text), func() bool { return strings.Contains(b.screen(), text) })
}

func (b *bench) untilTrue(what string, condition func() bool) {
	b.t.Helper()
	late := time.After(30 * time.Second)
	for !condition() {
		select {
		case message := <-b.messages:
			b.send(message)
		case <-late:
			b.t.Fatalf("still not: %s. The screen:\n%s", what, b.screen())
		}
	}
}

// look has the model look now.
func (b *bench) look() {
	b.t.Helper()
	b.m.lookAt = b.now
	b.m.looking = false
	b.follow(b.m.beat())
	b.untilTrue("a look", func() bool { return b.m.lookAt.After(b.now) })
}

func document(profiles ...string) *status.Document {
	d := &status.Document{At: time.Date(2026, 11, 22, 8, 10, 12, 0, time.UTC), Time: "2026-11-22T08:10:12Z", Profiles: map[string]status.Profile{}}
	for _, name := range profiles {
		d.Profiles[name] = status.Profile{Wanted: "up", Now: "up", Slot: "up", PID: 41, Code: "prior_intent", ServedBy: "self"}
	}
	return d
}

func alarmed(d *status.Document, names ...string) *status.Document {
	for _, name := range names {
		p := d.Profiles[name]
		p.Now, p.PID = "down", 0
		d.Profiles[name] = p
		d.Alarms = append(d.Alarms, policy.Alarm{Profile: name, Code: "not_up", Reason: "wanted up, and it is not"})
	}
	return d
}

func (b *bench) wantList(want string) {
	b.t.Helper()
	if got := strings.Join(b.m.names, " "); got != want {
		b.t.Errorf("the list is %q, want %q", got, want)
	}
}

// Profiles with an alarm come first. The choice stays with its profile, wherever that moves.
func TestTroubleIsFirst(t *testing.T) {
	t.Parallel()
	b := newBench(t, alarmed(document("a", "b", "c", "d"), "c"))
	b.wantList("c a b d")
	b.press("down", "j")
	if b.m.chosen != "b" {
		t.Errorf("chosen: %s", b.m.chosen)
	}
	b.picture = alarmed(document("a", "b", "c", "d"), "d", "b")
	b.look()
	b.wantList("b d a c")
	if b.m.chosen != "b" {
		t.Errorf("after a look, chosen: %s", b.m.chosen)
	}
	b.picture = document("a", "c")
	b.look()
	if b.m.chosen != "a" || !strings.Contains(b.screen(), "> a ") {
		t.Errorf("b is gone, and chosen is %q:\n%s", b.m.chosen, b.screen())
	}
	b.press("end")
	b.until("this is explain -- c")
	b.press("pgup", "k")
	b.until("this is explain -- a")
}

// The list moves with the choice, and each profile can be reached.
func TestLongList(t *testing.T) {
	t.Parallel()
	var names []string
	for i := range 100 {
		names = append(names, fmt.Sprintf("p%02d", i))
	}
	b := newBench(t, document(names...))
	for _, step := range []struct{ key, want string }{
		{"pgdown", "p10"}, {"pgdown", "p20"}, {"down", "p21"}, {"end", "p99"}, {"down", "p99"}, {"pgup", "p89"}, {"home", "p00"}, {"up", "p00"},
	} {
		b.press(step.key)
		if b.m.chosen != step.want || !strings.Contains(b.screen(), "> "+step.want) {
			t.Errorf("after %s: chosen %s, want %s:\n%s", step.key, b.m.chosen, step.want, b.screen())
		}
	}
}

// While somebody runs through the list, no command is started for each profile.
func TestFastChoice(t *testing.T) {
	t.Parallel()
	b := newBench(t, document("a", "b", "c", "d", "e", "f"))
	b.press("2")
	b.until("this is logs -f -n 500 -- a")
	for range 5 {
		b.send(tea.KeyPressMsg{Code: tea.KeyDown})
		if b.m.showing != nil {
			t.Errorf("a command about %s runs", b.m.chosen)
		}
	}
	b.now = b.now.Add(time.Second)
	b.until("this is logs -f -n 500 -- f")
}

func TestFilter(t *testing.T) {
	t.Parallel()
	b := newBench(t, alarmed(document("coder", "writer", "Kids"), "kids"))
	b.press("/", "E", "x", "backspace", "R")
	b.wantList("coder writer")
	b.press("enter", "j")
	b.until("this is explain -- writer")
	if !strings.Contains(b.screen(), "filter: ER") {
		t.Errorf("the screen does not show the filter:\n%s", b.screen())
	}
	b.press("/", "backspace", "backspace", "d", "o", "w", "n")
	b.wantList("kids")
	b.press("q")
	if b.wantList(""); b.m.chosen != "writer" && !strings.Contains(b.screen(), "There is no such profile") {
		t.Errorf("nothing is left:\n%s", b.screen())
	}
	b.press("esc")
	b.wantList("kids Kids coder writer")
}

// Only y does what was asked for. What is typed before the question is no answer, and the
// profile is the one that was chosen then.
func TestQuestion(t *testing.T) {
	t.Parallel()
	for _, no := range []string{"n", "N", "esc", "enter", "x", "q", "1"} {
		b := newBench(t, document("coder", "writer"))
		b.press("x")
		b.until("this is stop --dry-run -- coder")
		b.until("[y/N] Do the above, stop coder?")
		b.press(no)
		b.until("stop coder: nothing is done")
		b.until("this is explain -- coder")
		if acted := b.acted(); acted != nil {
			t.Errorf("%s does %q", no, acted)
		}
	}
	for key, verb := range verbs {
		b := newBench(t, document("coder", "writer"))
		b.press(key, "y", "y")
		if acted := b.acted(); acted != nil {
			t.Errorf("before the question, y does %q", acted)
		}
		b.until("[y/N] Do the above, " + verb + " coder?")
		b.picture = alarmed(document("coder", "writer"), "writer")
		b.look()
		b.press("y")
		b.until("this is " + verb + " -- coder")
		b.until(verb + " coder: done, exit status 0")
		if acted := b.acted(); len(acted) != 1 || acted[0] != verb+" -- coder" {
			t.Errorf("%s does %q", key, acted)
		}
	}
}

// A plan with problems says so in the question, and an action that fails has its status.
func TestActionThatFails(t *testing.T) {
	t.Parallel()
	b := newBench(t, document("coder"))
	b.say("start", "FAILED  coder: held\n")
	b.exits["start"] = 1
	b.press("s")
	b.until("[y/N] It would fail, see above. All the same, start coder?")
	b.until("FAILED  coder: held")
	b.press("y")
	b.until("start coder: done, exit status 1")
}

// One action at a time, and an action that is under way is not ended by one q.
func TestActionUnderWay(t *testing.T) {
	t.Parallel()
	b := newBench(t, document("coder", "writer"))
	b.blocked = make(chan struct{})
	b.press("r")
	b.until("[y/N] Do the above, restart coder?")
	b.press("y")
	b.until("this is restart -- coder")
	b.until("restart coder is under way, ")
	b.press("j", "x", "y")
	b.press("q")
	b.until("restart coder is under way: again to leave it half done")
	if quits(b.m.press(tea.KeyPressMsg{Code: 'q', Text: "q"})) != true {
		t.Error("a second q does not quit")
	}
	close(b.blocked)
	b.until("restart coder: done, exit status 0")
	if acted := b.acted(); len(acted) != 1 {
		t.Errorf("done: %q", acted)
	}
	if !quits(b.m.press(tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl})) {
		t.Error("ctrl-c does not quit")
	}
}

func quits(cmd tea.Cmd) bool {
	if cmd == nil {
		return false
	}
	_, isQuit := cmd().(tea.QuitMsg)
	return isQuit
}

// A look that fails keeps the last picture and says why it is old.
func TestFailedLook(t *testing.T) {
	t.Parallel()
	b := newBench(t, document("coder"))
	b.lookErr = errors.New("the volume\nis gone")
	b.now = b.now.Add(12 * time.Second)
	b.look()
	b.until(`08:10:12, 12 s ago: the volume\nis gone`)
	b.until("> coder ")
	b.lookErr = nil
	b.picture = document("coder")
	b.picture.At = b.now
	b.look()
	b.until("1 profile: 1 wanted up, 1 up, 0 held")
}

// The page of explain is made again when the profile changes, and a log that ended is tried
// again, but not at once.
func TestPageIsMadeAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, document("coder"))
	b.until("this is explain -- coder")
	b.say("explain", "another explanation\n")
	b.press("?")
	b.until("filter by name or state; enter: keep it, esc: end it")
	b.press("1")
	b.now = b.now.Add(lookAfter)
	b.picture = alarmed(document("coder"), "coder")
	b.look()
	b.until("another explanation")
	if strings.Contains(b.screen(), "this is explain") {
		t.Errorf("two explanations:\n%s", b.screen())
	}
	b.say("logs", "no log yet\n")
	b.ends = true
	b.press("2")
	b.until("no log yet")
	b.say("logs", "a log\n")
	b.mutex.Lock()
	b.ends = false
	b.mutex.Unlock()
	b.now = b.now.Add(lookAfter)
	b.until("a log")
	b.press("tab", "tab")
	b.until("ALARM   coder: wanted up, and it is not")
	b.until("TOTAL   1 profile")
	b.press("5")
	b.until("[4 alarms]")
}

// No text from elsewhere steers the terminal.
func TestHostileText(t *testing.T) {
	t.Parallel()
	for _, hostile := range hometest.Hostile() {
		d := alarmed(document("coder", hostile), hostile)
		d.Alarms[0].Reason = hostile
		b := newBench(t, d)
		b.m.Colour = true
		b.m.list()
		b.say("explain", hostile+"\nthe end of the page\n")
		b.say("stop", hostile+"\nthe end of the plan\n")
		b.m.zoomed = true
		b.m.page.follows = true
		b.until("explain")
		check := func(where string) {
			t.Helper()
			shown := b.screen()
			for _, own := range []string{red, reverse, "\x1b[0m", "\x1b[31m", "\x1b[32m", "\x1b[1m"} {
				shown = strings.ReplaceAll(shown, own, "")
			}
			if shown != policy.Clean(shown) {
				t.Errorf("%s: %.100q is drawn as %q", where, hostile, shown)
			}
		}
		check("explain")
		b.press("esc")
		b.send(tea.WindowSizeMsg{Width: 60, Height: 15})
		b.press("x")
		b.until("[y/N] Do the above")
		check("the question")
		b.press("n")
		b.lookErr = errors.New(hostile)
		b.look()
		check("a failed look")
		b.press("4")
		check("alarms")
		b.m.filtering, b.m.filter = true, hostile
		check("the filter")
		b.m.list()
		check("the filtered list")
		b.m.filter += " is nowhere"
		b.m.list()
		check("an empty list")
	}
}

// Whatever the size, the screen has as many lines, none of them longer. A small terminal is told
// what is needed.
func TestEverySize(t *testing.T) {
	t.Parallel()
	d := alarmed(document("coder", "日本語のプロファイルの名前の長い", "a-profile-with-a-name-that-is-much-longer-than-others"), "coder", "日本語のプロファイルの名前の長い")
	d.Alarms = append(d.Alarms, policy.Alarm{Code: "odd", Reason: strings.Repeat("many words ", 30)}, policy.Alarm{Code: "more", Reason: "more"})
	b := newBench(t, d)
	b.say("explain", strings.Repeat("日本語 "+strings.Repeat("a long line ", 20)+"\n", 30))
	b.until("日本語 a long line")
	for _, state := range []func(){func() {}, func() { b.m.zoomed = true }, func() { b.m.tab = 3 }, func() { b.m.zoomed = false }, func() { b.m.filter = "no such" }} {
		state()
		b.m.list()
		for width := 1; width <= 200; width += 13 {
			for height := 1; height <= 60; height += 3 {
				b.send(tea.WindowSizeMsg{Width: width, Height: height})
				shown := b.screen()
				if width < minWidth || height < minHeight {
					if width > 60 && !strings.Contains(shown, "top needs 40 x 10") {
						t.Fatalf("%d x %d: %q", width, height, shown)
					}
					continue
				}
				rows := strings.Split(shown, "\n")
				if len(rows) != height {
					t.Fatalf("%d x %d has %d lines:\n%s", width, height, len(rows), shown)
				}
				for _, row := range rows {
					if cells(row) > width {
						t.Fatalf("on %d cells a line has %d: %q", width, cells(row), row)
					}
				}
			}
		}
	}
}

// cells counts those of a text with Japanese characters.
func cells(text string) (n int) {
	for _, r := range text {
		if n++; r >= 0x3000 && r < 0xff00 {
			n++
		}
	}
	return n
}

// Without colours nothing but text is drawn.
func TestWithoutColours(t *testing.T) {
	t.Parallel()
	b := newBench(t, alarmed(document("coder"), "coder"))
	b.until("this is explain -- coder")
	if strings.Contains(b.screen(), "\x1b") {
		t.Errorf("colours: %q", b.screen())
	}
	b.m.Colour = true
	b.m.list()
	for _, want := range []string{"\x1b[31mALARM   \x1b[0m", reverse + "> coder"} {
		if !strings.Contains(b.screen(), want) {
			t.Errorf("%q is not drawn: %q", want, b.screen())
		}
	}
}
