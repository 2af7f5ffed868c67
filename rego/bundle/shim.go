package bundle

import (
	"time"

	"hermes-reconcile/rego"
)

type LastGood = rego.LastGood

func Read(dir string) (*LastGood, error) { return rego.ReadLastGood(dir) }
func LoadOrFallBack(l []rego.Layer, o rego.Options, dir string) (*rego.Evaluator, error) {
	return rego.LoadOrFallBack(l, o, func() (*rego.LastGood, error) { return rego.ReadLastGood(dir) })
}
func Save(dir string, e *rego.Evaluator, now time.Time) error { return e.Save(dir, now) }
