package volume

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"hermes-reconcile/policy"
)

const coderState = "profiles/coder/gateway_state.json"

var updatedAt = regexp.MustCompile(`"updated_at":[0-9]{10}\b`)

// readCoder returns a file of the profile coder, with the time of writing replaced by NOW.
func readCoder(t *testing.T, h *Home, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(h.Path(), "profiles/coder", name))
	if err != nil {
		t.Fatal(err)
	}
	return updatedAt.ReplaceAllString(string(text), `"updated_at":NOW`)
}

func TestSetIntentKeepsEverythingElse(t *testing.T) {
	for _, c := range []struct {
		name, before, after string // after: "" means unchanged
		invalid             bool   // the old file is kept beside the new one
	}{
		{name: "set already", before: `{"desired_state":"running","updated_at":1}`},
		{name: "set already, with a BOM", before: "\ufeff" + `{"desired_state":"running"}`},
		{name: "another", before: `{"desired_state":"stopped","updated_at":1795000000.25}`, after: `{"desired_state":"running","updated_at":NOW}`},
		{name: "values in their spelling", before: `{"pid": 41, "z":1.50e2,  "desired_state" : null, "a":"\u00e9\/<&", "updated_at":"2026-09-14T06:00:00Z","big":12345678901234567890}`,
			after: `{"a":"\u00e9\/<&","big":12345678901234567890,"desired_state":"running","pid":41,"updated_at":NOW,"z":1.50e2}`},
		{name: "indented", before: "{\n  \"gateway_state\": \"stopped\"\n}\n", after: `{"desired_state":"running","gateway_state":"stopped","updated_at":NOW}`},
		{name: "the last of two", before: `{"desired_state":"running","desired_state":"stopped","a":1,"a":2,"updated_at":1}`, after: `{"a":2,"desired_state":"running","updated_at":NOW}`},
		{name: "another case is another key", before: `{"Desired_State":"running"}`, after: `{"Desired_State":"running","desired_state":"running","updated_at":NOW}`},
		{name: "an escaped key is the same", before: `{"desired\u005fstate":"stopped"}`, after: `{"desired_state":"running","updated_at":NOW}`},
		{name: "not text", before: `{"desired_state":["running"],"x":{"desired_state":"running"}}`, after: `{"desired_state":"running","updated_at":NOW,"x":{"desired_state":"running"}}`},
		{name: "empty object", before: `{ }`, after: `{"desired_state":"running","updated_at":NOW}`},
		{name: "a BOM is dropped", before: "\ufeff{}", after: `{"desired_state":"running","updated_at":NOW}`},
		{name: "blank", before: " \n", after: `{"desired_state":"running","updated_at":NOW}`},
		{name: "array", before: `["running"]`, invalid: true},
		{name: "null", before: `null`, invalid: true},
		{name: "torn", before: `{"desired_state":"run`, invalid: true},
		{name: "trailing text", before: `{"desired_state":"running"}x`, invalid: true},
		{name: "not UTF-8", before: "{\"a\":\"\xff\"}", invalid: true},
		{name: "deep", before: strings.Repeat(`{"a":`, 70) + "1" + strings.Repeat("}", 70), invalid: true},
		{name: "digits", before: `{"pid":` + strings.Repeat("9", 5000) + "}", invalid: true},
		{name: "exponent", before: `{"desired_state":"running","pid":1e99999}`, invalid: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHome(t, map[string]string{coderState: c.before})
			changed, err := h.SetIntent(context.Background(), "coder", "running")
			after, want := c.after, []string{"gateway_state.json"}
			switch {
			case c.invalid:
				after = `{"desired_state":"running","updated_at":NOW}` + "\n"
				want = append(want, "gateway_state.json.invalid")
				if kept := readCoder(t, h, "gateway_state.json.invalid"); kept != c.before {
					t.Errorf("kept is %.100q, want the old file", kept)
				}
			case after == "":
				after = c.before
			default:
				after += "\n"
			}
			if err != nil || changed != (after != c.before) {
				t.Errorf("SetIntent = %v, %v, want changed %v", changed, err, after != c.before)
			}
			if got := readCoder(t, h, "gateway_state.json"); got != after {
				t.Errorf("state file\n got %q\nwant %q", got, after)
			}
			onlyEntries(t, filepath.Join(h.Path(), "profiles/coder"), want...)
			wantIntent(t, h, "running")
		})
	}
}

