package volume

import "hermes-reconcile/policy"

// LeaseID returns the id in the lease of the volume, or "" without a lease that has one.
func (h *Home) LeaseID() string {
	id, _ := readText(h.root, policy.LeaseFile, "id")
	return id
}

// WriteLease writes the lease with an id, unless there is one with another id than this and
// old. It reports whether it wrote. Two containers that write at the same moment may both
// think so: the file holds one of the two.
func (h *Home) WriteLease(lease any, id, old string) (wrote bool, err error) {
	if now := h.LeaseID(); now != "" && now != id && now != old {
		return false, nil
	}
	err = h.root.writeJSON(policy.LeaseFile, lease, renameOver)
	return err == nil, err
}

// ReleaseLease removes the lease if it has the id, and reports whether it did.
func (h *Home) ReleaseLease(id string) (removed bool, err error) {
	if h.LeaseID() != id {
		return false, nil
	}
	return h.root.remove(policy.LeaseFile)
}
