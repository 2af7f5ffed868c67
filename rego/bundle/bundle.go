// Package bundle has an operator's rules in one file.
//
// A layer may be a bundle as OPA makes it: a file, or the copy of one that was fetched. Its
// signature and its digests are verified whenever it is read.
//
// The last good copy has the rules and settings with which a boot last decided for every
// profile without a mistake. A boot whose rules cannot be loaded decides with that copy.
package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
	"hermes-reconcile/rego"
)

// LastGoodFile is the name of the copy in the state directory.
const LastGoodFile = "last-good-policy"

// maxLastGood limits the copy, in bytes, to some ten of the largest files that a layer may
// have.
const maxLastGood = 64 << 20

// ErrNoLastGood means that there is no copy.
var ErrNoLastGood = errors.New("there is no last good copy of the rules")

// A LastGood is a copy of the operator's layers and settings.
type LastGood struct {
	Saved    time.Time `json:"saved"`
	Revision string    `json:"revision"` // as in policy.Status
	Digest   string    `json:"digest"`   // of the text of operator
	operator rego.Operator
}

// Directories returns the names of the directories of which the copy has files, in order.
func (c *LastGood) Directories() []string {
	full, _ := c.operator.Directories()
	return append([]string{}, full...)
}

// Prefix begins the file names of the copy wherever the place of a rule is printed: the
// present file of that name has another text.
const Prefix = "last-good:"

// A Gone is the error about directories of the last good copy that have neither rules nor
// settings any more. The copy decides until they are back, or until Forget.
type Gone struct{ Directories []string }

func (g *Gone) Error() string {
	return fmt.Sprintf("at the last good boot there were rules in %s, and there are none now; bring them back, or give them up with `hermes-reconcile policy forget`",
		strings.Join(g.Directories, "; "))
}

// CheckGone compares the operator's directories, and those of them that have neither rules
// nor settings, with the copy in dir. The error is a *Gone. Without any directory, every
// directory of the copy is gone.
func CheckGone(dir string, directories, empty []string) error {
	if len(directories) > 0 && len(empty) == 0 {
		return nil
	}
	kept, err := Read(dir)
	if err != nil {
		return nil // there is nothing to compare with
	}
	gone := kept.Directories()
	if len(empty) < len(directories) {
		gone = slices.DeleteFunc(gone, func(name string) bool { return !slices.Contains(empty, name) })
	}
	if len(gone) == 0 {
		return nil
	}
	return &Gone{gone}
}

// Forget removes the copy, and returns what it was. The error is ErrNoLastGood if there is
// none. A copy that Read refuses is not removed.
func Forget(dir string) (*LastGood, error) {
	kept, err := Read(dir)
	if err != nil {
		return nil, err
	}
	return kept, os.Remove(filepath.Join(dir, LastGoodFile))
}

// Load compiles the copy over the built-in layer, as rego.Load does, with the settings of
// the copy instead of those of o. The status of the result reports a fallback.
func (c *LastGood) Load(o rego.Options) (*rego.Evaluator, error) {
	o.Settings = c.operator.Settings
	layers := []rego.Layer{rego.BuiltIn()}
	for _, text := range c.operator.Layers {
		files, err := filesOf(text.Files)
		if err != nil {
			return nil, err
		}
		layers = append(layers, rego.Layer{Name: Prefix + text.Name, Files: files})
	}
	e, err := rego.Load(layers, o)
	saved := c.Saved.Format(time.RFC3339)
	if e == nil {
		return nil, fmt.Errorf("the last good copy, of %s: %w", saved, err)
	}
	return e.AsFallback("built-in, last good copy of " + saved), err
}

// A Choice is one of the policies with which a boot can decide.
type Choice string

// The choices, the best first.
const (
	Present Choice = "present rules"
	Copy    Choice = "last good copy"
	BuiltIn Choice = "built-in rules"
)

// Load loads one choice, as rego.Load does.
func (s Sources) Load(choice Choice, o rego.Options) (*rego.Evaluator, error) {
	switch choice {
	case Copy:
		copied, err := Read(s.StateDir)
		if err != nil {
			return nil, err
		}
		return copied.Load(o)
	case BuiltIn:
		return rego.Load([]rego.Layer{rego.BuiltIn()}, o)
	}
	return rego.Load(s.Layers(), o)
}

// Save copies the operator's layers and settings into the directory, which it creates
// if it is missing. The caller has seen this policy decide for every profile without a
// mistake, and that no rules are gone. The copy replaces the previous one atomically; an
// equal copy is left alone. Without files and settings of an operator, Save removes the
// copy. The error is also about a directory that another user can write, and about a copy
// with rules that one without would replace.
func Save(dir string, e *rego.Evaluator, now time.Time) error {
	operator := e.Operator()
	name := filepath.Join(dir, LastGoodFile)
	full, empty := operator.Directories()
	if err := CheckGone(dir, slices.Concat(full, empty), empty); err != nil {
		return err
	}
	if len(full) == 0 && len(operator.Settings) == 0 {
		if trust.Directory(dir, trust.Only(os.Geteuid())) != nil {
			return nil // no copy in it is used
		}
		return remove(name)
	}
	revision := e.Status().Revision
	if old, err := Read(dir); err == nil && old.Revision == revision {
		return nil
	}
	text, err := json.Marshal(operator)
	if err == nil && len(text) > maxLastGood {
		err = fmt.Errorf("the rules have %d bytes, a copy at most %d", len(text), maxLastGood)
	}
	if err != nil {
		return err
	}
	return writeCopy(name, LastGood{Saved: now.UTC().Truncate(time.Second), Revision: revision, Digest: policy.Digest(text)}, text)
}

// Read reads the copy in a directory. The error is ErrNoLastGood if there is none. Read
// refuses a copy that a user other than root and the caller could have written, and one
// that is damaged.
func Read(dir string) (*LastGood, error) {
	if dir == "" {
		return nil, ErrNoLastGood
	}
	c := &LastGood{}
	name := filepath.Join(dir, LastGoodFile)
	text, err := readCopy(name, maxLastGood, c)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoLastGood
	}
	if err == nil && policy.Digest(text) != c.Digest {
		err = fmt.Errorf("%s is damaged: its digest is not the one in its header", name)
	}
	if err == nil {
		err = json.Unmarshal(text, &c.operator)
	}
	if err != nil {
		return nil, fmt.Errorf("the last good copy of the rules: %w", err)
	}
	return c, nil
}
