package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/child"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// FuzzVolumeRequests: the child answers any request, changes only its home, and does not
// panic.
func FuzzVolumeRequests(f *testing.F) {
	for _, text := range []string{
		`{"Collect":true}`, `{"Execute":[{"op":"sweep","profile":"coder","file":"../x"},{"op":"seed","profile":"coder"},{"op":"seed","profile":"coder","seed":{}}]}`,
		`{"Log":"../x"}`, `{"Log":"x.log"}`, `{"Ledger":"coder"}`, `{"Runs":{"Most":-1}}`, `{"Runs":{"Most":1,"Profiles":["coder"]}}`, `{}`,
		`{"Change":{"Kind":"write-hold","Profile":"coder"}}`, `{"Change":{"Kind":"write-intent","Profile":"coder","Intent":"x"}}`, `{"Change":{"Kind":"read-intent","Profile":""}}`,
		`{"Change":{"Kind":"planned-stop","Profile":"default","PID":-1}}`, `{"Change":{"Kind":"remove-hold","Profile":"../coder"}}`, `{"Change":{}}`,
		`{"Events":0}`, `{"Change":{"Kind":"write-lease","Lease":{"id":"x"}}}`, `{"Change":{"Kind":"release-lease","Lease":{"id":"../x"}}}`,
	} {
		f.Add([]byte(text), []byte("x"))
	}
	base := f.TempDir()
	home := filepath.Join(base, "home")
	f.Fuzz(func(t *testing.T, text, attached []byte) {
		var r request
		if json.Unmarshal(text, &r) != nil {
			return
		}
		r.Settings = nil
		if r.Events != nil {
			r.Events = new(time.Duration) // the wait is the caller's wish
		}
		// Each request finds a new home: what one wrote would be there for all later ones.
		err := errors.Join(os.RemoveAll(home), os.MkdirAll(home+"/profiles/coder", 0o755), os.Mkdir(home+"/logs", 0o755))
		if err != nil {
			t.Fatal(err)
		}
		var in, out bytes.Buffer
		requests := child.NewStream(nil, &in)
		settings := &Settings{Home: home, Timeout: time.Minute, SourceTimeout: time.Minute}
		if err := errors.Join(requests.Write(request{Settings: settings}), requests.Write(r, attached), requests.Flush()); err != nil {
			t.Fatal(err)
		}
		if err := serve(t.Context(), &in, &out); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var last answer
		for answers := child.NewStream(&out, nil); ; {
			var one answer
			_, err := answers.Read(&one)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			last = one
		}
		if !last.Done {
			t.Errorf("%s has no last answer", text)
		}
		if entries, err := os.ReadDir(base); err != nil || len(entries) != 1 {
			t.Errorf("%s left %v, %v", text, entries, err)
		}
	})
}

// FuzzVolumeAnswers: for any answer of the child, the caller gets an error, or a result for
// each operation and facts that are valid JSON.
func FuzzVolumeAnswers(f *testing.F) {
	for _, documents := range [][]string{
		{`{"Done":true}`}, {`{"Profile":"a"}`, `{"Done":true}`}, {`{"Error":""}`}, {`{"Error":"x"}`}, {"null"}, {"[]"}, {`{"Error":"x","Done":true}`},
	} {
		var stream bytes.Buffer
		answers := child.NewStream(nil, &stream)
		for _, document := range documents {
			facts := policy.Facts{"x": json.RawMessage("null"), "y": json.RawMessage(`{"status":"missing"}`)}
			if err := answers.Write(json.RawMessage(document), child.Texts(facts)...); err != nil {
				f.Fatal(err)
			}
		}
		if err := answers.Flush(); err != nil {
			f.Fatal(err)
		}
		f.Add(stream.Bytes())
	}
	for _, value := range []string{`{"Keys":["coder","","a\nb","coder"],"Unseen":-1}`, `{"Problem":"x\u001b[2J"}`, "null", "[]", "7", `[{"Done":true},{"Error":"x"}]`, `[{},{},{}]`, `[{"action":7}]`, `{"Runs":[{}]}`, `{"Missing":true}`} {
		var stream bytes.Buffer
		answers := child.NewStream(nil, &stream)
		if err := errors.Join(answers.Write(answer{Done: true}, []byte(value)), answers.Flush()); err != nil {
			f.Fatal(err)
		}
		f.Add(stream.Bytes())
	}
	f.Add([]byte{})
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x02{}"))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		child := func() *Child {
			return newChild(&fakeChild{Reader: bytes.NewReader(stream)}, Settings{Timeout: time.Minute})
		}
		operations := []policy.Operation{{Op: policy.OpSweep, Profile: "coder"}, {Op: policy.OpSeed, Profile: "coder"}, {Op: policy.OpPublish}}
		if results := child().Execute(context.Background(), operations, policy.ExecuteOptions{}); len(results) != 2 {
			t.Errorf("%q gives %d results, want 2", stream, len(results))
		}
		_, _ = child().Collect(context.Background(), func(profile string, facts policy.Facts) {
			if _, err := json.Marshal(facts); err != nil {
				t.Errorf("%q gives facts of %q that are not valid JSON: %v", stream, profile, err)
			}
		})
		_, _ = child().Runs(context.Background(), ledger.Query{Profiles: []string{"coder"}, Most: 5, Whole: true})
		_, _ = child().Runs(context.Background(), ledger.Query{})
		_, _ = child().Change(context.Background(), engine.Change{})
		keys, err := child().Events(context.Background(), time.Minute)
		if errors.Is(err, ErrNoEvents) && len(err.Error()) > 2*policy.MaxText {
			t.Errorf("%q gives a problem of %d bytes", stream, len(err.Error()))
		}
		for i, key := range keys {
			if len(keys) > maxKeys || len(key) > maxKey || policy.Line(key) != key || i > 0 && keys[i-1] >= key {
				t.Errorf("%q gives the keys %q", stream, keys)
			}
		}
	})
}
