package facts

import (
	"io/fs"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

// markerFiles are the files that make a directory a profile, or show what it has.
var markerFiles = []string{"SOUL.md", "config.yaml", ".env", "profile.yaml", "auth.json", "state.db", jobsFile}

type markersFact struct {
	read.Outcome
	Files map[string]fileFact `json:"files" about:"those of SOUL.md, config.yaml, .env, profile.yaml, auth.json, state.db and cron/jobs.json that exist, by name" of:"one file"`
}

type fileFact struct {
	Kind         string `json:"kind" about:"kind of file; a link is not followed" words:"file,directory,link,other"`
	Size         int64  `json:"size" about:"size in bytes"`
	ModifiedUnix int64  `json:"modified_unix" about:"time of the last change in seconds since 1970"`
}

func markers(dir policy.Directory) markersFact {
	files, out := describeFiles(dir, markerFiles)
	return markersFact{out, files}
}

type operatorFilesFact struct {
	read.Outcome
	Files map[string]fileFact `json:"files" about:"those of .no-auto-start, .autostart and the configured names that exist, by name" of:"one file"`
}

// operatorNames are the files with which operators choose what starts: those of other supervisors,
// and the configured ones. A configured name that leads out of the profile is left out.
func operatorNames(configured []string) []string {
	names := []string{".no-auto-start", ".autostart"}
	for _, name := range configured {
		if fs.ValidPath(name) && name != "." {
			names = append(names, name)
		}
	}
	return names
}

func (c Config) operatorFiles(dir policy.Directory) operatorFilesFact {
	files, out := describeFiles(dir, c.marks)
	return operatorFilesFact{out, files}
}

// describeFiles describes the named files that exist. A file that cannot be described makes
// the outcome unreadable.
func describeFiles(dir policy.Directory, names []string) (map[string]fileFact, read.Outcome) {
	files, whole := map[string]fileFact{}, read.Recorded
	for _, name := range names {
		info, err := dir.Lstat(name)
		switch out := read.OutcomeOf(err); out.Status {
		case "":
			files[name] = fileFact{kindOf(info.Mode()), info.Size(), info.ModTime().Unix()}
		case policy.StatusMissing:
		default:
			whole = read.Outcome{Status: out.Status, Error: name + ": " + out.Error}
		}
	}
	return files, whole
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return "file"
	case mode.IsDir():
		return "directory"
	case mode&fs.ModeSymlink != 0:
		return "link"
	}
	return "other"
}
