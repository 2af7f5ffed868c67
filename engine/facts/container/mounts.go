package container

import (
	"slices"
	"strings"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

const maxMounts = 256

type mountsFact struct {
	read.Outcome
	Mounts    []mount `json:"mounts" about:"mounts in the order in which they were made" of:"one mount"`
	Truncated bool    `json:"truncated" about:"there are more than 256 mounts"`
}

type mount struct {
	Point    string `json:"point" about:"directory at which it is mounted"`
	FSType   string `json:"fstype" about:"type of the file system, such as overlay, ext4, tmpfs, nfs4, fuse.sshfs"`
	ReadOnly bool   `json:"read_only" about:"the mount or its file system is read-only"`
}

func (c Config) mounts() mountsFact {
	all, more, err := c.mountPoints()
	if err != nil {
		return mountsFact{Outcome: read.Outcome{Status: policy.StatusUnreadable, Error: "mountinfo cannot be read"}, Mounts: []mount{}}
	}
	return mountsFact{read.Recorded, all, more}
}

func (c Config) mountPoints() (all []mount, more bool, err error) {
	data, err := c.Proc.Read("self", "mountinfo")
	if err != nil {
		return nil, false, err
	}
	all = []mount{}
	for line := range strings.Lines(string(data)) {
		m, ok := parseMount(line)
		if !ok {
			continue
		}
		if len(all) == maxMounts {
			return all, true, nil
		}
		all = append(all, m)
	}
	return all, false, nil
}

// parseMount parses one line: six fixed fields, optional fields up to a dash, then type,
// source and options of the file system.
func parseMount(line string) (mount, bool) {
	before, after, ok := strings.Cut(strings.TrimSpace(line), " - ")
	fixed, fs := strings.Fields(before), strings.Fields(after)
	if !ok || len(fixed) < 6 || len(fs) < 1 {
		return mount{}, false
	}
	options := strings.Split(fixed[5], ",")
	options = append(options, strings.Split(fs[len(fs)-1], ",")...)
	return mount{
		Point:    read.Bounded(unescaped.Replace(fixed[4]), 1024),
		FSType:   read.Bounded(fs[0], 64),
		ReadOnly: slices.Contains(options, "ro"),
	}, true
}

// unescaped undoes what mountinfo does to a path.
var unescaped = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
