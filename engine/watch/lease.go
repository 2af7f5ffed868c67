package watch

import (
	"time"

	"hermes-reconcile/policy"
)

// A LeaseMemory is what a watch remembers of the lease of the volume. The rule volume_owner
// knows it as the fact own_lease, and decides by the same comparisons.
type LeaseMemory struct {
	ID          string `json:"id"`                           // of the lease that this container writes
	HeldUnix    int64  `json:"held_unix,omitempty"`          // when this container took the lease
	LostUnix    int64  `json:"lost_unix,omitempty"`          // when another was seen to have taken it
	OtherID     string `json:"other_id"`                     // of the last lease of another
	OtherSeenAt int64  `json:"other_seen_at_unix,omitempty"` // of that, by its clock
	ChangedUnix int64  `json:"changed_unix,omitempty"`       // when that was seen to be different before
	Renewed     bool   `json:"renewed,omitempty"`            // it was seen to be renewed
}

// Keep writes it, as policy.LeaseMemoryFile.
func (m LeaseMemory) Keep(dir string) error { return Write(dir, policy.LeaseMemoryFile, m) }

// A LeaseStep is what a watch does about the lease.
type LeaseStep string

// The steps.
const (
	LeaseTake  LeaseStep = "take"  // nobody has it: write it, over OtherID
	LeaseRenew LeaseStep = "renew" // this container has it
	LeaseWait  LeaseStep = "wait"  // another has it, or may have it, or this container wants none
	LeaseLost  LeaseStep = "lost"  // another took it, and this container has still some time
)

// A LeaseLook is what a pass found.
type LeaseLook struct {
	Now       time.Time
	Container policy.Facts
	TTL       time.Duration // settings.volume_owner_ttl_seconds
	// Aside: this container supervises nothing, or settings.volume_owner_share is on.
	Aside bool
}

// Next returns what to do, and what to remember if that can be done. A stale lease of another
// is taken only when the watch has seen nobody renew it for two thirds of its time, by its own
// clock. The owner renews four times in it, and a renewal is seen a quarter late at most.
func (m LeaseMemory) Next(look LeaseLook) (LeaseStep, LeaseMemory) {
	lease, _ := policy.OwnerLeaseOf(look.Container)
	host := policy.HostOf(look.Container)
	now, ttl := look.Now.Unix(), int64(look.TTL.Seconds())
	if m.HeldUnix < host.Started { // before this start of the container
		m.HeldUnix, m.LostUnix = 0, 0
	}
	before := lease.Host == host.Hostname && lease.SeenAt <= host.Started+2
	switch {
	case look.Aside, lease.Status == policy.StatusTimedOut, lease.Status == policy.StatusFailed:
		return LeaseWait, m
	case lease.ID == m.ID && lease.ID != "":
		return LeaseRenew, m.held(now)
	case lease.Host == "" || lease.SeenAt == 0 || before:
		m.OtherID = lease.ID
		return LeaseTake, m.held(now)
	}
	m = m.seen(lease, now)
	bound := ttl
	if lease.TTL > 0 {
		bound = min(lease.TTL, 3*ttl)
	}
	age, still := now-lease.SeenAt, now-m.ChangedUnix
	switch fresh := m.Renewed || -bound <= age && age < bound; {
	case 3*still >= 2*bound:
		return LeaseTake, m.held(now)
	case m.HeldUnix == 0 || !fresh:
		return LeaseWait, m
	case m.LostUnix == 0:
		m.LostUnix = now
	case now-m.LostUnix >= ttl:
		m.HeldUnix, m.LostUnix = 0, 0
		return LeaseWait, m
	}
	return LeaseLost, m
}

// held remembers that this container has the lease.
func (m LeaseMemory) held(now int64) LeaseMemory {
	if m.HeldUnix == 0 {
		m.HeldUnix = now
	}
	m.LostUnix, m.OtherSeenAt, m.ChangedUnix, m.Renewed = 0, 0, 0, false
	return m
}

// seen remembers the lease of another, and whether it changed under the eyes of the watch.
func (m LeaseMemory) seen(lease policy.OwnerLease, now int64) LeaseMemory {
	same := m.ChangedUnix > 0 && m.OtherID == lease.ID
	if same && m.OtherSeenAt == lease.SeenAt {
		return m
	}
	m.OtherID, m.OtherSeenAt, m.ChangedUnix, m.Renewed = lease.ID, lease.SeenAt, now, same
	return m
}
