package process

import (
	"bytes"
	"strings"
	"testing"

	"hermes-reconcile/rego"
	"hermes-reconcile/rego/bundle"
)

// The process for the rules masks events as its rules say. A mask that takes all memory, or
// rules that are not known, mask nothing and say so.
func TestMask(t *testing.T) {
	t.Parallel()
	event := []byte(`{"input":{"secret":1},"result":{}}`)
	for _, test := range []struct{ name, mask, want, problem string }{
		{"without a mask", "", string(event), ""},
		{"with one", `mask contains "/input/secret"`, `{"erased":["/input/secret"],"input":{},"result":{}}`, ""},
		{"broken", `mask contains`, "", "mask.rego:4"},
	} {
		files := map[string]string{"site.rego": site}
		if test.mask != "" {
			files["mask.rego"] = "package system.log\n\n" + test.mask + "\n"
		}
		r := rulesOf(t, Settings{Options: rego.Options{Memory: 64 << 20}}, files)
		p, err := r.load(t.Context(), bundle.Present)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		masked, err := p.Mask(t.Context(), [][]byte{bytes.Clone(event), bytes.Clone(event)})
		switch {
		case test.problem != "":
			if masked != nil || err == nil || !strings.Contains(err.Error(), test.problem) {
				t.Errorf("%s: %s, %v, want %q", test.name, masked, err, test.problem)
			}
		case err != nil || len(masked) != 2 || string(masked[1]) != test.want:
			t.Errorf("%s: %s, %v, want %s", test.name, masked, err, test.want)
		}
	}
	r := rulesOf(t, Settings{}, map[string]string{"data/settings.yaml": "settings: ["})
	e, err := r.LoadOrFallBack(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if masked, err := e.(*Policy).Mask(t.Context(), [][]byte{event}); err == nil {
		t.Errorf("rules that are not known mask to %s", masked)
	}
}

// A mask that takes all memory ends the process and masks nothing.
func TestMaskThatNothingEnds(t *testing.T) {
	t.Parallel()
	r := rulesOf(t, Settings{Options: rego.Options{Memory: 64 << 20}}, map[string]string{"mask.rego": `package system.log

mask contains "/input" if count(sprintf("%d", [bits.lsh(1, 200000000)])) == 3
`})
	p, err := r.load(t.Context(), bundle.Present)
	if err != nil {
		t.Fatal(err)
	}
	if masked, err := p.Mask(t.Context(), [][]byte{[]byte("{}")}); masked != nil || err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("%s, %v", masked, err)
	}
}
