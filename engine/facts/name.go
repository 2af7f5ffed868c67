package facts

import (
	"io/fs"
	"strings"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

// maxProfileName leaves room for a slot's temporary name: s6-svscan ignores names of more than
// 251 bytes, and a file name has at most 255.
const maxProfileName = 242

type nameFact struct {
	read.Outcome
	Valid   bool   `json:"valid" about:"the name is valid and belongs to a directory"`
	Problem string `json:"problem" about:"characters: not ^[a-z0-9][a-z0-9_-]*$; too_long: more than 242 bytes; reserved: a directory that has the root profile's name; link, not_a_directory: what the entry is; empty without a problem" words:",characters,too_long,reserved,link,not_a_directory"`
	Length  int    `json:"length" about:"length of the directory's name in bytes"`
}

// name is whether a slot can have the name of a profile, and whether the profile is a
// directory.
func name(dir policy.Directory) nameFact {
	p := dir.Profile()
	entry := entryOf(p)
	f := nameFact{Outcome: read.Recorded, Problem: nameProblem(p, entry), Length: len(entry)}
	if f.Problem == "" {
		info, err := dir.Lstat(".")
		switch {
		case err != nil:
			f.Outcome = read.OutcomeOf(err)
		case info.Mode()&fs.ModeSymlink != 0:
			f.Problem = "link"
		case !info.IsDir():
			f.Problem = "not_a_directory"
		}
	}
	f.Valid = f.Problem == ""
	return f
}

// entryOf returns the name of the profile's directory. For the root profile it is RootProfile.
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
	case !slotName().MatchString(entry):
		return "characters"
	case len(entry) > maxProfileName:
		return "too_long"
	}
	return ""
}

var slotName = policy.Pattern(`^[a-z0-9][a-z0-9_-]*$`)
