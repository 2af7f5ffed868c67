package s6

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/beneath"
	"hermes-reconcile/policy/trust"
	"hermes-reconcile/s6/scandir"
	"hermes-reconcile/s6/supervise"
)

// scanDirSlot is the slot of an operation on the scan directory itself.
const scanDirSlot = "."

// guard plans what makes the scan directory root's alone, and raises an alarm about what
// no operation can mend. It does nothing unless parts must be root's.
func (p *planner) guard() []policy.Operation {
	if !p.strict() {
		return nil
	}
	if p.User.UID == 0 {
		p.alarm(policy.CodeUntrusted, "the gateways' user has uid 0, so every agent is root: set user to an unprivileged one")
	} else if err := p.checkParents(); err != nil {
		p.alarm(policy.CodeUntrusted, "%v, so this user can replace the scan directory %s: put it below directories of root, such as /run", err, p.ScanDir)
	}
	if p.scan == nil {
		return nil
	}
	if p.supervisor > 0 {
		p.alarm(policy.CodeUntrusted, "s6-svscan of %s runs as uid %d, which owns the slots therefore: run this program as that user, or s6-svscan as root", p.ScanDir, p.supervisor)
		return nil
	}
	f, err := p.faultsOf(p.scan.Dir, scanParts)
	if err = errors.Join(err, f.odd, p.strangersScripts()); err != nil {
		p.alarm(policy.CodeUntrusted, "the scan directory %s: %v; restart the container", p.ScanDir, err)
	}
	if f.owner != "" {
		p.alarm(policy.CodeUntrusted, "the scan directory %s: %s, who could become root; it is taken back, restart the container if this user is not trusted", p.ScanDir, f.owner)
	}
	if len(f.names) == 0 {
		return nil
	}
	return []policy.Operation{{Op: policy.OpUpdate, Slot: scanDirSlot, Files: f.names, Cause: notRoots}}
}

// setAside adds to the plan that what the gateways' user has planted is set aside.
func (p *planner) setAside(plan *policy.Plan) {
	if !p.guarded || p.scan == nil {
		return
	}
	planted := p.planted(p.scan, slices.Sorted(maps.Keys(p.entries)), plan.Operations)
	if len(planted) == 0 {
		return
	}
	p.alarm(policy.CodeUntrusted, "in the scan directory %s: uid %d made %s, which s6-svscan would run as root; it is set aside, restart the container if this user is not trusted",
		p.ScanDir, p.User.UID, policy.Few(planted))
	if len(plan.Operations) == 0 || plan.Operations[0].Slot != scanDirSlot {
		plan.Operations = slices.Insert(plan.Operations, 0, policy.Operation{Op: policy.OpUpdate, Slot: scanDirSlot, Cause: notRoots})
	}
	plan.Operations[0].Files = append(plan.Operations[0].Files, planted...)
}

// planted returns the entries of a scan directory that the gateways' user made, that no
// operation mends and that nothing supervises yet: the next scan would run them as root.
func (e *Executor) planted(scan *scandir.Dir, names []string, mended []policy.Operation) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		st, err := scan.Lstat(name)
		if err != nil || strings.HasPrefix(name, ".") || e.User.UID == 0 || int(st.Uid) != e.User.UID ||
			slices.ContainsFunc(mended, func(op policy.Operation) bool { return op.Slot == name }) {
			return true
		}
		dir, err := scan.OpenDir(name)
		if err != nil {
			return false
		}
		defer dir.Close()
		service, logger, err := supervise.Held(dir)
		return err == nil && (service || logger)
	})
}

// takeScanDirBack makes the scan directory root's. Then nobody else can make entries, and it
// renames what the gateways' user has planted to names that s6-svscan ignores, before any
// scan. The next run removes them.
func (x *execution) takeScanDirBack(ctx context.Context, parts []string) error {
	if err := x.takeBack(ctx, x.scan.Dir, scanParts, parts); err != nil {
		return err
	}
	planted, err := x.plantedNow(x.operations)
	for _, name := range planted {
		if err := x.scan.Rename(name, scandir.StagingName()); err != nil {
			return fmt.Errorf("set %s aside: %w", policy.ProfileName(name), err)
		}
	}
	return err
}

// plantedNow reads the scan directory again; see planted.
func (x *execution) plantedNow(mended []policy.Operation) ([]string, error) {
	names, err := x.scan.Names(".", scandir.MaxEntries)
	if err != nil {
		return nil, fmt.Errorf("read the scan directory: %w", err)
	}
	return x.planted(x.scan, names, mended), nil
}

