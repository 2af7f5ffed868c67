package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
)

// A notebook is a volume that only keeps the logs.
type notebook struct {
	Volume
	logs map[string]string
}

func (n notebook) Collect(_ context.Context, emit func(string, policy.Facts)) (policy.Facts, error) {
	emit("coder", policy.Facts{})
	return policy.Facts{}, nil
}

func (n notebook) AppendLog(_ context.Context, name string, text []byte) error {
	n.logs[name] += string(text)
	return nil
}

// noRules fails to load any rules, even the built-in ones.
type noRules struct{}

var errNoRules = errors.New("rego_parse_error: no rules")

func (noRules) Load(context.Context) (engine.Evaluator, error)           { return nil, errNoRules }
func (noRules) LoadOrFallBack(context.Context) (engine.Evaluator, error) { return nil, errNoRules }
func (noRules) Mended(context.Context, engine.Evaluator, []string) (engine.Evaluator, error) {
	return nil, nil
}
func (noRules) Keep(context.Context, engine.Evaluator) error { return nil }

// A boot without a decision writes a line with the reason to both logs. Any other pass ends
// before it changes anything.
func TestNothingCanBeDecided(t *testing.T) {
	volume := notebook{logs: map[string]string{}}
	w := World{Volume: volume, Rules: noRules{}, ScanDir: t.TempDir() + "/scan", Log: slog.New(slog.DiscardHandler)}
	r, err := Pass(t.Context(), w, Options{Phase: policy.PhaseBoot, Extent: ToEnd, FallBack: true})
	if err != nil || len(r.Errors) != 1 || !r.RulesFailed {
		t.Errorf("boot: %v, errors %q; want one about the rules", err, r.Errors)
	}
	for _, log := range []string{"container-boot.log", "container-boot.jsonl"} {
		text := volume.logs[log]
		if strings.Count(text, "\n") != 1 || !strings.Contains(text, "not_decided") || !strings.Contains(text, "no rules") {
			t.Errorf("%s is %q, want one line with the reason", log, text)
		}
	}
	clear(volume.logs)
	_, err = Pass(t.Context(), w, Options{Phase: policy.PhaseBoot, Extent: ToDecisions})
	if _, ok := errors.AsType[*RulesError](err); !ok || len(volume.logs) > 0 {
		t.Errorf("another pass: %v, logs %v; want a RulesError and no log", err, volume.logs)
	}
}
