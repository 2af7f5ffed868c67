package policy

import (
	"regexp"
	"sync"
)

// Pattern returns a function that gives the regular expression, which is compiled at the
// first call. Compiling all of them when the program starts takes 0.4 ms of each process. It
// panics on a wrong expression.
func Pattern(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
