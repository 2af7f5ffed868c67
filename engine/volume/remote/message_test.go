package remote

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hermes-reconcile/policy"
)

// What was written is what is read, in order, also where texts repeat, are long, or are
// more than both ends remember.
func TestMessages(t *testing.T) {
	var stream bytes.Buffer
	out := newEncoder(&stream)
	want := map[string]policy.Facts{}
	for i := range 2 * maxKnown {
		profile := fmt.Sprintf("p%05d", i)
		want[profile] = policy.Facts{
			"markers": json.RawMessage(`{"status":"missing"}`),
			"name":    json.RawMessage(fmt.Sprintf(`{"status":"recorded","length":%d}`, i)),
		}
		if i == 7 {
			want[profile]["long"] = json.RawMessage(`"` + strings.Repeat("x", 2*maxAtOnce) + `"`)
		}
		if err := out.encodeFacts(answer{Profile: profile}, want[profile]); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.encode(request{Log: "x.log"}, []byte("a text\n")); err != nil {
		t.Fatal(err)
	}
	in := newDecoder(&stream)
	got := map[string]policy.Facts{}
	for range want {
		var a answer
		attached, err := in.decode(&a)
		if err != nil {
			t.Fatal(err)
		}
		if got[a.Profile], err = factsOf(attached); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(want, got) { // cmp.Diff takes long to find that so much is equal
		t.Errorf("facts (-want +got):\n%s", cmp.Diff(want, got))
	}
	var r request
	attached, err := in.decode(&r)
	if err != nil || r.Log != "x.log" || len(attached) != 1 || string(attached[0].text) != "a text\n" {
		t.Errorf("got %+v with %v, %v", r, attached, err)
	}
	if _, err := in.decode(&r); err != io.EOF {
		t.Errorf("at the end: %v, want %v", err, io.EOF)
	}
}

// A fact that many profiles have alike is written once.
func TestMessagesSayATextOnce(t *testing.T) {
	var stream bytes.Buffer
	out := newEncoder(&stream)
	fact := json.RawMessage(`{"status":"missing","why":"` + strings.Repeat("x", 500) + `"}`)
	for i := range 100 {
		if err := out.encodeFacts(answer{Profile: fmt.Sprint(i)}, policy.Facts{"markers": fact}); err != nil {
			t.Fatal(err)
		}
	}
	if got := bytes.Count(stream.Bytes(), fact); got != 1 {
		t.Errorf("the fact is there %d times, want once", got)
	}
	if stream.Len() > 100*30+len(fact) {
		t.Errorf("%d bytes for 100 profiles", stream.Len())
	}
}

// A stream that makes no sense is an error that says where.
func TestMessagesThatMakeNoSense(t *testing.T) {
	valid := "\x02{}"
	for _, test := range []struct{ why, stream, want string }{
		{"cut in the document", "\x08{}", "unexpected EOF"},
		{"cut before the texts", valid, "unexpected EOF"},
		{"cut in a text", valid + "\x01\x08ab", "unexpected EOF"},
		{"no JSON", "\x02{[\x00", "invalid character"},
		{"a text that was not said", valid + "\x01\x01", "text 0 of 0"},
		{"too many texts", valid + "\xff\xff\x7f", "texts in one message, want at most"},
		{"a length that nobody can have", "\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "unexpected EOF"},
		{"a text of such a length", valid + "\x01\xfe\xff\xff\xff\xff\xff\xff\xff\x7f", "unexpected EOF"},
		{"no number", strings.Repeat("\xff", 12), "overflows"},
		{"a fact that is no JSON", valid + "\x02\x08name\x02{", `the fact "name" is no JSON`},
	} {
		t.Run(test.why, func(t *testing.T) {
			var a answer
			attached, err := newDecoder(strings.NewReader(test.stream)).decode(&a)
			if err == nil {
				_, err = factsOf(attached)
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want an error with %q", err, test.want)
			}
		})
	}
}
