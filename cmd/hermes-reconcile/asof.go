package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/policy"
)

// asOf are the flags of the commands that decide as of another time, in another phase, or on
// saved facts.
type asOf struct{ at, phase, input string }

func (f *asOf) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.at, "at", "", `decide as of this time, with the facts of now: RFC 3339, 15:04, "Mon 07:00" (the next one) or +3h`)
}

// addSituation adds the flags that say in which situation to decide.
func (f *asOf) addSituation(cmd *cobra.Command) {
	f.add(cmd)
	cmd.Flags().StringVar(&f.input, "input", "", "decide on a saved input document (- is standard input)")
	cmd.Flags().StringVar(&f.phase, "phase", "", "boot: decide as the next boot; apply: as apply would in the running container (default boot, or the phase of --input)")
	_ = cmd.RegisterFlagCompletionFunc("phase", cobra.FixedCompletions([]string{policy.PhaseBoot, policy.PhaseApply}, cobra.ShellCompDirectiveNoFileComp))
}

// amend sets the time, the phase and the saved facts of a pass. It says on standard error which
// time that is.
func (f asOf) amend(cmd *cobra.Command, o *reconcile.Options) (err error) {
	if o.Input, err = savedInput(cmd, f.input); err != nil {
		return err
	}
	switch f.phase {
	case "":
	case policy.PhaseBoot, policy.PhaseApply:
		o.Phase = f.phase
		if o.Input != nil {
			o.Input.Phase = f.phase
		}
	default:
		return fmt.Errorf("--phase is %q, want boot or apply", f.phase)
	}
	if f.at == "" {
		return nil
	}
	now := time.Now()
	if o.Input != nil {
		now = savedTime(o.Input.Now)
	}
	at, ok := nextTime(f.at, now)
	if !ok {
		return fmt.Errorf("--at is %q, %s", f.at, wantTime)
	}
	o.At = at
	fmt.Fprintf(cmd.ErrOrStderr(), "decided as of %s, with the facts of now\n", at.Format("Monday 2006-01-02 15:04:05 MST"))
	return nil
}

// savedTime is the time of a saved input document, in its time zone.
func savedTime(now policy.Now) time.Time {
	t := time.Unix(0, now.UnixNS)
	saved, err := time.Parse(time.RFC3339, now.RFC3339)
	if err != nil {
		return t.UTC()
	}
	_, offset := saved.Zone()
	return t.In(time.FixedZone(now.Zone, offset))
}

// wantTime ends the error about a text that is no time.
const wantTime = `want a time such as 07:00, "Mon 07:00", "2026-12-24 07:00", 2026-12-24T07:00:00+01:00 or +3h`

// nextTime reads a time, in the zone of now unless it names one. A duration counts from now,
// and without a date it is the next such time.
func nextTime(text string, now time.Time) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.In(now.Location()), true
	}
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(d), true
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02 15:04", time.DateTime} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, true
		}
	}
	day, clock, isDay := strings.Cut(text, " ")
	if !isDay {
		clock = text
	}
	at, err := time.Parse("15:04", clock)
	if err != nil {
		return at, false
	}
	for ahead := range 8 {
		t := time.Date(now.Year(), now.Month(), now.Day()+ahead, at.Hour(), at.Minute(), 0, 0, now.Location())
		weekday := t.Weekday().String()
		if t.After(now) && (!isDay || strings.EqualFold(day, weekday) || strings.EqualFold(day, weekday[:3])) {
			return t, true
		}
	}
	return at, false
}

// maxInput limits a saved input document, in bytes. One of 10,000 profiles has a quarter of
// that.
const maxInput = 256 << 20

// savedInput reads the saved input document that --input names; nil without a name. A pipe
// may be slow: the signal that ends cmd ends the reading too.
func savedInput(cmd *cobra.Command, name string) (*policy.Input, error) {
	if name == "" {
		return nil, nil
	}
	var in policy.Input
	read := make(chan error, 1)
	go func() {
		var err error
		in, err = readInput(name, cmd.InOrStdin())
		read <- err
	}()
	select {
	case err := <-read:
		if err != nil {
			return nil, cli.Exit(cli.ExitUsage, err)
		}
		return &in, nil
	case <-cmd.Context().Done():
		return nil, cli.Failed(fmt.Errorf("interrupted while reading %s", name))
	}
}

func readInput(name string, stdin io.Reader) (in policy.Input, err error) {
	from := stdin
	if name != "-" {
		file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO may have no writer
		if err != nil {
			return in, err
		}
		defer file.Close()
		from = file
	}
	from = io.LimitReader(from, maxInput)
	decoder := json.NewDecoder(from)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		return in, fmt.Errorf("%s is not an input document (as `facts -o json` prints it): %w", name, err)
	}
	if in.SchemaVersion != policy.SchemaVersion {
		return in, fmt.Errorf("%s has schema_version %d, want %d", name, in.SchemaVersion, policy.SchemaVersion)
	}
	sources, profileSources := world.AllSources()
	if err := engine.CheckFactNames(in, sources, profileSources); err != nil {
		return in, fmt.Errorf("%s: %w", name, err)
	}
	return in, nil
}
