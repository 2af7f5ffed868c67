// Package fact says what a fact is: it has a name, a JSON Schema that its Go type declares, and
// a function that finds it out. The fact sources and the operator's plug-ins share it.
package fact

import (
	"context"
	"encoding/json"
	"reflect"

	"hermes-reconcile/policy"
)

// described is the name of a fact and what its schema is made from.
type described struct {
	name  string
	by    Writer
	about string
	of    reflect.Type
}

// Name is the key of the fact in input.container or in input.profiles[<name>].
func (d described) Name() string { return d.name }

// Schema is the JSON Schema of the value.
func (d described) Schema() string {
	s := schemaOf(d.of, d.by, "")
	s["description"] = d.about
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // plain maps and strings: cannot happen
	}
	return string(text)
}

// A Source finds out one kind of fact about the container.
type Source struct {
	described
	collect func(context.Context) any
}

// Collect finds out the fact. The error is always nil.
func (s Source) Collect(ctx context.Context) (any, error) { return s.collect(ctx), nil }

// OfContainer returns a source of facts of type T about the container.
func OfContainer[T any](name string, by Writer, about string, collect func() T) Source {
	return Within(name, by, about, func(context.Context) T { return collect() })
}

// Within is OfContainer for a source that may have to wait, until its context ends.
func Within[T any](name string, by Writer, about string, collect func(context.Context) T) Source {
	return Source{described{name, by, about, reflect.TypeFor[T]()}, func(ctx context.Context) any { return collect(ctx) }}
}

// A ProfileSource finds out one kind of fact about a profile.
type ProfileSource struct {
	described
	collect func(policy.Directory) any
}

// Collect finds out the fact. It may be called for several profiles at once. The error is
// always nil.
func (s ProfileSource) Collect(_ context.Context, dir policy.Directory) (any, error) {
	return s.collect(dir), nil
}

// OfProfile returns a source of facts of type T about a profile.
func OfProfile[T any](name string, by Writer, about string, collect func(policy.Directory) T) ProfileSource {
	return ProfileSource{described{name, by, about, reflect.TypeFor[T]()}, func(dir policy.Directory) any { return collect(dir) }}
}