func wantIntent(t *testing.T, h *Home, want string) {
	t.Helper()
	if desired, err := h.Intent(context.Background(), "coder"); desired != want || err != nil {
		t.Errorf("Intent = %q, %v, want %q", desired, err, want)
	}
}

func TestIntentThatIsNotRecorded(t *testing.T) {
	for name, text := range map[string]string{
		"no file": "", "null": `{"desired_state":null}`, "no text": `{"desired_state":7}`, "no object": `[]`, "torn": `{`, "nothing": `{}`,
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"profiles/coder/": ""}
			if text != "" {
				files[coderState] = text
			}
			desired, err := newHome(t, files).Intent(context.Background(), "coder")
			if desired != "" || err != nil {
				t.Errorf("Intent = %q, %v, want none", desired, err)
			}
		})
	}
}

func TestSetIntentMakesAMissingFile(t *testing.T) {
	h := newHome(t, map[string]string{"profiles/coder/": ""})
	if changed, err := h.SetIntent(context.Background(), "coder", "stopped"); !changed || err != nil {
		t.Fatalf("SetIntent = %v, %v", changed, err)
	}
	if got := readCoder(t, h, policy.StateFile); got != `{"desired_state":"stopped","updated_at":NOW}`+"\n" {
		t.Errorf("state file %q", got)
	}
	path := filepath.Join(h.Path(), coderState)
	for _, mode := range []fs.FileMode{0o644, 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("mode %v, %v, want %v", info.Mode(), err, mode)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := h.SetIntent(context.Background(), "coder", "running"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSetIntentLeavesWhatIsNoStateFile(t *testing.T) {
	for _, c := range []struct {
		name, file, text, problem string
		is                        error
	}{
		{"link", coderState, "-> real", "not a regular file", policy.ErrNotRegular},
		{"dangling link", coderState, "-> nowhere", "not a regular file", policy.ErrNotRegular},
		{"FIFO", coderState, "fifo", "not a regular file", policy.ErrNotRegular},
		{"directory", coderState + "/", "", "not a regular file", policy.ErrNotRegular},
		{"too large", coderState, strings.Repeat(" ", 70000), "larger than 65536 bytes", nil},
		{"the profile is a link", "profiles/coder", "-> ../real", "not a regular file", policy.ErrNotRegular},
		{"the profile is a file", "profiles/other/x", "", "profile coder", fs.ErrNotExist},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHome(t, map[string]string{c.file: c.text, "real/gateway_state.json": `{"desired_state":"stopped"}`})
			changed, err := h.SetIntent(context.Background(), "coder", "running")
			if changed || err == nil || !strings.Contains(err.Error(), c.problem) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("SetIntent = %v, %v, want an error with %q", changed, err, c.problem)
			}
			if _, err := h.Intent(context.Background(), "coder"); err == nil {
				t.Errorf("Intent gave no error")
			}
			if text, err := os.ReadFile(filepath.Join(h.Path(), "real/gateway_state.json")); err != nil || string(text) != `{"desired_state":"stopped"}` {
				t.Errorf("the target of the link is %s, %v", text, err)
			}
			if _, err := os.Lstat(filepath.Join(h.Path(), c.file)); err != nil {
				t.Errorf("the old file is gone: %v", err)
			}
		})
	}
	h := newHome(t, map[string]string{"profiles/coder/": ""})
	if _, err := h.SetIntent(context.Background(), "coder", "Running"); err == nil || !strings.Contains(err.Error(), `want "running" or "stopped"`) {
		t.Errorf("SetIntent of another word: %v", err)
	}
}

