package process

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"hermes-reconcile/engine/child"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/bundle"
)

// pipes answer with a text until they are closed.
type pipes struct {
	io.Reader
	closed bool
}

func (p *pipes) Write(text []byte) (int, error) { return len(text), nil }

func (p *pipes) Close() error {
	p.closed = true
	return nil
}

func (p *pipes) Read(text []byte) (int, error) {
	if p.closed {
		return 0, os.ErrClosed
	}
	return p.Reader.Read(text)
}

// FuzzRulesAnswers: for any answer of the child, the caller gets an error and ends the child,
// or results for packages that it asked about.
func FuzzRulesAnswers(f *testing.F) {
	add := func(messages ...any) {
		var text bytes.Buffer
		s := child.NewStream(nil, &text)
		for i := 0; i+1 < len(messages); i += 2 {
			if err := s.Write(messages[i], []byte(messages[i+1].(string))); err != nil {
				f.Fatal(err)
			}
		}
		if err := s.Flush(); err != nil {
			f.Fatal(err)
		}
		f.Add(text.Bytes())
	}
	add(answer{}, `{"Status":{"revision":"r"},"Packages":[{"Name":"a"}]}`)
	add(answer{Package: "a"}, `{"Contributions":[{"set":"hold","profile":"coder"}],"Failures":[{"rule":"a"}]}`)
	add(answer{Package: "b"}, "7")
	add(answer{Package: "a"}, "{}", answer{Error: "x"}, "")
	add(answer{Error: "x", NoCopy: true}, "")
	f.Add([]byte{})
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, text []byte) {
		rules := func() (*Rules, *pipes) {
			p := &pipes{Reader: bytes.NewReader(text)}
			c := newPeer(p, func() *endedError { return &endedError{text: "ended"} })
			c.configured = true
			c.revisions[bundle.Present] = "r"
			return &Rules{settings: &Settings{Options: rego.Options{Timeout: time.Minute, Memory: 1 << 20}}, child: c}, p
		}
		r, p := rules()
		if _, err := r.load(t.Context(), bundle.Present); err == nil && r.child == nil || r.child == nil != p.closed {
			t.Errorf("load: %v, and the child is closed: %v", err, p.closed)
		}
		r, p = rules()
		one := &run{
			Policy: &Policy{rules: r, choice: bundle.Present, loaded: loaded{Status: policy.Status{Revision: "r"}}},
			in:     policy.Input{}, results: map[string]policy.Evaluation{},
		}
		err := one.together(t.Context(), []rego.Package{{Name: "a"}, {Name: "b"}}, 2)
		ended := new(endedError)
		if errors.As(err, &ended) != p.closed {
			t.Errorf("evaluate: %v, and the child is closed: %v", err, p.closed)
		}
		if err == nil && len(one.results) != 2 {
			t.Errorf("no error, and results %v", one.results)
		}
		for name, result := range one.results {
			if _, err := json.Marshal(result); err != nil || name != "a" && name != "b" {
				t.Errorf("a result of %q: %v", name, err)
			}
		}
	})
}
