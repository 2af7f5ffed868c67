package status

import (
	"cmp"
	"errors"
	"io/fs"
	"time"

	"hermes-reconcile/engine/decisionlog"
	"hermes-reconcile/engine/watch"
	"hermes-reconcile/policy"
)

// A DecisionLog is how the decision log goes since the container started.
type DecisionLog struct {
	Dropped  int       `json:"dropped"`           // events that nobody has
	Buffered int       `json:"buffered"`          // events that wait for the collector
	Uploaded time.Time `json:"uploaded,omitzero"` // last
	Problem  string    `json:"problem,omitempty"`
}

// AddDecisionLog adds what passes and the uploads of the watch have written of the decision
// log, or the error of reading it. Without a collector there are no uploads.
func (d *Document) AddDecisionLog(s decisionlog.State, u *watch.Uploads, err error) {
	l := DecisionLog{Dropped: s.Dropped, Problem: s.Problem}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.Problem = "its state cannot be read: " + err.Error()
	}
	if u != nil {
		l.Buffered, l.Problem = u.Buffered, cmp.Or(l.Problem, u.Problem)
		if u.UploadedUnix > 0 {
			l.Uploaded = time.Unix(u.UploadedUnix, 0).UTC()
		}
	}
	if d.DecisionLog = &l; l.Problem != "" {
		d.Alarms = append(d.Alarms, policy.Alarm{Code: codeLog, Reason: "the decision log is not complete: " + policy.Cut(l.Problem)})
	}
}
