package service

import (
	"cmp"
	"log/slog"
	"time"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine/decisionlog"
	"hermes-reconcile/engine/status"
	"hermes-reconcile/policy"
)

// newUploader returns what sends the decision log to a collector; nil without one.
func newUploader(c config.Config, log *slog.Logger) *decisionlog.Uploader {
	if c.DecisionLog.URL == "" {
		return nil
	}
	return &decisionlog.Uploader{
		URL: c.DecisionLog.URL, Buffer: world.DecisionBuffer(c), Log: log,
		Transport: world.Fetcher(c).Transport(),
		Again:     time.Second, Resting: time.Minute, Wake: make(chan struct{}, 1),
	}
}

// bundleStatuses are the rules that decide, as OPA describes bundles. All layers together have one
// revision.
func (w *watcher) bundleStatuses(d *status.Document) map[string]decisionlog.BundleStatus {
	if w.revision != d.Policy.Revision {
		w.revision, w.activated = d.Policy.Revision, time.Now().UTC()
	}
	b := decisionlog.BundleStatus{Name: decisionlog.PolicyName, ActiveRevision: w.revision, Activated: w.activated}
	for _, reason := range d.Policy.Errors {
		b.Errors = append(b.Errors, decisionlog.BundleError{Message: reason})
	}
	for _, a := range d.Alarms {
		if a.Code == policy.CodePolicyRefused || a.Code == policy.CodePolicyFallback || a.Code == policy.CodePolicyGone {
			b.Code, b.Message = a.Code, a.Reason
		}
	}
	all := map[string]decisionlog.BundleStatus{b.Name: b}
	for _, layer := range d.Policy.Bundles {
		one := decisionlog.BundleStatus{Name: layer.Source, ActiveRevision: layer.Revision, Activated: layer.Activated, Requested: layer.Checked, Answered: layer.Checked}
		if why := cmp.Or(layer.Why, layer.Error); why != "" {
			one.Code, one.Message, one.Errors = "bundle_error", why, []decisionlog.BundleError{{Message: why}}
		}
		all[one.Name] = one
	}
	return all
}
