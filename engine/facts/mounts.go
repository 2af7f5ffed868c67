package facts

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"hermes-reconcile/policy"
)

// maxMounts bounds how many mounts are shown.
const maxMounts = 256

type mountsFact struct {
	outcome
	Mounts    []mount `json:"mounts"`
	Truncated bool    `json:"truncated"`
}

type mount struct {
	Point    string `json:"point"`
	FSType   string `json:"fstype"`
	ReadOnly bool   `json:"read_only"`
}

// mounts lists the mounts of the container.
func mounts(c Config) Source {
	return Source{"mounts", mountsSchema, func(context.Context) (any, error) {
		all, more, err := c.mountPoints()
		if err != nil {
			return mountsFact{outcome: outcome{policy.StatusUnreadable, "mountinfo cannot be read"}, Mounts: []mount{}}, nil
		}
		return mountsFact{recorded, all, more}, nil
	}}
}

func mountsSchema() string {
	return fact(byOperator, "what is mounted, from /proc/self/mountinfo", properties{
		"mounts": list("mounts in the order in which they were made", object("one mount", properties{
			"point":     text("where it is"),
			"fstype":    text("file system, such as overlay, ext4, tmpfs, nfs4, fuse.sshfs"),
			"read_only": boolean("mounted read-only, or the file system is"),
		})),
		"truncated": boolean("there are more than 256"),
	})
}

func (c Config) mountPoints() (all []mount, more bool, err error) {
	data, out := readPath(filepath.Join(c.Proc, "self/mountinfo"), maxConfig)
	if out.Status != "" {
		return nil, false, errors.New(out.Status)
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

// parseMount reads one line: six fixed fields, optional ones up to a dash, then
// type, source and options of the file system.
func parseMount(line string) (mount, bool) {
	before, after, ok := strings.Cut(strings.TrimSpace(line), " - ")
	fixed, fs := strings.Fields(before), strings.Fields(after)
	if !ok || len(fixed) < 6 || len(fs) < 1 {
		return mount{}, false
	}
	options := strings.Split(fixed[5], ",")
	options = append(options, strings.Split(fs[len(fs)-1], ",")...)
	return mount{
		Point:    bounded(unescapeOctal(fixed[4]), 1024),
		FSType:   bounded(fs[0], 64),
		ReadOnly: slices.Contains(options, "ro"),
	}, true
}

// unescapeOctal turns \040 into a space, as mountinfo writes it.
func unescapeOctal(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
