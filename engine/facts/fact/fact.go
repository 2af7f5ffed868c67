// Package fact says what a fact is: it has a name, a Go type whose tags are its JSON Schema, and
// a function that finds it out. The fact sources and the operator's plug-ins share it.
package fact

import (
	"context"
	"reflect"

	"hermes-reconcile/policy"
)

// A Declaration is what a source says of its fact. A test makes the JSON Schema of the input
// document from it. Besides json, a field of the type has these tags:
//
//	about   the description
//	of      the description of each item of a list or value of a map; "|" leads one level deeper
//	words   the only values of a string, with commas between them; "status": those of every fact
//	by      the writer, if it is not that of the whole fact
type Declaration struct {
	name  string
	Of    reflect.Type // of the value; nil: it has the schema Own
	By    Writer       // of all that has no other
	About string
	Own   string
}

// Name is the key of the fact in input.container or in input.profiles[<name>], in snake_case.
func (d Declaration) Name() string { return d.name }

// A Writer is who could have written what a fact is made from.
type Writer string

// The writers.
const (
	ByImage    Writer = "image"
	ByOperator Writer = "operator"
	ByKernel   Writer = "kernel"
	ByAgent    Writer = "agent"
)

// A Limited map has only keys of these names. A name that ends in .* stands for all that begin
// so. Policy check knows no other pattern.
type Limited interface{ Names() []string }

func of[T any](name string, by Writer, about string) Declaration {
	return Declaration{name: name, Of: reflect.TypeFor[T](), By: by, About: about}
}

// A Source finds out one kind of fact about the container. Collect returns a value that
// marshals to a JSON object that the schema allows. Something missing or unreadable is a fact,
// not an error: an error means that the source itself cannot work. Collect ends soon after its
// context does.
type Source struct {
	Declaration
	Collect func(context.Context) (any, error)
}

// A ProfileSource finds out one kind of fact about a profile, as a Source does. Collect may be
// called for several profiles at once.
type ProfileSource struct {
	Declaration
	Collect func(context.Context, policy.Directory) (any, error)
}

// New returns a source with a schema of its own.
func New(name, schema string, collect func(context.Context) (any, error)) Source {
	return Source{Declaration{name: name, Own: schema}, collect}
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
