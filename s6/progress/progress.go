// Package progress decides when the start or the stop of a gateway is over, by what looks
// at its slot show. It looks at nothing itself.
package progress

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/s6/supervise"
)

// A Progress has what is wanted, what was there before, and what has been seen since.
type Progress struct {
	Up       bool          // a bring-up; else a bring-down
	ThenUp   bool          // the bring-down is the first half of a restart
	Removing bool          // the bring-down comes before the slot goes
	UpFor    time.Duration // how long a bring-up wants to see the gateway up

	Before  supervise.Status // when the control command was written
	Death   time.Time        // the newest death that is accounted for
	AskedAt time.Time        // when the control command was written last
	upAt    time.Time        // when the gateway was first seen up
	downAt  time.Time        // when it was first seen to stay down
}

// A Sight is what one look at a slot shows.
type Sight struct {
	Now          time.Time
	Gone         bool // the slot was removed, or another is in its place
	Unsupervised bool // no supervisor holds its lock; a bring-up does not look
	Status       supervise.Status
	Known        bool      // the status makes sense
	Death        time.Time // the newest one, zero without any
	DownFile     bool
	Err          error // of the look at the down file
}

// A Verdict is what follows from a Sight.
type Verdict int

const (
	Wait Verdict = iota
	Done
	AskAgain // write the control command once more, and wait
	Failed
)

// askAgainAfter is how long a control command may be without effect. s6-supervise
// forgets that a gateway is wanted when its finish script then exits with 125, and a
// "U" of another user removes the down file.
const askAgainAfter = time.Second

// IsThere reports whether nothing has to be asked for.
func (p Progress) IsThere(downFile bool) bool {
	if p.Up {
		return p.Before.Up() && p.Before.WantUp && !downFile && p.AskedAt.Sub(p.Before.Stamp) >= p.UpFor
	}
	return p.Before.Down() && !p.Before.WantUp && downFile
}

// Next decides what follows from a sight. It returns the progress to go on with, and
// an error with the verdict Failed. "Wanted" is what the supervisor wants by its
// status file.
//
//	bring-up
//
//	             up and wanted               up for UpFor
//	  asked ----------------------> is up ----------------> done
//	   |  ^                           |
//	   |  |  it ended as after a stop |
//	   |  +---------------------------+-- it ended otherwise -> failed
//	   |
//	   +-- the slot is gone -> failed
//	   +-- down, not wanted
//	         since before the command: ask again each second
//	         since then, ended as after a stop: wait for UpFor, then failed
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
//	   +-- ThenUp, and another gateway is up and wanted -> done
//	   +-- Removing, and wanted: ask again each second
//
// Perhaps another user restarts a gateway that ends as after a stop. A slot that is
// removed needs no down file, and a start by another user does not keep it.
func (p Progress) Next(s Sight) (Progress, Verdict, error) {
	if p.Up {
		return p.nextUp(s)
	}
	return p.nextDown(s)
}

func (p Progress) nextUp(s Sight) (Progress, Verdict, error) {
	switch {
	case s.Gone:
		return p, Failed, errors.New("its slot was removed meanwhile")
	case !s.Known:
		return p, Wait, nil
	case s.Status.Down() && !s.Status.WantUp && s.Status.Stamp != p.Before.Stamp:
		return p.staysDown(s)
	case s.Status.Down() && !s.Status.WantUp:
		return p.again(s)
	case p.UpFor > 0 && p.diedBefore(s):
		if !endedAsStopped(s.Status) {
			return p, Failed, fmt.Errorf("the gateway ended after less than %v with %s; it is started again", p.UpFor, s.Status.Ending())
		}
		// A user who cannot take the lock restarts it.
		p.Death, p.upAt, p.downAt = s.Death, time.Time{}, time.Time{}
		return p, Wait, nil
	case !s.Status.Up() || !s.Status.WantUp:
		return p, Wait, nil
	}
	if p.upAt.IsZero() {
		p.upAt = s.Now
	}
	if s.Now.Sub(p.upAt) >= p.UpFor {
		return p, Done, nil
	}
	return p, Wait, nil
}

// staysDown fails, but not at once when a restart by a user who cannot take the lock
// looks the same.
func (p Progress) staysDown(s Sight) (Progress, Verdict, error) {
	if p.downAt.IsZero() {
		p.downAt = s.Now
	}
	switch {
	case endedAsStopped(s.Status) && s.Now.Sub(p.downAt) < p.UpFor:
		return p, Wait, nil
	case s.DownFile:
		return p, Failed, fmt.Errorf("the gateway ended at once with %s and stays down: a stop or a used-up budget made its down file", s.Status.Ending())
	}
	return p, Failed, fmt.Errorf("the gateway ended at once with %s and stays down", s.Status.Ending())
}

func (p Progress) nextDown(s Sight) (Progress, Verdict, error) {
	switch {
	case s.Err != nil:
		return p, Failed, s.Err
	case s.Gone, p.wasRestarted(s):
		return p, Done, nil
	case p.Removing && !s.Unsupervised && s.Status.WantUp:
		return p.again(s)
	case !s.Unsupervised && !s.isDown():
		return p, Wait, nil
	case !s.DownFile && !p.Removing:
		return p.again(s)
	}
	return p, Done, nil
}

func (p Progress) again(s Sight) (Progress, Verdict, error) {
	if s.Now.Sub(p.AskedAt) < askAgainAfter {
		return p, Wait, nil
	}
	p.AskedAt = s.Now
	return p, AskAgain, nil
}

// wasRestarted reports whether the gateway that a restart stops has been replaced by
// another user's restart.
func (p Progress) wasRestarted(s Sight) bool {
	return p.ThenUp && p.Before.Up() && s.Known && s.Status.Up() && s.Status.WantUp && s.Status.PID != p.Before.PID
}

// isDown reports whether no gateway runs and none will by itself.
func (s Sight) isDown() bool { return s.Known && s.Status.Down() && !s.Status.WantUp }

// diedBefore reports whether the gateway has died anew and the status was written after
// its death. s6-supervise records the death first, then the finish script runs.
func (p Progress) diedBefore(s Sight) bool {
	return !s.Death.IsZero() && s.Death != p.Death && !s.Status.Finishing && !s.Status.Stamp.Before(s.Death)
}

// endedAsStopped reports whether the gateway ended as one that was told to stop.
func endedAsStopped(s supervise.Status) bool {
	return s.ExitCode() == 0 || s.Signal() == int(unix.SIGTERM)
}