// mayScan fails when a scan would run as root what the gateways' user has planted.
func (x *execution) mayScan() error {
	if !x.strict() {
		return nil
	}
	planted, err := x.plantedNow(nil)
	if len(planted) > 0 {
		err = fmt.Errorf("no scan: uid %d made %s in %s, which s6-svscan would run as root; `hermes-reconcile apply` sets it aside", x.User.UID, policy.Few(planted), x.ScanDir)
	}
	return err
}

// notRoots is the cause of an operation that takes parts back.
const notRoots = "it is not root's alone"

// checkParents fails when the gateways' user could replace the scan directory.
func (p *planner) checkParents() error {
	judge := trust.NotBy(p.User.UID, p.User.GID)
	_, err := trust.Check(p.ScanDir, func(st *syscall.Stat_t, above int) string {
		if above == 0 {
			return ""
		}
		return judge(st, above)
	})
	if untrusted, ok := errors.AsType[*trust.Error](err); ok {
		return untrusted
	}
	return nil
}

// strangersScripts fails when another user could have written a file of s6-svscan, which
// has scripts that it runs as root.
func (p *planner) strangersScripts() error {
	names, err := p.scan.Names(svscanDir, scandir.MaxEntries)
	if beneath.IsAbsent(err) || errors.Is(err, unix.ELOOP) {
		return nil // missing, or a part that is odd
	}
	for _, name := range names {
		name = path.Join(svscanDir, name)
		isPart := slices.ContainsFunc(scanParts, func(part part) bool { return part.name == name })
		if why := p.strangers(name); why != "" && !isPart {
			return errors.New(why)
		}
	}
	return err
}

// strangers tells why an entry of the scan directory is not root's alone; "" is none.
func (p *planner) strangers(name string) string {
	st, err := p.scan.Lstat(name)
	switch {
	case err != nil:
		return ""
	case st.Uid != 0:
		return fmt.Sprintf("%s belongs to uid %d", policy.ProfileName(name), st.Uid)
	case st.Mode&unix.S_IFMT != unix.S_IFLNK && st.Mode&0o022 != 0:
		return fmt.Sprintf("%s can be written by others than root", policy.ProfileName(name))
	}
	return ""
}

// services raises an alarm about the services that are not root's alone and that the plan
// neither takes back nor removes nor names: s6-svscan runs them as root.
func (p *planner) services(plan policy.Plan, slots []slotPlan) {
	if !p.guarded {
		return
	}
	handled := map[string]bool{}
	for _, op := range plan.Operations {
		handled[op.Slot] = true
		for _, name := range op.Files {
			handled[name] = handled[name] || op.Slot == scanDirSlot
		}
	}
	for _, s := range slots {
		handled[s.slot] = handled[s.slot] || slices.ContainsFunc(s.alarms, func(a policy.Alarm) bool { return a.Code == policy.CodeUntrusted })
	}
	var found []string
	for name := range p.entries {
		if strings.HasPrefix(name, ".") || handled[name] {
			continue
		}
		if why := p.strangers(name); why != "" {
			found = append(found, why)
		}
	}
	if len(found) > 0 {
		slices.Sort(found)
		p.alarm(policy.CodeUntrusted, "in the scan directory %s: %s; s6-svscan runs it as root: remove it", p.ScanDir, policy.Few(found))
	}
}

// supervisors looks whether the gateway of a slot and its logger have their supervisors, and
// raises an alarm about another process that keeps one from starting; blocked are the files
// on which it has a lock.
func (s *slotPlan) supervisors(dir beneath.Dir) (served, logged bool, blocked []string, err error) {
	for _, p := range supervise.OfSlot {
		runs, pid, err := p.Runs(dir)
		if err != nil {
			return false, false, nil, err
		}
		if p == supervise.Service {
			served = runs
		} else {
			logged = runs
		}
		switch {
		case !runs && pid != 0:
			blocked = append(blocked, p.Lock)
		case !s.guarded || pid <= 0 || supervise.UID(pid) <= 0:
			continue
		}
		who := fmt.Sprintf("process %d", pid)
		if pid < 0 {
			who = "a process with the file open"
		}
		s.alarm(policy.CodeUntrusted, fmt.Errorf("%s: %s has a lock on %s and keeps the supervisor from starting: end that process", s.slot, who, p.Lock))
	}
	return served, logged, blocked, nil
}