// rewrite acts as a gateway: it reads the state file, changes one field and replaces the
// file. In between it calls meanwhile.
func rewrite(t *testing.T, path, key string, value any, meanwhile func()) {
	t.Helper()
	text, err := os.ReadFile(path)
	state := map[string]any{}
	if err == nil {
		err = json.Unmarshal(text, &state)
	}
	meanwhile()
	state[key] = value
	if err == nil {
		text, err = json.Marshal(state)
	}
	if err == nil {
		err = os.WriteFile(path+".gateway", text, 0o644)
	}
	if err == nil {
		err = os.Rename(path+".gateway", path)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestSetIntentAndAGatewayThatWritesInBetween(t *testing.T) {
	h := newHome(t, map[string]string{coderState: `{"desired_state":"stopped","pid":1}`})
	path := filepath.Join(h.Path(), coderState)
	times := 0
	h.beforeRename = func() {
		if times++; times <= 3 {
			rewrite(t, path, "pid", 40+times, func() {})
		}
	}
	if changed, err := h.SetIntent(context.Background(), "coder", "running"); !changed || err != nil {
		t.Fatalf("SetIntent = %v, %v", changed, err)
	}
	if got, want := readCoder(t, h, policy.StateFile), `{"desired_state":"running","pid":43,"updated_at":NOW}`+"\n"; got != want {
		t.Errorf("state file %s, want %s", got, want)
	}
	onlyEntries(t, filepath.Dir(path), policy.StateFile)
}

func TestSetIntentGivesUpOnAFileThatNeverRests(t *testing.T) {
	h := newHome(t, map[string]string{coderState: `{"desired_state":"stopped"}`})
	times := 0
	h.beforeRename = func() {
		times++
		rewrite(t, filepath.Join(h.Path(), coderState), "pid", times, func() {})
	}
	if changed, err := h.SetIntent(context.Background(), "coder", "running"); changed || !errors.Is(err, errChanged) || times != intentAttempts {
		t.Errorf("SetIntent = %v, %v after %d attempts", changed, err, times)
	}
	wantIntent(t, h, "stopped")
}

// A gateway may read the file before the intent is written, and write it afterwards. Such a
// gateway must not undo the intent.
func TestSetIntentAndAGatewayThatHadReadBefore(t *testing.T) {
	h := newHome(t, map[string]string{coderState: `{"desired_state":"stopped"}`})
	path := filepath.Join(h.Path(), coderState)
	reading, written := make(chan struct{}), make(chan struct{})
	var first = true
	h.beforeRename = func() {
		if !first {
			return
		}
		first = false
		go func() {
			defer close(written)
			rewrite(t, path, "pid", 41, func() {
				close(reading)
				for desired := ""; desired != "running"; {
					desired, _ = h.Intent(context.Background(), "coder")
				}
			})
		}()
		<-reading
	}
	changed, err := h.SetIntent(context.Background(), "coder", "running")
	<-written
	if !changed || err != nil {
		t.Fatalf("SetIntent = %v, %v", changed, err)
	}
	var state map[string]any
	if err := json.Unmarshal([]byte(rawCoder(t, h)), &state); err != nil {
		t.Fatal(err)
	}
	if state["desired_state"] != "running" || state["pid"] != 41.0 {
		t.Errorf("state file %v, want the intent and the gateway's pid", state)
	}
}

func rawCoder(t *testing.T, h *Home) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(h.Path(), coderState))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// When a gateway and an operator write at once, neither loses its field.
func TestSetIntentBesideAGateway(t *testing.T) {
	h := newHome(t, map[string]string{coderState: `{"desired_state":"stopped","kept":"é"}`})
	path := filepath.Join(h.Path(), coderState)
	ctx, stop := context.WithCancel(context.Background())
	beats := make(chan int)
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		beat := 0
		for ctx.Err() == nil {
			<-tick.C
			beat++
			rewrite(t, path, fmt.Sprintf("beat%d", beat%3), beat, func() {})
		}
		beats <- beat
	}()
	var want string
	for i := range 10 {
		want = []string{"running", "stopped"}[i%2]
		if _, err := h.SetIntent(context.Background(), "coder", want); err != nil {
			t.Errorf("SetIntent: %v", err)
		}
	}
	stop()
	last := <-beats
	var state map[string]any
	if err := json.Unmarshal([]byte(rawCoder(t, h)), &state); err != nil {
		t.Fatal(err)
	}
	if state["desired_state"] != want || state["kept"] != "é" || state[fmt.Sprintf("beat%d", last%3)] != float64(last) {
		t.Errorf("after %d beats the state file is %v, want desired_state %q", last, state, want)
	}
}

