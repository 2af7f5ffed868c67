package facts

import (
	"context"

	"hermes-reconcile/policy"
)

// markerFiles are the files that make a directory a profile, or say what it has.
var markerFiles = []string{"SOUL.md", "config.yaml", ".env", "profile.yaml", "auth.json", "state.db", "cron/jobs.json"}

type filesFact struct {
	outcome
	Files map[string]fileFact `json:"files"`
}

type fileFact struct {
	Kind         string `json:"kind"`
	Size         int64  `json:"size"`
	ModifiedUnix int64  `json:"modified_unix"`
}

// markers says which of the well-known files of a profile are there.
func markers() ProfileSource {
	return ProfileSource{"markers", markersSchema, func(_ context.Context, dir policy.Directory) (any, error) {
		return describeFiles(dir, markerFiles), nil
	}}
}

func markersSchema() string {
	return fact(byAgent, "well-known files of the profile", properties{
		"files": filesSchema("those that are there of SOUL.md, config.yaml, .env, profile.yaml, auth.json, state.db, cron/jobs.json, by name"),
	})
}

func filesSchema(description string) schema {
	return byName(description, object("one file", properties{
		"kind":          kinds("what it is; a link is not followed"),
		"size":          integer("size in bytes"),
		"modified_unix": integer("time of the last change in seconds since 1970"),
	}))
}

// describeFiles describes those of the named files that are there. A file that
// cannot be looked at makes the whole unreadable.
func describeFiles(dir policy.Directory, names []string) filesFact {
	f := filesFact{outcome: recorded, Files: map[string]fileFact{}}
	for _, name := range names {
		info, err := dir.Lstat(name)
		if out := outcomeOf(err); out.Status == policy.StatusMissing {
			continue
		} else if out.Status != "" {
			f.Status, f.Error = out.Status, name+": "+out.Error
			continue
		}
		f.Files[name] = fileFact{kindOf(info.Mode()), info.Size(), info.ModTime().Unix()}
	}
	return f
}
