package facts

import (
	"context"
	"io/fs"
	"strings"

	"hermes-reconcile/policy"
)

// maxProfileName leaves room for a slot's temporary name: s6-svscan ignores
// names of more than 251 bytes, and a file name ends at 255.
const maxProfileName = 242

type nameFact struct {
	outcome
	Valid   bool   `json:"valid"`
	Problem string `json:"problem"`
	Length  int    `json:"length"`
}

// name reports whether the name of a profile can be that of a slot, and whether its
// directory is one.
func name() ProfileSource {
	return ProfileSource{"name", nameSchema, func(_ context.Context, dir policy.Directory) (any, error) {
		p := dir.Profile()
		entry := entryOf(p)
		f := nameFact{outcome: recorded, Problem: nameProblem(p, entry), Length: len(entry)}
		if f.Problem == "" {
			info, err := dir.Lstat(".")
			switch {
			case err != nil:
				f.outcome = outcomeOf(err)
			case info.Mode()&fs.ModeSymlink != 0:
				f.Problem = "link"
			case !info.IsDir():
				f.Problem = "not_a_directory"
			}
		}
		f.Valid = f.Problem == ""
		return f, nil
	}}
}

func nameSchema() string {
	return fact(byAgent, "whether the profile can have a slot", properties{
		"valid":   boolean("the name is right and its directory is one"),
		"problem": word("characters: not ^[a-z0-9][a-z0-9_-]*$; too_long: more than 242 bytes; reserved: a directory that has the root profile's name; link, not_a_directory: what the entry is; empty without a problem", "", "characters", "too_long", "reserved", "link", "not_a_directory"),
		"length":  integer("length of the directory's name in bytes"),
	})
}

// entryOf is the name of the profile's directory; the root profile has its own.
func entryOf(p policy.Profile) string {
	if p.Dir == "." {
		return policy.RootProfile
	}
	return strings.TrimPrefix(p.Dir, "profiles/")
}

func nameProblem(p policy.Profile, entry string) string {
	switch {
	case p.Dir == ".":
		return ""
	case entry == policy.RootProfile:
		return "reserved"
	case !isSlotName(entry):
		return "characters"
	case len(entry) > maxProfileName:
		return "too_long"
	}
	return ""
}

// isSlotName reports whether s is ^[a-z0-9][a-z0-9_-]*$.
func isSlotName(s string) bool {
	for i := range len(s) {
		c := s[i]
		plain := (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')
		if !plain && (i == 0 || (c != '_' && c != '-')) {
			return false
		}
	}
	return s != ""
}
