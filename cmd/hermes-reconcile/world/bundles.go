package world

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego/bundle"
	"hermes-reconcile/rego/fetch"
	"hermes-reconcile/rego/process"
)

// Fetcher fetches the bundles of a configuration.
func Fetcher(c config.Config) *fetch.Client {
	return &fetch.Client{Services: c.Bundles.Services, HTTP: c.Bundles.HTTP, MaxBytes: int64(c.Bundles.MaxBytes)}
}

// Configure gives rules the settings of a boot. Bundles of which there is no copy are fetched
// first, all together for at most bundles.boot_wait, and come into force once they are
// loaded.
func Configure(rules *process.Rules, c config.Config, log *slog.Logger) {
	var settings process.Settings
	rules.Configure = func() process.Settings {
		settings = RulesSettings(c)
		fetchMissing(c, &settings.Sources)
		return settings
	}
	rules.Loaded = func(status policy.Status) {
		for source, fetched := range settings.Instead {
			for _, b := range status.Bundles {
				if b.Source != policy.ShownSource(source) {
					continue
				}
				fetched.Bundle = b
				if err := bundle.Activate(c.StateDir, source, fetched, time.Now()); err != nil {
					log.Warn("this bundle decides, and cannot be kept", "source", b.Source, "err", err)
				}
			}
		}
		settings.Instead = nil
	}
}

func fetchMissing(c config.Config, s *bundle.Sources) {
	missing := slices.DeleteFunc(slices.Clone(c.Policy), func(source string) bool {
		return !policy.IsFetched(source) || bundle.CheckSource(source) != nil || bundle.HasCopy(c.StateDir, source)
	})
	if len(missing) == 0 {
		return
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), c.Bundles.BootWait, errors.New("bundles.boot_wait is over"))
	defer cancel()
	var group sync.WaitGroup
	var mutex sync.Mutex
	s.Failed, s.Instead = map[string]string{}, map[string]bundle.Fetched{}
	for _, source := range missing {
		group.Go(func() {
			got, err := Fetcher(c).Get(ctx, source, "", 0)
			mutex.Lock()
			defer mutex.Unlock()
			if err != nil {
				s.Failed[source] = err.Error()
				return
			}
			s.Instead[source] = bundle.Fetched{ETag: got.ETag, Text: got.Text}
		})
	}
	group.Wait()
}
