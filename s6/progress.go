package s6

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/s6/supervise"
)

// A progress decides when a transition is over. It has what is wanted, what was there
// before, and what has been seen since.
type progress struct {
	up       bool          // a bring-up; else a bring-down
	thenUp   bool          // the bring-down is the first half of a restart
	removing bool          // the bring-down comes before the slot goes
	upFor    time.Duration // how long a bring-up wants to see the gateway up

	before  supervise.Status // when the control command was written
	death   time.Time        // the newest death that is accounted for
	askedAt time.Time        // when the control command was written last
	upAt    time.Time        // when the gateway was first seen up
	downAt  time.Time        // when it was first seen to stay down
}

// A sight is what one look at a slot shows.
type sight struct {
	now          time.Time
	gone         bool // the slot was removed, or another is in its place
	unsupervised bool // no supervisor holds its lock; a bring-up does not look
	status       supervise.Status
	known        bool      // the status makes sense
	death        time.Time // the newest one, zero without any
	downFile     bool
	err          error // of the look at the down file
}

// A verdict is what follows from a sight.
type verdict int

const (
	wait verdict = iota
	done
	askAgain // write the control command once more, and wait
	failed
)

// askAgainAfter is how long a control command may be without effect. s6-supervise
// forgets that a gateway is wanted when its finish script then exits with 125, and a
// "U" of another user removes the down file.
const askAgainAfter = time.Second

// isThere reports whether nothing has to be asked for.
func (p progress) isThere(downFile bool) bool {
	if p.up {
		return p.before.Up() && p.before.WantUp && !downFile && p.askedAt.Sub(p.before.Stamp) >= p.upFor
	}
	return p.before.Down() && !p.before.WantUp && downFile
}

// next decides what follows from a sight. It returns the progress to go on with, and
// an error with the verdict failed. "Wanted" is what the supervisor wants by its
// status file.
//
//	bring-up
//
//	             up and wanted               up for upFor
//	  asked ----------------------> is up ----------------> done
//	   |  ^                           |
//	   |  |  it ended as after a stop |
//	   |  +---------------------------+-- it ended otherwise -> failed
//	   |
//	   +-- the slot is gone -> failed
//	   +-- down, not wanted
//	         since before the command: ask again each second
//	         since then, ended as after a stop: wait for upFor, then failed
//	         since then, ended otherwise: failed
//
//	bring-down
//
//	             down and not wanted,          with a down file
//	             or unsupervised
//	  asked ----------------------> is down ----------------> done
//	   |                               |
//	   |                               +-- without: ask again each second
//	   +-- the slot is gone -> done
//	   +-- thenUp, and another gateway is up and wanted -> done
//	   +-- removing, and wanted: ask again each second
//
// Perhaps another user restarts a gateway that ends as after a stop. A slot that is
// removed needs no down file, and a start by another user does not keep it.
func (p progress) next(s sight) (progress, verdict, error) {
	if p.up {
		return p.nextUp(s)
	}
	return p.nextDown(s)
}

func (p progress) nextUp(s sight) (progress, verdict, error) {
	switch {
	case s.gone:
		return p, failed, errors.New("its slot was removed meanwhile")
	case !s.known:
		return p, wait, nil
	case s.status.Down() && !s.status.WantUp && s.status.Stamp != p.before.Stamp:
		return p.staysDown(s)
	case s.status.Down() && !s.status.WantUp:
		return p.again(s)
	case p.upFor > 0 && p.diedBefore(s):
		if !endedAsStopped(s.status) {
			return p, failed, fmt.Errorf("the gateway ended after less than %v with %s; it is started again", p.upFor, s.status.Ending())
		}
		// A user who cannot take the lock restarts it.
		p.death, p.upAt, p.downAt = s.death, time.Time{}, time.Time{}
		return p, wait, nil
	case !s.status.Up() || !s.status.WantUp:
		return p, wait, nil
	}
	if p.upAt.IsZero() {
		p.upAt = s.now
	}
	if s.now.Sub(p.upAt) >= p.upFor {
		return p, done, nil
	}
	return p, wait, nil
}

// staysDown fails, but not at once when a restart by a user who cannot take the lock
// looks the same.
func (p progress) staysDown(s sight) (progress, verdict, error) {
	if p.downAt.IsZero() {
		p.downAt = s.now
	}
	switch {
	case endedAsStopped(s.status) && s.now.Sub(p.downAt) < p.upFor:
		return p, wait, nil
	case s.downFile:
		return p, failed, fmt.Errorf("the gateway ended at once with %s and stays down: a stop or a used-up budget made its down file", s.status.Ending())
	}
	return p, failed, fmt.Errorf("the gateway ended at once with %s and stays down", s.status.Ending())
}

func (p progress) nextDown(s sight) (progress, verdict, error) {
	switch {
	case s.err != nil:
		return p, failed, s.err
	case s.gone, p.wasRestarted(s):
		return p, done, nil
	case p.removing && !s.unsupervised && s.status.WantUp:
		return p.again(s)
	case !s.unsupervised && !s.isDown():
		return p, wait, nil
	case !s.downFile && !p.removing:
		return p.again(s)
	}
	return p, done, nil
}

func (p progress) again(s sight) (progress, verdict, error) {
	if s.now.Sub(p.askedAt) < askAgainAfter {
		return p, wait, nil
	}
	p.askedAt = s.now
	return p, askAgain, nil
}

// wasRestarted reports whether the gateway that a restart stops has been replaced by
// another user's restart.
func (p progress) wasRestarted(s sight) bool {
	return p.thenUp && p.before.Up() && s.known && s.status.Up() && s.status.WantUp && s.status.PID != p.before.PID
}

// isDown reports whether no gateway runs and none will by itself.
func (s sight) isDown() bool { return s.known && s.status.Down() && !s.status.WantUp }

// diedBefore reports whether the gateway has died anew and the status was written after
// its death. s6-supervise records the death first, then the finish script runs.
func (p progress) diedBefore(s sight) bool {
	return !s.death.IsZero() && s.death != p.death && !s.status.Finishing && !s.status.Stamp.Before(s.death)
}

// endedAsStopped reports whether the gateway ended as one that was told to stop.
func endedAsStopped(s supervise.Status) bool {
	return s.ExitCode() == 0 || s.Signal() == int(unix.SIGTERM)
}
