package read

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"hermes-reconcile/engine/hometest"
)

// FuzzJSONObject compares with encoding/json: what is accepted holds the same
// keys with the same values.
func FuzzJSONObject(f *testing.F) {
	for _, text := range []string{
		"", " \n", "null", `["x"]`, "12", `"x"`, "{}", "\ufeff{\"a\":\"b\"}", `{"A":1,"a":"b"}`, `{"a":"1","a":"2"}`, "{\"a\":\"\xff\"}", `{"a":1e999999999}`,
		`{"a":["x"],"b":{"c":1},"d":null}`, `{"a":"x`, `{"a":"x"} y`, "a: [1\n", "\x00",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 256 { // making a longer one shorter takes the square of its length
			return
		}
		keys, out := ParseObject(data)
		if out.Status != "recorded" {
			return
		}
		var want map[string]any
		decoder := json.NewDecoder(bytes.NewReader(withoutBOM(data)))
		decoder.UseNumber()
		if err := decoder.Decode(&want); err != nil || !utf8.Valid(data) {
			t.Fatalf("accepted %q, which is %v", data, err)
		}
		for key, value := range want {
			s, isText := value.(string)
			if got := keys.Text(key, 1<<20); isText != (got != nil) || (isText && *got != s && utf8.ValidString(s)) {
				t.Errorf("%q is %v, want %q", key, got, s)
			}
		}
	})
}

// FuzzProcess: a process can call itself anything, and is taken for no other.
func FuzzProcess(f *testing.F) {
	for _, name := range []string{"sh", "a) S 1 1 1", "(((", ")", "\n", "x) R 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 1 (y"} {
		f.Add(name)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, name string) {
		if len(name) > 64 { // the kernel cuts it to 15 bytes
			return
		}
		hometest.Put(t, dir, "41/stat", "41 ("+name+") S 7 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 1234 0 0\n")
		p, err := Proc(dir).Process(41)
		if err != nil || p != (Process{41, 7, 1234}) {
			t.Errorf("the process %q is %+v, %v", name, p, err)
		}
	})
}

// FuzzSmallFiles: the first line of a file is bounded and can be printed, and a switch is on or
// off, or is not valid.
func FuzzSmallFiles(f *testing.F) {
	for _, text := range []string{"coder\n", "\ufeff x \x1b[2J\r\n", "yes ", "'off'", "\xff", strings.Repeat("x", 500)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if s := FirstLine([]byte(text), 256); len(s) > 256+len("…") || strings.ContainsAny(s, "\n\r\x1b\x00\u202e") {
			t.Errorf("the first line of %q is %q", text, s)
		}
		if on, problem := ParseSwitch(text); on != nil && problem != "" && !strings.Contains(problem, "quotes") {
			t.Errorf("%q is %v and %s", text, *on, problem)
		}
	})
}