func TestAKilledSetIntentLeavesTheOldFile(t *testing.T) {
	const before = `{"desired_state":"stopped"}`
	h := newHome(t, map[string]string{coderState: before})
	h.beforeRename = func() { panic("killed") }
	func() {
		defer func() { recover() }()
		h.SetIntent(context.Background(), "coder", "running")
	}()
	h.beforeRename = nil
	if got := readCoder(t, h, policy.StateFile); got != before {
		t.Errorf("state file %q, want it as it was", got)
	}
	dir := filepath.Join(h.Path(), "profiles/coder")
	left, err := filepath.Glob(filepath.Join(dir, ".gateway_state.json.*.tmp"))
	if err != nil || len(left) != 1 {
		t.Fatalf("left are %v, %v, want one file with a dot name", left, err)
	}
	hourAgo := time.Now().Add(-time.Hour)
	if err := os.Chtimes(left[0], hourAgo, hourAgo); err != nil {
		t.Fatal(err)
	}
	others := []string{".gateway_state.json.mine.tmp", ".gateway_state.json.tmp"}
	for _, name := range others {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.SetIntent(context.Background(), "coder", "running"); err != nil {
		t.Fatal(err)
	}
	onlyEntries(t, dir, append(others, policy.StateFile)...)
}

// FuzzSetIntent: in any file, the intent is recorded afterwards, and every other value is
// written as before. A second intent changes nothing.
func FuzzSetIntent(f *testing.F) {
	for _, text := range []string{
		"", "{}", `{"a":1}`, `{"desired_state":"stopped" , "b" : [1, {"c":2}] }`, `{"a":1,"a":-2e5,"desired_state":{},"desired_state":3}`, "[]", `{"\u0061":"\ud800"}`,
		"{ }\n", `{"desired_state":"stopped","x":"}","updated_at":1}`, "{\"desired_state\" :\r\n\t\"a\" ,\"desired_state\":null}\x20",
		`{"updated_at":{"desired_state":[1,2,{}]},"\u0064esired_state":"x"}`, `{"":"","é":"<\ud800\u2028","n":-0.0e-7}`, "\ufeff{}", `{"a":"\"desired_state\": 1"}`, `{"desired_state" : null} `,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o := parseState([]byte(text))
		written := o.withIntent("running", 1795000000)
		after := parseState(written)
		if after.text("desired_state") != "running" || string(after["updated_at"]) != "1795000000" {
			t.Fatalf("%q became %q", text, written)
		}
		if again := after.withIntent("running", 1795000000); !bytes.Equal(again, written) {
			t.Errorf("%q became %q, and then %q", text, written, again)
		}
		for key, value := range o {
			var compact bytes.Buffer
			if err := json.Compact(&compact, value); err != nil {
				t.Fatal(err)
			}
			if key != "desired_state" && key != "updated_at" && string(after[key]) != compact.String() {
				t.Errorf("%q of %q became %q", key, text, written)
			}
		}
	})
}
