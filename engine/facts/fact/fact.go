// Package fact says what a fact is: it has a name, a JSON Schema that its Go type declares, and
// a function that finds it out. The fact sources and the operator's plug-ins share it.
package fact

import (
	"context"
	"encoding/json"
	"reflect"

	"hermes-reconcile/policy"
)

// described is the name of a fact and its schema.
type described struct {
	name   string
	schema func() string
}

// Name is the key of the fact in input.container or in input.profiles[<name>], in snake_case.
func (d described) Name() string { return d.name }

// Schema is the JSON Schema of the value: an object with a "description" for every property
// that says where it comes from, and with "x-written-by" for who could have written it, a
// Writer. It need not list "status" and "error", which every fact may have.
func (d described) Schema() string { return d.schema() }

// of describes the facts of type T.
func of[T any](name string, by Writer, about string) described {
	return described{name, func() string {
		s := schemaOf(reflect.TypeFor[T](), by, "")
		s["description"] = about
		text, err := json.Marshal(s)
		if err != nil {
			panic(err) // plain maps and strings: cannot happen
		}
		return string(text)
	}}
}

// A Source finds out one kind of fact about the container. Collect returns a value that
// marshals to a JSON object that the schema allows. Something missing or unreadable is a fact,
// not an error: an error means that the source itself cannot work. Collect ends soon after its
// context does.
type Source struct {
	described
	Collect func(context.Context) (any, error)
}

// A ProfileSource finds out one kind of fact about a profile, as a Source does. Collect may be
// called for several profiles at once.
type ProfileSource struct {
	described
	Collect func(context.Context, policy.Directory) (any, error)
}

// New returns a source with a schema of its own.
func New(name, schema string, collect func(context.Context) (any, error)) Source {
	return Source{described{name, func() string { return schema }}, collect}
}

// OfContainer returns a source of facts of type T about the container.
func OfContainer[T any](name string, by Writer, about string, collect func() T) Source {
	return Within(name, by, about, func(context.Context) T { return collect() })
}

// Within is OfContainer for a source that may have to wait, until its context ends.
func Within[T any](name string, by Writer, about string, collect func(context.Context) T) Source {
	return Source{of[T](name, by, about), func(ctx context.Context) (any, error) { return collect(ctx), nil }}
}

// OfProfile returns a source of facts of type T about a profile.
func OfProfile[T any](name string, by Writer, about string, collect func(policy.Directory) T) ProfileSource {
	return ProfileSource{of[T](name, by, about), func(_ context.Context, dir policy.Directory) (any, error) { return collect(dir), nil }}
}
