package remote

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hermes-reconcile/engine/child"
	"hermes-reconcile/policy"
)

func reading(text string) *child.Stream { return child.NewStream(strings.NewReader(text), io.Discard) }

// Messages are read in the order of writing, with long texts and without text.
func TestMessages(t *testing.T) {
	t.Parallel()
	var pipe bytes.Buffer
	s := child.NewStream(&pipe, &pipe)
	want := map[string]policy.Facts{}
	for i := range 100 {
		profile := fmt.Sprintf("p%05d", i)
		want[profile] = policy.Facts{
			"markers": json.RawMessage(`{"status":"missing"}`),
			"name":    json.RawMessage(fmt.Sprintf(`{"status":"recorded","length":%d}`, i)),
		}
		if i == 7 {
			want[profile]["long"] = json.RawMessage(`"` + strings.Repeat("x", 1<<20) + `"`)
		}
		if err := s.Write(answer{Profile: profile}, child.Texts(want[profile])...); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Write(request{Log: "x.log"}, []byte("a text\n"), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	got := map[string]policy.Facts{}
	for range want {
		var a answer
		texts, err := s.Read(&a)
		if err != nil {
			t.Fatal(err)
		}
		if got[a.Profile], err = factsOf(texts); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	var r request
	texts, err := s.Read(&r)
	if err != nil || r.Log != "x.log" || len(texts) != 2 || string(texts[0]) != "a text\n" || len(texts[1]) != 0 {
		t.Errorf("got %+v with %q, %v", r, texts, err)
	}
	if _, err := s.Read(&r); err != io.EOF {
		t.Errorf("at the end: %v, want %v", err, io.EOF)
	}
}

// A stream with a wrong format gives an error that names the problem.
func TestMessagesThatBreakTheFormat(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ why, text, want string }{
		{"cut in a number", "\x00\x00", "unexpected EOF"},
		{"cut before the document", "\x00\x00\x00\x00", "unexpected EOF"},
		{"cut in the document", "\x00\x00\x00\x00\x00\x00\x00\x04{}", "unexpected EOF"},
		{"cut before the texts", "\x00\x00\x00\x01\x00\x00\x00\x02{}", "unexpected EOF"},
		{"cut in a text", "\x00\x00\x00\x01\x00\x00\x00\x02{}\x00\x00\x00\x04ab", "unexpected EOF"},
		{"no JSON", "\x00\x00\x00\x00\x00\x00\x00\x02{[", "invalid character"},
		{"too many texts", "\xff\xff\xff\xff\x00\x00\x00\x02{}", "a message is longer than 268435456 bytes"},
		{"too long a document", "\x00\x00\x00\x00\xff\xff\xff\xff", "a message is longer than 268435456 bytes"},
		{"a fact that is no JSON", "\x00\x00\x00\x02\x00\x00\x00\x02{}\x00\x00\x00\x04name\x00\x00\x00\x01{", `the fact "name" is not valid JSON`},
	} {
		t.Run(test.why, func(t *testing.T) {
			t.Parallel()
			var a answer
			texts, err := reading(test.text).Read(&a)
			if err == nil {
				_, err = factsOf(texts)
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want an error with %q", err, test.want)
			}
		})
	}
}

// The limit applies to each message, not to all, because a child may live long.
func TestTheLimitIsThatOfOneMessage(t *testing.T) {
	t.Parallel()
	var pipe bytes.Buffer
	s := child.NewStream(&pipe, &pipe)
	for range 10 {
		if err := s.Write(answer{}, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Write(answer{}, make([]byte, 50), make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	s.Limit = 150
	var a answer
	for i := range 10 {
		if _, err := s.Read(&a); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	if _, err := s.Read(&a); err == nil || !strings.Contains(err.Error(), "longer than 150 bytes") {
		t.Errorf("a message of more than 150 bytes: %v", err)
	}
}
